#include "attribute.h"

#include "packed.h"
#include "trace.h"

#include <strings.h>

static bool is_token(struct bytes name)
{
    static const bool marks[128] = {
        ['!'] = true,  ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true,
        ['\''] = true, ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true,
        ['^'] = true,  ['_'] = true, ['`'] = true, ['|'] = true, ['~'] = true,
    };
    const uint8_t *t = name.data;

    for (size_t i = 0; i < name.len; i++) {
        bool letter = (unsigned)((t[i] | 0x20) - 'a') < 26;

        if (!letter && (unsigned)(t[i] - '0') >= 10 && (t[i] > 127 || !marks[t[i]]))
            return false;
    }
    return name.len > 0;
}

bool attribute_header(struct bytes name, char to[ATTRIBUTE_HEADER_ROOM])
{
    size_t at = strlen("Message-");
    bool start = true;

    if (name.len > ATTRIBUTE_NAME_MAX)
        return false;
    if (trace_is_parent(name)) {
        strcpy(to, TRACE_PARENT);
        return true;
    }
    memcpy(to, "Message-", at);
    for (size_t i = 0; i < name.len; i++) {
        char c = ((const char *)name.data)[i];

        to[at++] = start && c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        start = c == '-';
    }
    to[at] = 0;
    return true;
}

bool attribute_is_reserved(struct bytes name)
{
    static const char *const reserved[] = { "key", "offset", "time", "expires-at" };

    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (name.len == strlen(reserved[i]) &&
            !strncasecmp(name.data, reserved[i], name.len))
            return true;
    return false;
}

bool attribute_name_is_fine(struct bytes name)
{
    return is_token(name) && !attribute_is_reserved(name);
}

bool attribute_is_packed(struct bytes run, struct bytes name)
{
    struct bytes other, value;

    while (packed_attribute(&run, &other, &value))
        if (other.len == name.len && !strncasecmp(other.data, name.data, name.len))
            return true;
    return false;
}
