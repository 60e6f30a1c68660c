#include "mercure/uuid.h"

#include "base/log.h"

#include <string.h>
#include <sys/random.h>

static enum err fill(uint8_t bits[16])
{
    if (getrandom(bits, 16, 0) == 16)
        return ERR_OK;
    LOG_ERROR("http", "no_random_bytes");
    return ERR_IO;
}

static void write(char *out, uint8_t bits[16], uint8_t version)
{
    static const char hex[] = "0123456789abcdef", prefix[] = "urn:uuid:";

    bits[6] = (uint8_t)(version << 4 | (bits[6] & 0x0f));
    bits[8] = 0x80 | (bits[8] & 0x3f);
    memcpy(out, prefix, sizeof prefix - 1);
    out += sizeof prefix - 1;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = hex[bits[i] >> 4];
        *out++ = hex[bits[i] & 15];
    }
    *out = 0;
}

enum err mercure_uuid_v4(char out[MERCURE_URN_LEN + 1])
{
    uint8_t bits[16];
    enum err e = fill(bits);

    if (!e)
        write(out, bits, 4);
    return e;
}

enum err mercure_uuid_v7(char out[MERCURE_URN_LEN + 1], int64_t wall_ms)
{
    uint8_t bits[16];
    enum err e = fill(bits);

    if (e)
        return e;
    for (int i = 0; i < 6; i++)
        bits[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
    write(out, bits, 7);
    return ERR_OK;
}
