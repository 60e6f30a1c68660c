/*
 * pulsar_pack - the messages of a Pulsar produce request, turned into packed messages in
 * place (packed.h), at the front of the very buffer that holds their text.
 *
 *   payload        the message; a string, must be there
 *   key            "" is none
 *   properties     an object of strings: attributes, see attribute.h
 *   eventTime      whole milliseconds: the attribute pulsar-event-time
 *   sequenceId     a whole number: the attribute pulsar-seq
 *   deliverAt      whole milliseconds: subscriptions do not hand it out before (publish_delay.h)
 *   deliverAfterMs the same, counted from eventTime, or where that is missing from when it is
 *                  stored; does not count where there is a deliverAt. 0 is none of either
 *
 * Other members are skipped. A message with something wrong is refused, alone, with a
 * reason; what is not an object, or too much of either, refuses the request.
 *
 * Pure: no allocation. Threads: any.
 */
#ifndef SLUICE_PULSAR_PACK_H
#define SLUICE_PULSAR_PACK_H

#include "pulsar_envelope.h"
#include "pulsar_results.h"

#define PULSAR_EVENT_TIME "pulsar-event-time"
#define PULSAR_SEQUENCE   "pulsar-seq"
#define PULSAR_PRODUCER   "pulsar-producer" /* the same for a whole request: not packed */

/* Most bytes of attributes of one message, as packed. */
#define PULSAR_ATTRIBUTES_ROOM 8704u

struct pulsar_limits {
    size_t max_messages;   /* stored or not */
    size_t max_body_bytes; /* of one message; at most 16MiB */
};

struct pulsar_packing {
    size_t count;      /* messages packed */
    size_t packed_len; /* they are buf[0..packed_len) */
    uint64_t body_bytes;
    bool delayed;      /* some of them */
    char reason[PULSAR_REASON_ROOM]; /* after an error */
};

/* `e` is what pulsar_open_envelope found in `buf`. *results is empty, and gets the number of
 * messages and those refused. ERR_BAD_INPUT, ERR_TOO_BIG (max_messages): the request is
 * refused, and the buffer holds nothing of use. */
MUST_CHECK enum err pulsar_pack(uint8_t *buf, const struct pulsar_envelope *e,
                                const struct pulsar_limits *limits,
                                struct pulsar_results *results,
                                struct pulsar_packing *out);

#endif
