#include "once.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static char key[STORE_RECEIPT_KEY_MAX + 1];

static const char *parsed(const char *value)
{
    size_t len = 0;

    if (!once_parse_key(bytes_str(value), key, &len))
        return "(no)";
    key[len] = 0;
    return key;
}

Test(once, a_key_is_a_string_in_quotation_marks)
{
    cr_assert(eq(str, (char *)parsed("\"8e03978e-40d5-43dd-bc93-6894a57f9324\""),
                 "8e03978e-40d5-43dd-bc93-6894a57f9324"));
    cr_assert(eq(str, (char *)parsed("\"a, b; c\""), "a, b; c"));
    cr_assert(eq(str, (char *)parsed("\"a\\\"b\\\\c\""), "a\"b\\c"));
}

Test(once, or_the_same_without_them)
{
    cr_assert(eq(str, (char *)parsed("8e03978e-40d5"), "8e03978e-40d5"));
    cr_assert(eq(str, (char *)parsed("a:b/c=d+e"), "a:b/c=d+e"));
}

Test(once, anything_else_is_no_key)
{
    const char *const wrong[] = { "",      "\"\"",     "\"",        "\"a",       "a\"",
                                  "a b",   "a,b",      "a;b",       "\"a\";b=1", "\"a\", \"b\"",
                                  "\"\\\"", "\"a\\n\"", "\"a\tb\"", "caf\xc3\xa9", "\"\xc3\xa9\"",
                                  "\"a\"b\"" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert(eq(str, (char *)parsed(wrong[i]), "(no)"), "%s", wrong[i]);
}

Test(once, a_key_has_255_characters_at_most)
{
    char value[STORE_RECEIPT_KEY_MAX + 4] = "\"";

    memset(value + 1, 'k', STORE_RECEIPT_KEY_MAX);
    strcpy(value + 1 + STORE_RECEIPT_KEY_MAX, "\"");
    cr_assert(eq(sz, strlen(parsed(value)), STORE_RECEIPT_KEY_MAX));
    strcpy(value + 1 + STORE_RECEIPT_KEY_MAX, "k\"");
    cr_assert(eq(str, (char *)parsed(value), "(no)"));
    value[1 + STORE_RECEIPT_KEY_MAX] = 0;
    cr_assert(eq(sz, strlen(parsed(value + 1)), STORE_RECEIPT_KEY_MAX));
    strcpy(value + 1 + STORE_RECEIPT_KEY_MAX, "k");
    cr_assert(eq(str, (char *)parsed(value + 1), "(no)"));
}
