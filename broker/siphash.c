#include "siphash.h"

struct state {
    uint64_t a, b, c, d;
};

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

static void rounds(struct state *s, int count)
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

static void take_word(struct state *s, uint64_t word)
{
    s->d ^= word;
    rounds(s, 2);
    s->a ^= word;
}

/* The words' initial values are the algorithm's: "somepseudorandomlygeneratedbytes". */
uint64_t siphash(const uint8_t secret[16], struct bytes text)
{
    uint64_t low = read_le(secret, 8), high = read_le(secret + 8, 8);
    struct state s = { 0x736f6d6570736575 ^ low, 0x646f72616e646f6d ^ high,
                       0x6c7967656e657261 ^ low, 0x7465646279746573 ^ high };
    const uint8_t *p = text.data;
    size_t left = text.len;

    for (; left >= 8; p += 8, left -= 8)
        take_word(&s, read_le(p, 8));
    take_word(&s, read_le(p, left) | (uint64_t)text.len << 56);
    s.c ^= 0xff;
    rounds(&s, 4);
    return s.a ^ s.b ^ s.c ^ s.d;
}
