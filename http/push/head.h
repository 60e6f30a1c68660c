/*
 * head - the headers that a message is pushed with.
 *
 * Those of a raw read (API.md), and three that say for whom it is. An event of CloudEvents has
 * its attributes as ce-<name>, so that the request is that event in binary mode.
 *
 * Threads:  the push thread.
 */
#ifndef SLUICE_PUSH_HEAD_H
#define SLUICE_PUSH_HEAD_H

#include "push/library.h"
#include "store.h"

/* NULL: no memory. Freed with curl_slist_free_all. */
struct curl_slist *push_head_make(const struct push_library *lib, const struct sub_state *sub,
                                  const struct store_entry *m, uint32_t deliveries);

/* What they take, at most: in the list, and as libcurl puts them together to send them. */
size_t push_head_room(const struct record *r);

#endif
