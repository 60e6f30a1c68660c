#include "url.h"
#include "base/text.h"

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

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(struct bytes in, char *out, size_t *len, char plus)
{
    const char *p = in.data;
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        int high, low;

        if (p[i] != '%') {
            out[n++] = p[i] == '+' ? plus : p[i];
            continue;
        }
        if (in.len - i < 3)
            return false;
        high = hex_digit(p[i + 1]);
        low = hex_digit(p[i + 2]);
        if (high < 0 || low < 0)
            return false;
        out[n++] = (char)(high << 4 | low);
        i += 2;
    }
    *len = n;
    return true;
}

bool url_decode_segment(struct bytes in, char *out, size_t *len)
{
    return decode(in, out, len, '+');
}

bool url_decode_query(struct bytes in, char *out, size_t *len)
{
    return decode(in, out, len, ' ');
}

/* RFC 3986's unreserved characters. */
static bool stays(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

size_t url_encoded_len(struct bytes in)
{
    const char *p = in.data;
    size_t len = 0;

    for (size_t i = 0; i < in.len; i++)
        len += stays(p[i]) ? 1 : 3;
    return len;
}

void url_encode_segment(struct bytes in, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *p = in.data;

    for (size_t i = 0; i < in.len; i++) {
        if (stays(p[i])) {
            *out++ = p[i];
            continue;
        }
        *out++ = '%';
        *out++ = hex[(uint8_t)p[i] >> 4];
        *out++ = hex[p[i] & 15];
    }
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
