/* A text's lines, as events count them. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "sse_lines.h"

#include <stdlib.h>

/* The text's lines, with `|` for each line's end. */
static void expect_lines(struct bytes text, const char *lines)
{
    char got[4096] = "";
    struct bytes line;
    size_t len = 0;
    bool more;

    do {
        more = sse_next_line(&text, &line);
        memcpy(got + len, line.data ? line.data : "", line.len);
        len += line.len;
        got[len++] = '|';
    } while (more);
    got[len - 1] = 0;
    cr_assert(eq(str, got, (char *)(uintptr_t)lines));
}

Test(sse_lines, end_in_lf_cr_or_both)
{
    expect_lines(bytes_str("a\nb\rc\r\nd"), "a|b|c|d");
    expect_lines(bytes_str("a\n\rb"), "a||b");
    expect_lines(bytes_str("a\r\r\n\nb"), "a|||b");
}

Test(sse_lines, are_never_none)
{
    expect_lines(bytes_of(NULL, 0), "");
    expect_lines(bytes_str(""), "");
    expect_lines(bytes_str("\n"), "|");
    expect_lines(bytes_str("\r"), "|");
    expect_lines(bytes_str("\r\n"), "|");
    expect_lines(bytes_str("a\r\n"), "a|");
}

Test(sse_lines, are_found_however_long_they_are)
{
    for (size_t len = 0; len < 1500; len++) {
        char text[1600], lines[1600];

        memset(text, 'x', len);
        memcpy(text + len, "\r\ny\rz", 6);
        memset(lines, 'x', len);
        memcpy(lines + len, "|y|z", 5);
        expect_lines(bytes_str(text), lines);
    }
}

Test(sse_lines, end_with_the_text_and_not_behind_it)
{
    char *text = malloc(2); /* exactly, for the sanitizer */

    memcpy(text, "a\r", 2);
    expect_lines(bytes_of(text, 2), "a|");
    free(text);
}
