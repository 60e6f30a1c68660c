/*
 * request - the publishes a connection sends: what they look like, and sending one.
 *
 * A body's letters are not copied: a request is a front of its own, a shared middle and a
 * tail, written together.
 */
#ifndef HAMMER_REQUEST_H
#define HAMMER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "payload.h"

enum { REQUEST_MIX = 8 };

struct request_shape {
    const char *host;
    const char *topic;   /* "load-%d" or a plain name; already percent-encoded */
    uint64_t topics;     /* %d runs from 0 to topics - 1, a step for each request */
    const char *headers; /* complete lines ending in CRLF, or "" */
    bool own_topic;      /* each connection keeps to one of them instead */
    uint64_t batch;      /* 0: the body is the message; else lines of NDJSON, or Pulsar's messages */
    bool pulsar;         /* batch is at least 1 */
    bool chunked;
    uint64_t run;
    unsigned mixes;
    struct {
        unsigned percent_to; /* cumulated */
        uint64_t size;
    } mix[REQUEST_MIX];
};

struct request {
    char *front; /* owned; kept for the next one */
    size_t front_len, front_cap;
    const char *middle, *tail; /* lent, static */
    size_t middle_len, tail_len;
    size_t sent;
    struct payload first; /* of the first message; the others follow in sequence */
    uint64_t count;       /* messages */
    unsigned topic;
};

/* Copies `pattern` with "%d" replaced by `number`; other percent signs stay. */
void request_topic(char *to, size_t cap, const char *pattern, unsigned number);

/* "100" or "70%1KiB,25%16KiB,5%256KiB"; false when it is neither or is not 100 % in all. */
bool request_mix(struct request_shape *s, const char *text);

/* Prepares the request number `number` of connection `conn`, starting at message `seq`. */
void request_build(struct request *r, const struct request_shape *s, uint64_t conn,
                   uint64_t number, uint64_t seq);

/* Prepares `GET path` instead; both texts end up in the request. */
void request_get(struct request *r, const char *host, const char *path);

enum request_sent { REQUEST_SENT, REQUEST_PARTLY, REQUEST_FAILED };
/* Sends what is left; REQUEST_PARTLY: the socket is full; FAILED: errno. */
enum request_sent request_send(struct request *r, int fd);

#endif
