#include "prefer.h"

#include <strings.h>

struct asked {
    const char *name, *value;
    bool found;
};

static struct bytes trimmed(const char *text, size_t len)
{
    while (len && (*text == ' ' || *text == '\t'))
        text++, len--;
    while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    return bytes_of(text, len);
}

static struct bytes unquoted(struct bytes text)
{
    const char *s = text.data;

    if (text.len >= 2 && s[0] == '"' && s[text.len - 1] == '"')
        return bytes_of(s + 1, text.len - 2);
    return text;
}

static bool is(struct bytes text, const char *word)
{
    return text.len == strlen(word) && !strncasecmp(text.data, word, text.len);
}

/* name=value, perhaps with parameters, which mean nothing to anybody here. */
static bool one_is(const char *text, size_t len, const struct asked *a)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : 0;
    size_t value_len = equals ? strcspn(equals + 1, ";,") : 0;
    struct bytes value;

    if (!equals || !is(trimmed(text, name_len), a->name))
        return false;
    value = unquoted(trimmed(equals + 1, value_len));
    return is(value, a->value);
}

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *name,
                            const char *value)
{
    struct asked *a = arg;

    (void)kind;
    if (!value || strcasecmp(name, "Prefer"))
        return MHD_YES;
    for (;;) {
        size_t len = strcspn(value, ",");

        a->found |= one_is(value, len, a);
        if (!value[len])
            return MHD_YES;
        value += len + 1;
    }
}

bool prefer_is(const struct request *r, const char *name, const char *value)
{
    struct asked a = { name, value, false };

    MHD_get_connection_values(r->conn, MHD_HEADER_KIND, look, &a);
    return a.found;
}
