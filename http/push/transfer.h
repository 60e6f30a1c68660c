/*
 * transfer - one message on its way to an endpoint: a POST of libcurl.
 *
 * The message's bytes go out as they are. A message that is stored whole is copied first; one
 * in chunks is read from the store as the socket takes it, pinned like a download (download.h).
 * Of the answer only the status counts: a body of more than a few KiB is not waited for.
 * Redirects are not followed, proxies and cookies not used, and an address that is not
 * public is not connected to unless push_private is on: it is looked at when the
 * connection is made, so a name that meanwhile stands for something else does not help.
 *
 * Memory:   push_transfer_room of the read ledger, granted before; and PUSH_CONNECTION_BYTES
 *           for the connection, which is kept for the next (pusher.h).
 * Threads:  the push thread.
 * Owner:    a plain struct in its owner's memory, at one place from begin to end.
 */
#ifndef SLUICE_PUSH_TRANSFER_H
#define SLUICE_PUSH_TRANSFER_H

#include "download.h"
#include "push/library.h"
#include "push/view.h"

struct push_client { /* what all transfers share */
    struct push_library lib;
    CURLM *multi;
    struct broker *broker;
    struct fetch fetch;
};

struct push_transfer { /* all zero: not begun */
    struct push_client *client;
    CURL *easy;
    struct curl_slist *head;
    uint8_t *body; /* NULL: streamed, or empty */
    struct download download;
    bool streams;
    uint64_t size, at;  /* of the body, and how much of it libcurl has taken */
    size_t answer_head; /* bytes of the answer so far */
    size_t answer_body;
    const char *refused; /* the kind of address that was not connected to, or NULL */
};

struct push_outcome {
    unsigned status;         /* 0: none was received */
    uint64_t retry_after_ms; /* of 429 and 503; 0: none */
    char error[PUSH_ERROR_SIZE]; /* for people; "": taken */
};

static inline bool push_outcome_taken(const struct push_outcome *o)
{
    return o->status >= 200 && o->status < 300;
}

/* What a message needs beside its connection. */
size_t push_transfer_room(const struct record *r);

/* How long it may take by push_timeout and its size, in ms. */
uint64_t push_transfer_ms(const struct config *c, uint64_t size);

/* With client->fetch open, whose entry *m is: it is closed then. `ms`: what is left of the
 * lease. ERR_NOT_FOUND: the message went in this moment. Unless ERR_OK nothing is begun. */
MUST_CHECK enum err push_transfer_begin(struct push_transfer *t, struct push_client *client,
                                        const struct sub_state *sub, struct store_entry *m,
                                        uint32_t deliveries, uint64_t ms);

/* libcurl says that it is over. */
void push_transfer_outcome(const struct push_transfer *t, CURLcode code,
                           struct push_outcome *out);

/* Frees what it has, also in the middle: then the connection is closed. */
void push_transfer_end(struct push_transfer *t);

#endif
