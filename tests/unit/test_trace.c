#include "trace.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define IDS "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"

static bool is_fine(const char *text)
{
    return trace_parent_is_fine(bytes_str(text));
}

Test(trace, of_version_00_has_its_four_parts_and_nothing_more)
{
    cr_assert(is_fine("00-" IDS "-01"));
    cr_assert(not(is_fine("00-" IDS "-01-what")));
    cr_assert(not(is_fine("00-" IDS "-0")));
    cr_assert(not(is_fine("00-" IDS "-")));
    cr_assert(not(is_fine("00-" IDS)));
    cr_assert(not(is_fine("")));
}

Test(trace, of_a_later_version_may_say_more)
{
    cr_assert(is_fine("cc-" IDS "-01"));
    cr_assert(is_fine("cc-" IDS "-01-what"));
    cr_assert(not(is_fine("cc-" IDS "-01what")));
    cr_assert(not(is_fine("ff-" IDS "-01")));
}

Test(trace, ids_are_lower_case_and_not_all_zero)
{
    cr_assert(not(is_fine("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")));
    cr_assert(not(is_fine("00-00000000000000000000000000000000-b7ad6b7169203331-01")));
    cr_assert(not(is_fine("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01")));
    cr_assert(not(is_fine("00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01")));
    cr_assert(not(is_fine("0x-" IDS "-01")));
    cr_assert(not(is_fine("00-" IDS "-0g")));
}
