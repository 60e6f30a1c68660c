#include "percent.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static bool letter(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

Test(percent, each_byte_comes_back_whether_it_stays_or_not)
{
    uint8_t all[256], back[3 * sizeof all];
    char text[3 * sizeof all];
    size_t len;

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    percent_encode(bytes_of(all, sizeof all), letter, text);
    cr_assert(eq(sz, percent_encoded_len(bytes_of(all, sizeof all), letter), 26 + 3 * 230));
    cr_assert(percent_decode(bytes_of(text, 26 + 3 * 230), ' ', back, &len));
    cr_assert(eq(sz, len, sizeof all));
    cr_assert(eq(int, memcmp(back, all, len), 0));
}

Test(percent, what_is_cut_short_or_has_no_digits_is_refused)
{
    static const char *const wrong[] = { "%", "%4", "a%", "%g0", "%0g", "%%41" };
    uint8_t out[8];
    size_t len;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect(not(percent_decode(bytes_str(wrong[i]), '+', out, &len)), "%s", wrong[i]);
}

Test(percent, it_is_undone_in_its_own_place_and_a_plus_is_what_is_told)
{
    char text[] = "%41+%2b%2B";
    size_t len;

    cr_assert(percent_decode(bytes_str(text), ' ', text, &len));
    cr_assert(bytes_eq(bytes_of(text, len), bytes_str("A ++")));
}
