#include "lease.h"

#include "siphash.h"

#define PLAIN_LEN 20u
#define TOKEN_LEN 28u /* with the tag */

static const char letters[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Six bits a character, from the front; what is left of the last is 0. */
static void to_text(const uint8_t in[TOKEN_LEN], char out[LEASE_TEXT_LEN])
{
    unsigned held = 0, bits = 0;

    for (size_t i = 0; i < TOKEN_LEN; i++) {
        held = held << 8 | in[i];
        for (bits += 8; bits >= 6; bits -= 6)
            *out++ = letters[held >> (bits - 6) & 63];
    }
    *out = letters[held << (6 - bits) & 63];
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static bool from_text(struct bytes text, uint8_t out[TOKEN_LEN])
{
    const char *p = text.data;
    unsigned held = 0, bits = 0;
    size_t n = 0;

    if (text.len != LEASE_TEXT_LEN)
        return false;
    for (size_t i = 0; i < LEASE_TEXT_LEN; i++) {
        int v = value_of(p[i]);

        if (v < 0)
            return false;
        held = held << 6 | (unsigned)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (uint8_t)(held >> bits);
        }
    }
    return !(held & ((1u << bits) - 1)); /* so that a token has one form only */
}

static uint64_t tag_of(const uint8_t secret[16], const uint8_t plain[PLAIN_LEN])
{
    return siphash(secret, bytes_of(plain, PLAIN_LEN));
}

void lease_write(const uint8_t secret[16], const struct lease *l, char out[LEASE_TEXT_LEN])
{
    uint8_t token[TOKEN_LEN];

    put_be64(token, l->sub_id);
    put_be64(token + 8, l->offset);
    put_be32(token + 16, l->deliveries);
    put_be64(token + PLAIN_LEN, tag_of(secret, token));
    to_text(token, out);
}

bool lease_read(const uint8_t secret[16], struct bytes text, struct lease *out)
{
    uint8_t token[TOKEN_LEN];

    if (!from_text(text, token) || get_be64(token + PLAIN_LEN) != tag_of(secret, token))
        return false;
    *out = (struct lease){ get_be64(token), get_be64(token + 8), get_be32(token + 16) };
    return true;
}
