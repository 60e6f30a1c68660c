/*
 * pulsar_results - what became of each message of a request: the body of Pulsar's answer.
 *
 *   {"messagePublishResults":[{"messageId":"0:42:-1","errorCode":0,"schemaVersion":0},
 *    {"messageId":"-1","errorCode":2,"errorMsg":"...","schemaVersion":0}],"schemaVersion":0}
 *
 * The answer can be much longer than the request was, so it is never there as a whole: what
 * is kept is where the stored ones begin and which were refused, and the text is made piece
 * by piece as the socket takes it. Stored messages have offsets in a row, in their order.
 *
 * Pure: no allocation. Threads: one at a time.
 */
#ifndef SLUICE_PULSAR_RESULTS_H
#define SLUICE_PULSAR_RESULTS_H

#include "base/bytes.h"
#include "base/err.h"
#include "ledger.h"

/* Messages that may be refused one by one; a request with more of them is refused whole. */
#define PULSAR_REFUSED_MAX 64

/* The first half of a message id, where Pulsar has the ledger's. Offsets are never used
 * twice, so it can be the same for ever. */
#define PULSAR_EPOCH "0"

struct pulsar_results { /* all zero: of no message */
    uint64_t first_offset;
    size_t count; /* messages in the request, stored or not */
    size_t refused_count;
    struct pulsar_refused {
        size_t index;
        const char *why; /* for errorMsg; constant */
    } refused[PULSAR_REFUSED_MAX];

    /* Where the text is. */
    size_t next, next_refused;
    enum { RESULTS_HEAD, RESULTS_EACH, RESULTS_END } part;
    char piece[256];
    size_t piece_len, piece_at;

    struct grant grant; /* whose holder streams them; empty for the others */
};

/* Messages come in order. False: there are PULSAR_REFUSED_MAX already. */
MUST_CHECK bool pulsar_results_refuse(struct pulsar_results *r, size_t index,
                                      const char *why);

/* The next bytes of the text, at most `size`; 0: that was all. */
size_t pulsar_results_read(struct pulsar_results *r, char *buf, size_t size);

/* Reading begins again. */
void pulsar_results_rewind(struct pulsar_results *r);

#endif
