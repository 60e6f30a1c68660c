#include "siphash.h"

static uint64_t rotate(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static uint64_t read_le(const uint8_t *p, size_t len)
{
    uint64_t v = 0;

    for (size_t i = 0; i < len; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void write_le(uint8_t *p, uint64_t v)
{
    for (size_t i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void rounds(struct siphash128 *s, int count)
{
    while (count--) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotate(s->b, 13) ^ s->a;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a = rotate(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = rotate(s->b, 17) ^ s->c;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c = rotate(s->c, 32);
    }
}

static void take_word(struct siphash128 *s, uint64_t word)
{
    s->d ^= word;
    rounds(s, 2);
    s->a ^= word;
}

/* The words' initial values are the algorithm's: "somepseudorandomlygeneratedbytes". */
static struct siphash128 begin(const uint8_t secret[16])
{
    uint64_t low = read_le(secret, 8), high = read_le(secret + 8, 8);

    return (struct siphash128){ 0x736f6d6570736575 ^ low, 0x646f72616e646f6d ^ high,
                                0x6c7967656e657261 ^ low, 0x7465646279746573 ^ high };
}

static struct bytes take_words(struct siphash128 *s, struct bytes text)
{
    const uint8_t *p = text.data;
    size_t left = text.len;

    for (; left >= 8; p += 8, left -= 8)
        take_word(s, read_le(p, 8));
    return bytes_of(p, left);
}

uint64_t siphash(const uint8_t secret[16], struct bytes text)
{
    struct siphash128 s = begin(secret);
    struct bytes rest = take_words(&s, text);

    take_word(&s, read_le(rest.data, rest.len) | (uint64_t)text.len << 56);
    s.c ^= 0xff;
    rounds(&s, 4);
    return s.a ^ s.b ^ s.c ^ s.d;
}

/* ---- 128 bits, in pieces ---- */

void siphash128_start(struct siphash128 *h, const uint8_t secret[16])
{
    *h = begin(secret);
    h->b ^= 0xee;
}

void siphash128_add(struct siphash128 *h, struct bytes piece)
{
    const uint8_t *p = piece.data;
    size_t have = h->len % 8, left = piece.len;
    struct bytes rest;

    h->len += left;
    while (have && left) {
        h->rest[have++] = *p++;
        left--;
        if (have < 8)
            continue;
        take_word(h, read_le(h->rest, 8));
        have = 0;
    }
    rest = take_words(h, bytes_of(p, left));
    if (rest.len)
        memcpy(h->rest, rest.data, rest.len);
}

void siphash128_end(struct siphash128 *h, uint8_t out[SIPHASH128_LEN])
{
    take_word(h, read_le(h->rest, h->len % 8) | h->len << 56);
    h->c ^= 0xee;
    rounds(h, 4);
    write_le(out, h->a ^ h->b ^ h->c ^ h->d);
    h->b ^= 0xdd;
    rounds(h, 4);
    write_le(out + 8, h->a ^ h->b ^ h->c ^ h->d);
}
