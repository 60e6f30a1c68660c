/*
 * Says what topic selectors match, to a test that knows it from elsewhere.
 *
 * Each line of the input is a selector and a topic, both in hexadecimal, with a space between.
 * Each line of the output is 0 or 1: does the one match the other.
 */
#include "mercure/selector.h"

#include <stdio.h>
#include <stdlib.h>

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* In place, up to the first byte that is no digit; *at is left there. */
static struct bytes take_hex(char **at)
{
    uint8_t *to = (uint8_t *)*at;
    struct bytes taken = bytes_of(to, 0);

    for (; **at > ' ' && (*at)[1] > ' '; *at += 2)
        to[taken.len++] = (uint8_t)(nibble(**at) << 4 | nibble((*at)[1]));
    return taken;
}

static int answer(char *line)
{
    struct mercure_selector *s;
    struct bytes text = take_hex(&line), topic;
    size_t bytes;
    int yes;

    if (*line++ != ' ')
        return -1;
    topic = take_hex(&line);
    s = mercure_selector_new(text, false, &bytes);
    if (!s)
        return -1;
    yes = mercure_selector_matches(s, topic);
    mercure_selector_free(s);
    return yes;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    int yes = 0;

    while (yes >= 0 && getline(&line, &room, stdin) > 0)
        if ((yes = answer(line)) >= 0)
            putchar('0' + yes), putchar('\n');
    free(line);
    return yes < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
