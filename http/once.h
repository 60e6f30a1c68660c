/*
 * once - Idempotency-Key: a publish that is sent again is stored once.
 *
 * While the body comes in it is hashed. If the key is known at the start, nothing more than
 * that is done with the body, however large it is, and the request is answered by the receipt.
 * Else the writer decides (publish_once.h): it may know the key by then.
 *
 *   start:   once_begin                    finish:  once_print
 *
 * Threads:  the request's loop.
 * Owner:    r->once is the request's, freed by once_free.
 */
#ifndef SLUICE_ONCE_H
#define SLUICE_ONCE_H

#include "publish.h"
#include "siphash.h"

struct request;

struct once {
    struct siphash128 body; /* of the body, as it comes */
    bool known;             /* the key has a receipt */
    struct receipt receipt;
};

/* The header's value: a string in quotation marks, or the same without them, of 1 to
 * STORE_RECEIPT_KEY_MAX characters. False: it is neither. Pure. */
MUST_CHECK bool once_parse_key(struct bytes value, char key[STORE_RECEIPT_KEY_MAX],
                               size_t *len);

/* The request has this key; empty: none. False: a problem was given. */
MUST_CHECK bool once_begin(struct request *r, struct bytes key);

static inline bool once_is_known(const struct once *o)
{
    return o && o->known;
}

/* The body has come: makes p->once.print of it and of what else `p` says of its message.
 * traceparent is left out, for it is another one each time a client tries. */
void once_print(struct request *r, struct publish *p);

void once_free(struct request *r);

#endif
