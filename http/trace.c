#include "trace.h"

#include <strings.h>

/* version "-" trace-id "-" parent-id "-" flags, in lower case hexadecimal digits */
#define VERSION_LEN  2u
#define TRACE_ID_LEN 32u
#define PARENT_LEN   16u
#define FLAGS_LEN    2u
#define WHOLE_LEN    (VERSION_LEN + 1 + TRACE_ID_LEN + 1 + PARENT_LEN + 1 + FLAGS_LEN)

static bool is_hex(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
    return true;
}

static bool is_all(const char *p, size_t len, char c)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != c)
            return false;
    return true;
}

static bool is_id(const char *p, size_t len)
{
    return is_hex(p, len) && !is_all(p, len, '0');
}

/* A version after 00 may have more to say, behind another hyphen. */
static bool ends_well(struct bytes value)
{
    const char *p = value.data;

    if (value.len == WHOLE_LEN)
        return true;
    return !is_all(p, VERSION_LEN, '0') && p[WHOLE_LEN] == '-';
}

bool trace_parent_is_fine(struct bytes value)
{
    const char *p = value.data, *id = p + VERSION_LEN + 1, *parent = id + TRACE_ID_LEN + 1,
               *flags = parent + PARENT_LEN + 1;

    return value.len >= WHOLE_LEN && is_hex(p, VERSION_LEN) &&
           !is_all(p, VERSION_LEN, 'f') && id[-1] == '-' && is_id(id, TRACE_ID_LEN) &&
           parent[-1] == '-' && is_id(parent, PARENT_LEN) && flags[-1] == '-' &&
           is_hex(flags, FLAGS_LEN) && ends_well(value);
}

bool trace_is_parent(struct bytes name)
{
    return name.len == sizeof TRACE_PARENT - 1 &&
           !strncasecmp(name.data, TRACE_PARENT, name.len);
}
