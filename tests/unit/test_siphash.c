#include "siphash.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

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

Test(siphash, depends_on_the_secret)
{
    uint8_t a[16] = { 0 }, b[16] = { 1 };

    cr_assert(ne(u64, siphash(a, bytes_str("topic")), siphash(b, bytes_str("topic"))));
}
