#include "siphash.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

/* The vectors of the paper's reference: secret 00 01 ... 0f, text 00 01 ... */
static uint64_t of(size_t len)
{
    uint8_t secret[16], text[64];

    for (int i = 0; i < 16; i++)
        secret[i] = (uint8_t)i;
    for (int i = 0; i < 64; i++)
        text[i] = (uint8_t)i;
    return siphash(secret, bytes_of(text, len));
}

Test(siphash, is_the_algorithm_it_says)
{
    cr_assert(eq(u64, of(0), 0x726fdb47dd0e0e31));
    cr_assert(eq(u64, of(8), 0x93f5f5799a932462));
    cr_assert(eq(u64, of(15), 0xa129ca6149be45e5));
}

/* The reference's vectors of 128 bits, and what OpenSSL says. */
static const char *of_pieces(size_t len, size_t piece)
{
    static char hex[2 * SIPHASH128_LEN + 1];
    uint8_t secret[16], text[64], out[SIPHASH128_LEN];
    struct siphash128 h;

    for (int i = 0; i < 16; i++)
        secret[i] = (uint8_t)i;
    for (int i = 0; i < 64; i++)
        text[i] = (uint8_t)i;
    siphash128_start(&h, secret);
    for (size_t at = 0; at < len; at += piece)
        siphash128_add(&h, bytes_of(text + at, len - at < piece ? len - at : piece));
    siphash128_end(&h, out);
    for (size_t i = 0; i < sizeof out; i++)
        snprintf(hex + 2 * i, 3, "%02x", out[i]);
    return hex;
}

Test(siphash, has_128_bits_as_well_whatever_the_pieces)
{
    cr_assert(eq(str, (char *)of_pieces(0, 1), "a3817f04ba25a8e66df67214c7550293"));
    cr_assert(eq(str, (char *)of_pieces(1, 1), "da87c1d86b99af44347659119b22fc45"));
    cr_assert(eq(str, (char *)of_pieces(8, 8), "3b62a9ba6258f5610f83e264f31497b4"));
    cr_assert(eq(str, (char *)of_pieces(15, 15), "5493e99933b0a8117e08ec0f97cfc3d9"));
    for (size_t piece = 1; piece <= 63; piece++)
        cr_assert(eq(str, (char *)of_pieces(63, piece), "5150d1772f50834a503e069a973fbd7c"));
}

Test(siphash, depends_on_the_secret)
{
    uint8_t a[16] = { 0 }, b[16] = { 1 };

    cr_assert(ne(u64, siphash(a, bytes_str("topic")), siphash(b, bytes_str("topic"))));
}
