#include "places.h"

#include "waiters.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(places, know_what_was_marked)
{
    struct places *p = places_new();
    unsigned slot = waiters_slot(bytes_str("t"));

    cr_assert(not(places_marked(p, slot)));
    places_mark(p, bytes_str("t"));
    cr_assert(places_marked(p, slot));
    cr_assert(not(places_marked(p, slot ^ 1)));
    places_mark(NULL, bytes_str("t")); /* where nobody asks */
    places_free(p);
}

Test(places, add_up_what_is_booked_until_it_is_given_back)
{
    struct places *p = places_new();
    struct places_booked now, a = { .bytes = 100, .messages = 1 },
                              b = { .bytes = 20, .messages = 3 };

    places_book(p, 7, a);
    now = places_book(p, 7, b);
    cr_assert(eq(u64, now.bytes, 120));
    cr_assert(eq(u64, now.messages, 4));
    places_give_back(p, 7, a);
    now = places_book(p, 7, b);
    cr_assert(eq(u64, now.bytes, 40));
    cr_assert(eq(u64, now.messages, 6));
    now = places_book(p, 8, b);
    cr_assert(eq(u64, now.bytes, 20));
    places_free(p);
}
