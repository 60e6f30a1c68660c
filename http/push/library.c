#include "push/library.h"

#include "base/log.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NAME       "libcurl.so.4"
#define LEAST_TEXT "7.85"
#define LEAST      0x075500u /* CURLOPT_PROTOCOLS_STR */

static const struct {
    const char *name;
    size_t at;
} symbols[] = {
#define X(name) { #name, offsetof(struct push_library, name) },
    PUSH_LIBRARY_TABLE(X)
#undef X
};

static enum err refuse(const char *why)
{
    LOG_ERROR("push", "library_missing", LOG_S("library", NAME), LOG_S("error", why));
    return ERR_UNSUPPORTED;
}

enum err push_library_load(struct push_library *out)
{
    void *library = dlopen(NAME, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return refuse(dlerror());
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(library, symbols[i].name);

        if (!found)
            return refuse(symbols[i].name);
        memcpy((char *)out + symbols[i].at, &found, sizeof found);
    }
    if (out->curl_version_info(CURLVERSION_NOW)->version_num < LEAST)
        return refuse("it is older than " LEAST_TEXT);
    return ERR_OK;
}
