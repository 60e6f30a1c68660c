#include "payload.h"

#include <stdlib.h>
#include <string.h>

static char *letters;
static size_t letters_len;

void payload_prepare(size_t largest)
{
    if (largest <= letters_len)
        return;
    letters_len = largest;
    letters = realloc(letters, largest + 26);
    if (!letters)
        abort();
    for (size_t i = 0; i < largest + 26; i++)
        letters[i] = (char)('a' + i % 26);
}

static char *put_decimal(char *to, uint64_t v, int width)
{
    for (int i = width - 1; i >= 0; i--, v /= 10)
        to[i] = (char)('0' + v % 10);
    to[width] = ' ';
    return to + width + 1;
}

void payload_head(char *to, const struct payload *p)
{
    memcpy(to, "hammer ", 7);
    to = put_decimal(to + 7, p->run, 8);
    to = put_decimal(to, p->conn, 6);
    to = put_decimal(to, p->seq, 10);
    put_decimal(to, p->size, 10);
}

const char *payload_letters(const struct payload *p)
{
    return letters + p->seq % 26;
}

static bool get_decimal(const char **at, int width, uint64_t *out)
{
    *out = 0;
    for (int i = 0; i < width; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *out = *out * 10 + (uint64_t)(**at - '0');
    }
    return *(*at)++ == ' ';
}

bool payload_check(const char *body, size_t len, struct payload *out)
{
    const char *at = body + 7;

    if (len < PAYLOAD_HEAD || memcmp(body, "hammer ", 7) != 0)
        return false;
    if (!get_decimal(&at, 8, &out->run) || !get_decimal(&at, 6, &out->conn) ||
        !get_decimal(&at, 10, &out->seq) || !get_decimal(&at, 10, &out->size))
        return false;
    if (out->size != len)
        return false;
    payload_prepare(len);
    return memcmp(at, payload_letters(out), len - PAYLOAD_HEAD) == 0;
}
