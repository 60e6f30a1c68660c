#include "base64.h"

static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* A letter's value plus one; 0: not a letter. */
/* clang-format off */
static const uint8_t values[256] = {
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6,
    ['G'] = 7, ['H'] = 8, ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12,
    ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
    ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60,
    ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};
/* clang-format on */

void base64_encode(struct bytes in, char *out)
{
    const uint8_t *p = in.data;
    size_t left = in.len;
    uint32_t v;

    for (; left >= 3; left -= 3, p += 3, out += 4) {
        v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        out[0] = letters[v >> 18];
        out[1] = letters[v >> 12 & 63];
        out[2] = letters[v >> 6 & 63];
        out[3] = letters[v & 63];
    }
    if (!left)
        return;
    v = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);
    out[0] = letters[v >> 18];
    out[1] = letters[v >> 12 & 63];
    out[2] = left == 2 ? letters[v >> 6 & 63] : '=';
    out[3] = '=';
}

/* The letters without their padding; false when it is not all there or not right. */
static bool strip_padding(struct bytes *in)
{
    const char *p = in->data;
    size_t stripped = 0;

    if (in->len % 4 == 0)
        while (stripped < 2 && in->len && p[in->len - 1] == '=') {
            in->len--;
            stripped++;
        }
    return in->len % 4 != 1;
}

bool base64_decode(struct bytes in, uint8_t *out, size_t *len)
{
    const uint8_t *p = in.data;
    uint8_t *o = out;
    uint32_t v = 0, bits = 0;

    if (!strip_padding(&in))
        return false;
    for (; in.len >= 4; in.len -= 4, p += 4) {
        uint8_t a = values[p[0]], b = values[p[1]], c = values[p[2]], d = values[p[3]];

        if (!a || !b || !c || !d)
            return false;
        v = (uint32_t)(a - 1) << 18 | (uint32_t)(b - 1) << 12 | (uint32_t)(c - 1) << 6 |
            (uint32_t)(d - 1);
        *o++ = (uint8_t)(v >> 16);
        *o++ = (uint8_t)(v >> 8);
        *o++ = (uint8_t)v;
    }
    for (v = 0; in.len; in.len--, p++, bits += 6) {
        if (!values[*p])
            return false;
        v = v << 6 | (uint32_t)(values[*p] - 1);
    }
    for (; bits >= 8; bits -= 8)
        *o++ = (uint8_t)(v >> (bits - 8));
    *len = (size_t)(o - out);
    return (v & ((1u << bits) - 1)) == 0;
}
