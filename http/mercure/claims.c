#include "mercure/claims.h"

#include "span.h"

#include <stdlib.h>

#define NUMBER_ROOM 64
#define FAR_SECONDS 9.0e15 /* in milliseconds it still fits */

struct reading { /* spans of the token's text; empty: not there */
    struct bytes mercure, namespaced;
    struct bytes publish, subscribe, payload;
    int64_t valid_ms, expires_ms;
};

struct filling { /* how far the block is filled */
    struct bytes *views;
    char *text;
};

/* ---- numbers ---- */

/* Seconds, perhaps with a fraction. */
static const char *read_time(struct bytes raw, enum span_kind kind, int64_t *ms)
{
    char text[NUMBER_ROOM];
    double seconds;

    if (kind == SPAN_NULL)
        return NULL;
    if (kind != SPAN_NUMBER || raw.len >= sizeof text)
        return "exp or nbf is not a number";
    memcpy(text, raw.data, raw.len);
    text[raw.len] = '\0';
    seconds = strtod(text, NULL);
    if (seconds > FAR_SECONDS)
        seconds = FAR_SECONDS;
    if (seconds < -FAR_SECONDS)
        seconds = -FAR_SECONDS;
    *ms = (int64_t)(seconds * 1000);
    return NULL;
}

/* ---- lists of selectors ---- */

/* Counts the selectors and the bytes they need at most; with `f`, takes them over. */
static const char *walk(struct bytes list, size_t *count, size_t *bytes, struct filling *f)
{
    struct bytes raw;
    enum span_kind kind;
    const char *why;
    size_t len;
    bool more;

    *count = 0;
    why = list.len ? span_open(&list, '[', &more) : NULL;
    if (why || !list.len)
        return why;
    while (more) {
        if (span_value(&list, &raw, &kind) || kind != SPAN_STRING ||
            ++*count > MERCURE_SELECTORS_MAX)
            return "its list of selectors is not one of at most 1000 strings";
        *bytes += raw.len - 2;
        if (f && (why = span_unescape(raw, (uint8_t *)f->text, &len)))
            return why;
        if (f) {
            *f->views++ = bytes_of(f->text, len);
            f->text += len;
        }
        if ((why = span_more(&list, ']', &more)))
            return why;
    }
    return NULL;
}

/* ---- the payload ---- */

/* The JSON text without what stands between its tokens; returns its length. */
static size_t compact(struct bytes json, char *out)
{
    const char *in = json.data, *end = in + json.len;
    bool in_string = false;
    char *to = out;

    for (; in < end; in++) {
        if (!in_string && strchr(" \t\r\n", *in))
            continue;
        *to++ = *in;
        if (in_string && *in == '\\')
            *to++ = *++in;
        else if (*in == '"')
            in_string = !in_string;
    }
    return (size_t)(to - out);
}

/* ---- members ---- */

typedef const char *(*member_fn)(struct reading *to, struct bytes name, struct bytes raw,
                                 enum span_kind kind);

static const char *each_member(struct bytes object, member_fn take, struct reading *to)
{
    struct bytes name, raw;
    enum span_kind kind;
    const char *why;
    bool more;

    why = span_open(&object, '{', &more);
    while (!why && more) {
        why = span_member(&object, &name, &raw, &kind, &more);
        if (!why)
            why = take(to, name, raw, kind);
    }
    return why;
}

static const char *take_list(struct bytes *list, struct bytes raw, enum span_kind kind)
{
    *list = kind == SPAN_NULL ? bytes_of("", 0) : raw;
    return kind == SPAN_NULL || kind == SPAN_ARRAY ? NULL : "its selectors are not in a list";
}

static const char *take_of_mercure(struct reading *to, struct bytes name, struct bytes raw,
                                   enum span_kind kind)
{
    if (span_string_is(name, "publish"))
        return take_list(&to->publish, raw, kind);
    if (span_string_is(name, "subscribe"))
        return take_list(&to->subscribe, raw, kind);
    if (span_string_is(name, "payload"))
        to->payload = kind == SPAN_NULL ? bytes_of("", 0) : raw;
    return NULL;
}

static const char *take_object(struct bytes *object, struct bytes raw, enum span_kind kind)
{
    *object = kind == SPAN_NULL ? bytes_of("", 0) : raw;
    return kind == SPAN_NULL || kind == SPAN_OBJECT ? NULL
                                                    : "its claim mercure is not an object";
}

static const char *take_of_token(struct reading *to, struct bytes name, struct bytes raw,
                                 enum span_kind kind)
{
    if (span_string_is(name, "exp"))
        return read_time(raw, kind, &to->expires_ms);
    if (span_string_is(name, "nbf"))
        return read_time(raw, kind, &to->valid_ms);
    if (span_string_is(name, "mercure"))
        return take_object(&to->mercure, raw, kind);
    if (span_string_is(name, "https://mercure.rocks/"))
        return take_object(&to->namespaced, raw, kind);
    return NULL;
}

static const char *read_all(struct bytes json, struct reading *to)
{
    struct bytes object;
    const char *why;

    if (!span_is_json(json))
        return "it does not hold JSON";
    if ((why = each_member(json, take_of_token, to)))
        return why;
    object = to->namespaced.len ? to->namespaced : to->mercure;
    return object.len ? each_member(object, take_of_mercure, to) : NULL;
}

/* ---- the block ---- */

static const char *fill(const struct reading *from, struct mercure_claims *c)
{
    struct filling f = { (struct bytes *)(c + 1), NULL };
    size_t ignored = 0;
    const char *why;

    f.text = (char *)(f.views + c->publish_count + c->subscribe_count);
    c->publish = f.views;
    if ((why = walk(from->publish, &c->publish_count, &ignored, &f)))
        return why;
    c->subscribe = f.views;
    if ((why = walk(from->subscribe, &c->subscribe_count, &ignored, &f)))
        return why;
    c->payload = bytes_of(f.text, compact(from->payload, f.text));
    return NULL;
}

enum err mercure_claims_read(struct bytes json, struct mercure_claims **out, const char **why)
{
    struct reading from = { .valid_ms = INT64_MIN, .expires_ms = INT64_MAX };
    struct mercure_claims size = { .bytes = sizeof size }, *c;
    const char *wrong = read_all(json, &from);

    if (!wrong)
        wrong = walk(from.publish, &size.publish_count, &size.bytes, NULL);
    if (!wrong)
        wrong = walk(from.subscribe, &size.subscribe_count, &size.bytes, NULL);
    if (wrong) {
        *why = wrong;
        return ERR_BAD_INPUT;
    }
    size.bytes += from.payload.len +
                  (size.publish_count + size.subscribe_count) * sizeof(struct bytes);
    c = malloc(size.bytes);
    if (!c)
        return ERR_NO_MEMORY;
    *c = size;
    c->valid_ms = from.valid_ms;
    c->expires_ms = from.expires_ms;
    if ((wrong = fill(&from, c))) {
        free(c);
        *why = wrong;
        return ERR_BAD_INPUT;
    }
    *out = c;
    return ERR_OK;
}
