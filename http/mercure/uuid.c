#include "mercure/uuid.h"

#include "base/bytes.h"
#include "base/log.h"

#include <sys/random.h>

#define POOL_BYTES 256 /* what getrandom gives without ever being interrupted */

/* A thread's own. */
static _Thread_local struct source {
    uint8_t pool[POOL_BYTES];
    size_t left; /* of them unused, at the end */
    int64_t ms;  /* of the last name of version 7 */
    uint64_t order;
} source;

/* No byte is given twice. */
static enum err fill(struct source *s, void *bytes, size_t n)
{
    if (s->left < n) {
        if (getrandom(s->pool, sizeof s->pool, 0) != sizeof s->pool) {
            LOG_ERROR("http", "no_random_bytes");
            return ERR_IO;
        }
        s->left = sizeof s->pool;
    }
    memcpy(bytes, s->pool + sizeof s->pool - s->left, n);
    s->left -= n;
    return ERR_OK;
}

static void write(char *out, uint8_t bits[16], uint8_t version)
{
    static const char hex[] = "0123456789abcdef", prefix[] = "urn:uuid:";

    bits[6] = (uint8_t)(version << 4 | (bits[6] & 0x0f));
    bits[8] = 0x80 | (bits[8] & 0x3f);
    memcpy(out, prefix, sizeof prefix - 1);
    out += sizeof prefix - 1;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = hex[bits[i] >> 4];
        *out++ = hex[bits[i] & 15];
    }
    *out = 0;
}

enum err mercure_uuid_v4(char out[MERCURE_URN_LEN + 1])
{
    uint8_t bits[16];
    enum err e = fill(&source, bits, sizeof bits);

    if (!e)
        write(out, bits, 4);
    return e;
}

/* The 64 bits behind the time and the version. In a new millisecond they begin anywhere in
 * the lower half; within one they grow by a random step, which is below 2^32 so that it
 * takes 2^31 names of one millisecond to come round. (RFC 9562, 6.2, method 2.) */
static enum err next_order(struct source *s, int64_t wall_ms)
{
    uint64_t random;
    enum err e = fill(s, &random, sizeof random);

    if (e)
        return e;
    if (s->order && wall_ms == s->ms)
        s->order += 1 + (random >> 32);
    else
        s->order = random >> 1;
    s->ms = wall_ms;
    return ERR_OK;
}

/*
 *   48 bits time | 4 version | 12 order | 2 variant | 52 order | 10 random
 */
enum err mercure_uuid_v7(char out[MERCURE_URN_LEN + 1], int64_t wall_ms)
{
    struct source *s = &source;
    uint8_t bits[16];
    uint16_t tail;
    enum err e = fill(s, &tail, sizeof tail);

    if (!e)
        e = next_order(s, wall_ms);
    if (e)
        return e;
    put_be64(bits, (uint64_t)wall_ms << 16 | s->order >> 52);
    put_be64(bits + 8, (s->order & 0xfffffffffffff) << 10 | (tail & 0x3ff));
    write(out, bits, 7);
    return ERR_OK;
}
