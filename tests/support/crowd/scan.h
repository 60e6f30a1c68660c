/*
 * scan - an answer of Server-Sent Events, taken apart as it comes and kept nowhere.
 *
 * The network may cut head, chunks and events wherever it likes. Of each line only the
 * beginning is kept: the id, the type, and what stands in front of the data, which the herald
 * wrote there: "SEQ-TIME-BEFORE-", the message's number, when it was published, and when the one
 * before it was (monotonic microseconds; 0: it is the first).
 *
 * Pure. All zero is a new connection.
 */
#ifndef CROWD_SCAN_H
#define CROWD_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scan_step { SCAN_MORE, SCAN_ENDED, SCAN_BAD };

struct scan_event {
    bool numbered; /* the herald's: the three numbers are there */
    uint64_t seq;
    int64_t time_us, before_us; /* before_us 0: it was the first */
    const char *type;           /* "" when it has none; lent for the call */
};

struct scan {
    uint8_t state;
    bool chunked, opened;
    bool has_data;
    uint8_t line_len; /* of `line`: what is kept of the line that is not over yet */
    int status;       /* 0: the status line is not here yet */
    uint64_t left;    /* bytes of the chunk */
    struct scan_event event;
    char type[12];
    char id[56];      /* of the last event that was whole: for Last-Event-ID */
    char next_id[56]; /* it becomes that at the event's end */
    char line[80];
};

struct scan_sink {
    void (*event)(void *arg, const struct scan_event *e);
    void (*opened)(void *arg); /* the head is here */
    void *arg;
};

/* SCAN_ENDED: the answer is over, by its own coding. SCAN_BAD: this is not HTTP. */
enum scan_step scan_feed(struct scan *s, const char *data, size_t len, const struct scan_sink *to);

/* A new connection of the same reader: only the id is kept. */
void scan_again(struct scan *s);

#endif
