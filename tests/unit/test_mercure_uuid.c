#include "mercure/uuid.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS   1767225600123 /* 2026-01-01T00:00:00.123Z, 019b76daa87b in hexadecimal */
#define MANY     1000000
#define OF_EACH  (MANY / 4)
#define URN_ROOM (MERCURE_URN_LEN + 1)

/* urn:uuid:xxxxxxxx-xxxx-Vxxx-[89ab]xxx-xxxxxxxxxxxx, in small letters. */
static void expect_form(const char *urn, char version)
{
    const char *form = "urn:uuid:xxxxxxxx-xxxx-Vxxx-Nxxx-xxxxxxxxxxxx";

    cr_assert(eq(sz, strlen(urn), MERCURE_URN_LEN));
    for (size_t i = 0; i < MERCURE_URN_LEN; i++) {
        bool form_char = i < 9 || form[i] == '-';

        if (form[i] == 'V')
            cr_assert(eq(chr, urn[i], version), "%s", urn);
        else if (form[i] == 'N')
            cr_assert(strchr("89ab", urn[i]) != NULL, "%s", urn);
        else if (form_char)
            cr_assert(eq(chr, urn[i], form[i]), "%s", urn);
        else
            cr_assert(strchr("0123456789abcdef", urn[i]) != NULL, "%s", urn);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void expect_unique(char (*all)[URN_ROOM], size_t n)
{
    qsort(all, n, sizeof all[0], by_text);
    for (size_t i = 1; i < n; i++)
        cr_assert(ne(int, strcmp(all[i - 1], all[i]), 0), "%s", all[i]);
}

static void *one_thread(void *into)
{
    char (*all)[URN_ROOM] = into;

    for (size_t i = 0; i < OF_EACH; i++)
        if (mercure_uuid_v7(all[i], NOW_MS))
            return "it failed";
    return NULL;
}

/* Of all bytes' bits that are random, which were 0 and which were 1 in some name. */
static void expect_each_bit_both_ways(char (*all)[URN_ROOM], size_t n, size_t from)
{
    for (size_t at = from; at < MERCURE_URN_LEN; at++) {
        unsigned ones = 0, zeros = 0, wanted = 15;

        if (all[0][at] == '-' || at == 9 + 14) /* the version */
            continue;
        if (at == 9 + 19) /* the variant's two bits stay */
            wanted = 3;
        for (size_t i = 0; i < n; i++) {
            unsigned digit = (unsigned)strtoul((char[]){ all[i][at], 0 }, NULL, 16);

            ones |= digit;
            zeros |= ~digit;
        }
        cr_assert(eq(uint, ones & wanted, wanted), "digit %zu", at);
        cr_assert(eq(uint, zeros & wanted, wanted), "digit %zu", at);
    }
}

Test(mercure_uuid, version_7_begins_with_the_time)
{
    char urn[URN_ROOM];

    cr_assert(not(mercure_uuid_v7(urn, NOW_MS)));
    expect_form(urn, '7');
    cr_assert(eq(int, strncmp(urn, "urn:uuid:019b76da-a87b-7", 24), 0), "%s", urn);
    cr_assert(not(mercure_uuid_v7(urn, 0x0123456789ab)));
    cr_assert(eq(int, strncmp(urn, "urn:uuid:01234567-89ab-7", 24), 0), "%s", urn);
}

Test(mercure_uuid, version_4_is_random)
{
    char (*all)[URN_ROOM] = malloc(1000 * URN_ROOM);

    for (size_t i = 0; i < 1000; i++) {
        cr_assert(not(mercure_uuid_v4(all[i])));
        expect_form(all[i], '4');
    }
    expect_each_bit_both_ways(all, 1000, 9);
    expect_unique(all, 1000);
    free(all);
}

Test(mercure_uuid, what_follows_the_time_is_random_from_one_millisecond_to_the_next)
{
    char (*all)[URN_ROOM] = malloc(1000 * URN_ROOM);

    for (size_t i = 0; i < 1000; i++) {
        cr_assert(not(mercure_uuid_v7(all[i], NOW_MS + (int64_t)i)));
        expect_form(all[i], '7');
    }
    expect_each_bit_both_ways(all, 1000, 9 + 16); /* one of the first digit's is kept free */
    free(all);
}

Test(mercure_uuid, a_callers_later_names_are_behind_its_earlier_ones)
{
    char before[URN_ROOM] = "", urn[URN_ROOM];

    for (int i = 0; i < 100000; i++) {
        cr_assert(not(mercure_uuid_v7(urn, NOW_MS + i / 10000)));
        cr_assert(gt(int, strcmp(urn, before), 0), "%s behind %s", urn, before);
        strcpy(before, urn);
    }
}

Test(mercure_uuid, another_version_in_between_does_not_disturb_the_order)
{
    char before[URN_ROOM] = "", urn[URN_ROOM], other[URN_ROOM];

    for (int i = 0; i < 10000; i++) {
        cr_assert(not(mercure_uuid_v4(other)));
        cr_assert(not(mercure_uuid_v7(urn, NOW_MS)));
        cr_assert(gt(int, strcmp(urn, before), 0), "%s behind %s", urn, before);
        strcpy(before, urn);
    }
}

Test(mercure_uuid, a_clock_that_is_set_back_is_followed)
{
    char urn[URN_ROOM];

    cr_assert(not(mercure_uuid_v7(urn, NOW_MS)));
    cr_assert(not(mercure_uuid_v7(urn, NOW_MS - 3600000)));
    cr_assert(eq(int, strncmp(urn, "urn:uuid:019b76a3", 17), 0), "%s", urn);
}

Test(mercure_uuid, a_million_of_one_millisecond_from_four_threads_are_all_different)
{
    char (*all)[URN_ROOM] = malloc((size_t)MANY * URN_ROOM);
    pthread_t threads[4];
    void *why;

    for (size_t i = 0; i < 4; i++)
        cr_assert(not(pthread_create(&threads[i], NULL, one_thread, all + i * OF_EACH)));
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &why);
        cr_assert(eq(ptr, why, NULL));
    }
    expect_unique(all, MANY);
    free(all);
}
