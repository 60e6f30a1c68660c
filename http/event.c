#include "event.h"

#include "base/text.h"
#include "percent.h"
#include "record.h"

#include <string.h>
#include <strings.h>

/* ---- forms ---- */

enum event_mode event_mode_of(struct bytes type)
{
    static const char family[] = "application/cloudevents";
    const char *text = type.data;
    size_t len = 0;

    while (len < type.len && !strchr("; \t", text[len]))
        len++;
    if (len < sizeof family - 1 || strncasecmp(text, family, sizeof family - 1) != 0)
        return EVENT_BINARY;
    text += sizeof family - 1;
    len -= sizeof family - 1;
    if (len == 5 && !strncasecmp(text, "+json", len))
        return EVENT_STRUCTURED;
    if (len == 11 && !strncasecmp(text, "-batch+json", len))
        return EVENT_BATCHED;
    return EVENT_UNKNOWN;
}

/* ---- attributes ---- */

bool event_has_prefix(struct bytes name)
{
    return name.len > EVENT_PREFIX_LEN &&
           !strncasecmp(name.data, EVENT_PREFIX, EVENT_PREFIX_LEN);
}

static const char *const required[] = { "specversion", "id", "source", "type" };
#define REQUIRED (sizeof required / sizeof *required)

static bool is(struct bytes name, const char *what)
{
    return name.len == strlen(what) && !strncasecmp(name.data, what, name.len);
}

unsigned event_required(struct bytes name)
{
    for (unsigned i = 0; i < REQUIRED; i++)
        if (is(name, required[i]))
            return 1u << i;
    return 0;
}

const char *event_missing(unsigned seen)
{
    unsigned i = 0;

    while (i < REQUIRED - 1 && seen & 1u << i)
        i++;
    return required[i];
}

static bool is_name(struct bytes name)
{
    const char *p = name.data;

    for (size_t i = 0; i < name.len; i++) {
        char c = p[i] | 0x20;

        if (!((p[i] >= '0' && p[i] <= '9') || (c >= 'a' && c <= 'z')))
            return false;
    }
    return name.len && name.len <= EVENT_NAME_MAX;
}

const char *event_wrong(struct bytes name, struct bytes value)
{
    int64_t time_ms;

    if (!is_name(name))
        return "its name has other characters than letters and digits, or more than 100";
    if (is(name, "datacontenttype"))
        return "Content-Type says it";
    if (is(name, "data"))
        return "the body is it";
    if (!text_is_plain(value))
        return "it is not UTF-8 text without control characters";
    if (event_required(name) && !value.len)
        return "it is empty";
    if (is(name, "specversion") && !bytes_eq(value, bytes_str("1.0")))
        return "only 1.0 is known";
    if (is(name, "time") && !text_parse_time(value, &time_ms))
        return "it is not a time of RFC 3339";
    return NULL;
}

bool event_is(struct bytes attributes)
{
    struct bytes name, value;
    unsigned seen = 0;

    while (attribute_next(&attributes, &name, &value)) {
        struct bytes bare = bytes_of((const char *)name.data + EVENT_PREFIX_LEN,
                                     name.len - EVENT_PREFIX_LEN);

        if (event_has_prefix(name) && !event_wrong(bare, value))
            seen |= event_required(bare);
    }
    return seen == EVENT_REQUIRED;
}

/* ---- values in headers ---- */

/* "a \" b": the inside of it, with what backslashes stand before. */
static struct bytes unquote(struct bytes value, uint8_t *out)
{
    const uint8_t *p = value.data;
    size_t len = 0;

    if (value.len < 2 || p[0] != '"' || p[value.len - 1] != '"')
        return value;
    for (size_t i = 1; i < value.len - 1; i++) {
        if (p[i] == '\\' && i + 1 < value.len - 1)
            i++;
        out[len++] = p[i];
    }
    return bytes_of(out, len);
}

bool event_decode(struct bytes value, uint8_t *out, size_t *len)
{
    return percent_decode(unquote(value, out), '+', out, len);
}

static bool stays(uint8_t c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != '%';
}

size_t event_encoded_len(struct bytes value)
{
    return percent_encoded_len(value, stays);
}

void event_encode(struct bytes value, char *out)
{
    percent_encode(value, stays, out);
}
