#include "base64.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static void expect_pair(const char *plain, const char *coded)
{
    char text[64] = "";
    uint8_t back[64];
    size_t len;

    base64_encode(bytes_str(plain), text);
    cr_assert(eq(str, text, (char *)coded));
    cr_assert(eq(sz, base64_len(strlen(plain)), strlen(coded)));
    cr_assert(base64_decode(bytes_str(coded), back, &len));
    cr_assert(bytes_eq(bytes_of(back, len), bytes_str(plain)));
}

static bool decodes(const char *coded)
{
    uint8_t out[64];
    size_t len;

    return base64_decode(bytes_str(coded), out, &len);
}

Test(base64, gives_the_examples_of_rfc_4648)
{
    expect_pair("", "");
    expect_pair("f", "Zg==");
    expect_pair("fo", "Zm8=");
    expect_pair("foo", "Zm9v");
    expect_pair("foob", "Zm9vYg==");
    expect_pair("fooba", "Zm9vYmE=");
    expect_pair("foobar", "Zm9vYmFy");
    expect_pair("\xfb\xff\xbf", "+/+/");
}

Test(base64, padding_is_whole_or_absent)
{
    cr_assert(decodes("Zg"));
    cr_assert(decodes("Zm8"));
    cr_assert(decodes("Zm9vYg"));
    cr_assert(not(decodes("Zg=")));
    cr_assert(not(decodes("Zm8==")));
    cr_assert(not(decodes("Zm9v=")));
    cr_assert(not(decodes("Zm9v====")));
    cr_assert(not(decodes("=")));
    cr_assert(not(decodes("==")));
    cr_assert(not(decodes("====")));
    cr_assert(not(decodes("Z===")));
    cr_assert(not(decodes("Zg==Zg==")));
}

Test(base64, refuses_other_letters_lengths_and_loose_bits)
{
    cr_assert(not(decodes("Z")));
    cr_assert(not(decodes("Zm9vY")));
    cr_assert(not(decodes("Zm9_")));
    cr_assert(not(decodes("Zm9-")));
    cr_assert(not(decodes("Zm9v\n")));
    cr_assert(not(decodes("Zm 9v")));
    cr_assert(not(decodes("Zh==")));
    cr_assert(not(decodes("Zh")));
    cr_assert(not(decodes("Zm9=")));
    cr_assert(not(decodes("Zm\x80v")));
}

Test(base64, every_length_comes_back_where_it_stood)
{
    uint8_t plain[100];
    char coded[140];
    size_t len;

    srand(3);
    for (size_t n = 0; n <= sizeof plain; n++) {
        for (size_t i = 0; i < n; i++)
            plain[i] = (uint8_t)rand();
        base64_encode(bytes_of(plain, n), coded);
        if (!base64_decode(bytes_of(coded, base64_len(n)), (uint8_t *)coded, &len) ||
            !bytes_eq(bytes_of(coded, len), bytes_of(plain, n)))
            cr_fatal("%zu bytes", n);
    }
}
