#include "url.h"

#include "base/text.h"
#include "percent.h"

/* Cuts ":verb" off the segment when the verb is a known one. */
static void split_verb(struct bytes *segment, const char *const *verbs,
                       struct bytes *verb)
{
    const char *colon = segment->len ? memrchr(segment->data, ':', segment->len) : NULL;
    size_t before;
    struct bytes after;

    if (!colon)
        return;
    before = (size_t)(colon - (const char *)segment->data);
    after = bytes_of(colon + 1, segment->len - before - 1);
    for (; *verbs; verbs++)
        if (bytes_eq(after, bytes_str(*verbs))) {
            *verb = after;
            segment->len = before;
            return;
        }
}

bool url_split(struct bytes path, const char *const *verbs, struct url_path *out)
{
    const char *p = path.data, *end, *slash;

    memset(out, 0, sizeof *out);
    if (!path.len || *p != '/')
        return false;
    end = p + path.len;
    while (p < end) {
        if (out->count == URL_SEGMENTS)
            return false;
        p++; /* the slash before the segment */
        slash = memchr(p, '/', (size_t)(end - p));
        slash = slash ? slash : end;
        out->segments[out->count++] = bytes_of(p, (size_t)(slash - p));
        p = slash;
    }
    split_verb(&out->segments[out->count - 1], verbs, &out->verb);
    return true;
}

bool url_decode_segment(struct bytes in, char *out, size_t *len)
{
    return percent_decode(in, '+', out, len);
}

bool url_decode_query(struct bytes in, char *out, size_t *len)
{
    return percent_decode(in, ' ', out, len);
}

/* RFC 3986's unreserved characters. */
static bool stays(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

size_t url_encoded_len(struct bytes in)
{
    return percent_encoded_len(in, stays);
}

void url_encode_segment(struct bytes in, char *out)
{
    percent_encode(in, stays, out);
}

const char *url_name_wrong(struct bytes name)
{
    if (!name.len)
        return "a name must not be empty";
    if (name.len > URL_NAME_MAX)
        return "a name may have at most 255 bytes";
    if (!text_is_utf8(name))
        return "a name must be UTF-8";
    if (!text_is_plain(name))
        return "a name must have no control characters";
    return NULL;
}
