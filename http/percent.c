#include "percent.h"

int percent_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(struct bytes in, uint8_t plus, void *out, size_t *len)
{
    const uint8_t *p = in.data, *end = p + in.len;
    uint8_t *to = out;

    for (*len = 0; p < end; p++) {
        int high, low;

        if (*p != '%') {
            to[(*len)++] = *p == '+' ? plus : *p;
            continue;
        }
        if (end - p < 3)
            return false;
        high = percent_digit(p[1]);
        low = percent_digit(p[2]);
        if (high < 0 || low < 0)
            return false;
        to[(*len)++] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    return true;
}

size_t percent_encoded_len(struct bytes in, percent_stays_fn stays)
{
    const uint8_t *p = in.data;
    size_t len = 0;

    for (size_t i = 0; i < in.len; i++)
        len += stays(p[i]) ? 1 : 3;
    return len;
}

void percent_encode(struct bytes in, percent_stays_fn stays, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t *p = in.data;

    for (size_t i = 0; i < in.len; i++) {
        if (stays(p[i])) {
            *out++ = (char)p[i];
            continue;
        }
        *out++ = '%';
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
}
