/*
 * library - libcurl, loaded when the first push subscription needs it.
 *
 * Linked, it and the 20 libraries that come with it alone would cost every broker 336 KiB of
 * anonymous memory at rest, where all else takes 1.5 MiB; most have no push subscriptions. So it
 * is loaded by name, and never unloaded.
 *
 * Threads:  push_library_load: one at a time; what is loaded: the push thread.
 */
#ifndef SLUICE_PUSH_LIBRARY_H
#define SLUICE_PUSH_LIBRARY_H

#include "base/err.h"

#include <curl/curl.h>

/* Macros of its headers that check types; they know only the names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define PUSH_LIBRARY_TABLE(X)                                                          \
    X(curl_global_init) X(curl_global_cleanup) X(curl_version_info)                    \
    X(curl_easy_init) X(curl_easy_cleanup) X(curl_easy_setopt) X(curl_easy_getinfo)    \
    X(curl_easy_strerror) X(curl_slist_append) X(curl_slist_free_all)                  \
    X(curl_multi_init) X(curl_multi_cleanup) X(curl_multi_setopt)                      \
    X(curl_multi_add_handle) X(curl_multi_remove_handle) X(curl_multi_perform)         \
    X(curl_multi_poll) X(curl_multi_info_read)

struct push_library { /* its functions */
#define X(name) __typeof__(name) *name;
    PUSH_LIBRARY_TABLE(X)
#undef X
};

/* ERR_UNSUPPORTED: it is not installed, or too old; that is logged. Once loaded this is
 * cheap. */
MUST_CHECK enum err push_library_load(struct push_library *out);

#endif
