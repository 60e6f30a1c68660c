#include "filter.h"

#include <strings.h>

_Static_assert(FILTER_PAIRS_MAX <= 32, "a bit for each pair");

static int compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? strncasecmp(a.data, b.data, common) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool filter_read(const struct sub_settings *s, struct filter *f)
{
    struct bytes at = sub_extra(s, SUB_FILTER), name, value;

    f->count = 0;
    while (at.len) {
        if (f->count == FILTER_PAIRS_MAX || !attribute_next(&at, &name, &value))
            return false;
        f->names[f->count] = name;
        f->values[f->count++] = value;
    }
    return true;
}

bool filter_add(struct filter *f, struct bytes name, struct bytes value, bool *twice)
{
    unsigned at = 0;

    while (at < f->count && compare(f->names[at], name) < 0)
        at++;
    *twice = at < f->count && compare(f->names[at], name) == 0;
    if (*twice || f->count == FILTER_PAIRS_MAX)
        return false;
    memmove(f->names + at + 1, f->names + at, (f->count - at) * sizeof *f->names);
    memmove(f->values + at + 1, f->values + at, (f->count - at) * sizeof *f->values);
    f->names[at] = name;
    f->values[at] = value;
    f->count++;
    return true;
}

/* A name has no bytes but those of a header. */
static void put_name(uint8_t *to, struct bytes name)
{
    const char *from = name.data;

    for (size_t i = 0; i < name.len; i++)
        to[i] = (uint8_t)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] + 'a' - 'A' : from[i]);
}

bool filter_write(struct filter *f, struct sub_settings *s)
{
    uint8_t text[STORE_SUB_EXTRA_MAX];
    size_t len = 0;

    for (unsigned i = 0; i < f->count; i++) {
        size_t head = varint_len(f->names[i].len);

        if (attribute_len(f->names[i], f->values[i]) > sizeof text - len)
            return false;
        attribute_put(text + len, f->names[i], f->values[i]);
        put_name(text + len + head, f->names[i]);
        len += attribute_len(f->names[i], f->values[i]);
    }
    return sub_extra_set(s, SUB_FILTER, bytes_of(text, len));
}

/* A message has a name at most once, but nothing here depends on it. */
bool filter_passes(const struct filter *f, struct bytes attributes)
{
    uint32_t missing = (uint32_t)((1ull << f->count) - 1);
    struct bytes name, value;

    while (missing && attribute_next(&attributes, &name, &value))
        for (unsigned i = 0; i < f->count; i++)
            if (missing & 1u << i && bytes_eq(value, f->values[i]) &&
                compare(name, f->names[i]) == 0)
                missing &= ~(1u << i);
    return !missing;
}
