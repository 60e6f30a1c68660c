/*
 * The layout, see FORMAT.md: version, flags, then what the flags announce, then the
 * body. Times are kept as varints and the others as their distance from the first, so a
 * short message with a usual TTL costs 11 bytes more than its body.
 */
#include "record.h"

#define VERSION      1 /* of a record without an id */
#define VERSION_ID   2 /* the same, and bit 7 of the flags is HAS_ID */
#define VERSION_MORE 3 /* the same, and a second byte of flags, which are not all 0 */

enum {
    HAS_EXPIRY = 1 << 0,
    HAS_KEY = 1 << 1,
    HAS_ATTRIBUTES = 1 << 2,
    HAS_BLOB = 1 << 3,
    TYPE_SHIFT = 4, /* three bits: an index of well_known, or TYPE_TEXT */
    TYPE_MASK = 7 << TYPE_SHIFT,
    TYPE_TEXT = 7,
    HAS_ID = 1 << 7, /* not in VERSION */
};

enum { /* in the second byte */
    HAS_DELIVERY = 1 << 0,
    MORE_KNOWN = HAS_DELIVERY,
};

/* The position is on disk: only add at the end, and never more than TYPE_TEXT entries.
 */
static const char *const well_known[] = {
    "application/octet-stream",          "application/json",
    "text/plain; charset=utf-8",         "text/plain",
    "application/x-www-form-urlencoded",
};
#define WELL_KNOWN (sizeof well_known / sizeof *well_known)

_Static_assert(WELL_KNOWN <= TYPE_TEXT, "content type codes are three bits");

static unsigned type_code(struct bytes type)
{
    if (type.len == 0)
        return 0;
    for (unsigned i = 0; i < WELL_KNOWN; i++)
        if (bytes_eq(type, bytes_str(well_known[i])))
            return i;
    return TYPE_TEXT;
}

/* Modulo 2^64, so that any pair of times survives. */
static uint64_t distance(const struct record *r, int64_t ms)
{
    return (uint64_t)ms - (uint64_t)r->time_ms;
}

static size_t prefixed_len(struct bytes b)
{
    return varint_len(b.len) + b.len;
}

static size_t prefixed_put(uint8_t *p, struct bytes b)
{
    size_t n = varint_put(p, b.len);

    if (b.len)
        memcpy(p + n, b.data, b.len);
    return n + b.len;
}

size_t record_encoded_len(const struct record *r)
{
    size_t n = 2 + varint_len((uint64_t)r->time_ms);

    if (r->expires_ms)
        n += varint_len(distance(r, r->expires_ms));
    if (r->deliver_ms)
        n += 1 + varint_len(distance(r, r->deliver_ms));
    if (r->id.len)
        n += prefixed_len(r->id);
    if (r->key.len)
        n += prefixed_len(r->key);
    if (type_code(r->content_type) == TYPE_TEXT)
        n += prefixed_len(r->content_type);
    if (r->attributes.len)
        n += prefixed_len(r->attributes);
    if (r->blob_id)
        return n + varint_len(r->blob_id) + varint_len(r->blob_size);
    return n + r->body.len;
}

static uint8_t flags_of(const struct record *r)
{
    return (uint8_t)((r->expires_ms ? HAS_EXPIRY : 0) | (r->id.len ? HAS_ID : 0) |
                     (r->key.len ? HAS_KEY : 0) |
                     (r->attributes.len ? HAS_ATTRIBUTES : 0) |
                     (r->blob_id ? HAS_BLOB : 0) |
                     type_code(r->content_type) << TYPE_SHIFT);
}

void record_encode(const struct record *r, uint8_t *out)
{
    uint8_t *p = out, flags = flags_of(r), more = r->deliver_ms ? HAS_DELIVERY : 0;

    *p++ = more ? VERSION_MORE : flags & HAS_ID ? VERSION_ID : VERSION;
    *p++ = flags;
    if (more)
        *p++ = more;
    p += varint_put(p, (uint64_t)r->time_ms);
    if (flags & HAS_EXPIRY)
        p += varint_put(p, distance(r, r->expires_ms));
    if (more & HAS_DELIVERY)
        p += varint_put(p, distance(r, r->deliver_ms));
    if (flags & HAS_ID)
        p += prefixed_put(p, r->id);
    if (flags & HAS_KEY)
        p += prefixed_put(p, r->key);
    if ((flags & TYPE_MASK) >> TYPE_SHIFT == TYPE_TEXT)
        p += prefixed_put(p, r->content_type);
    if (flags & HAS_ATTRIBUTES)
        p += prefixed_put(p, r->attributes);
    if (flags & HAS_BLOB) {
        p += varint_put(p, r->blob_id);
        varint_put(p, r->blob_size);
    } else if (r->body.len) {
        memcpy(p, r->body.data, r->body.len);
    }
}

static bool take_varint(struct bytes *at, uint64_t *v)
{
    const uint8_t *p = at->data;
    size_t n = varint_get(p, p + at->len, v);

    *at = bytes_of(p + n, at->len - n);
    return n != 0;
}

static bool take(struct bytes *at, struct bytes *out)
{
    uint64_t len;

    if (!take_varint(at, &len) || len > at->len)
        return false;
    *out = bytes_of(at->data, (size_t)len);
    *at = bytes_of((const uint8_t *)at->data + len, at->len - (size_t)len);
    return true;
}

static bool take_distance(struct bytes *at, const struct record *r, int64_t *ms)
{
    uint64_t v;

    if (!take_varint(at, &v))
        return false;
    *ms = (int64_t)((uint64_t)r->time_ms + v);
    return true;
}

static bool take_times(struct bytes *at, uint8_t flags, uint8_t more, struct record *r)
{
    uint64_t v;

    if (!take_varint(at, &v))
        return false;
    r->time_ms = (int64_t)v;
    return (!(flags & HAS_EXPIRY) || take_distance(at, r, &r->expires_ms)) &&
           (!(more & HAS_DELIVERY) || take_distance(at, r, &r->deliver_ms));
}

static bool take_type(struct bytes *at, uint8_t flags, struct record *r)
{
    unsigned code = (flags & TYPE_MASK) >> TYPE_SHIFT;

    if (code == TYPE_TEXT)
        return take(at, &r->content_type);
    if (code >= WELL_KNOWN)
        return false;
    if (code)
        r->content_type = bytes_str(well_known[code]);
    return true;
}

static bool take_body(struct bytes *at, uint8_t flags, struct record *r)
{
    if (flags & HAS_BLOB)
        return take_varint(at, &r->blob_id) && take_varint(at, &r->blob_size) &&
               r->blob_id && at->len == 0;
    r->body = *at;
    return true;
}

static bool take_id(struct bytes *at, uint8_t flags, struct record *r)
{
    return !(flags & HAS_ID) ||
           (take(at, &r->id) && r->id.len && r->id.len <= RECORD_ID_MAX);
}

/* An older program takes a record with an id, or with more, for one of a version it does not
 * know. Moves *at past the flags. */
static bool take_flags(struct bytes *at, uint8_t *flags, uint8_t *more)
{
    const uint8_t *p = at->data;
    size_t len = 2;

    *more = 0;
    if (at->len < len || !p[0] || p[0] > VERSION_MORE)
        return false;
    *flags = p[1];
    if (p[0] == VERSION_MORE) {
        if (at->len < ++len)
            return false;
        *more = p[2];
    }
    *at = bytes_of(p + len, at->len - len);
    return p[0] == VERSION_MORE ? *more && !(*more & ~MORE_KNOWN)
                                : p[0] == VERSION_ID || !(*flags & HAS_ID);
}

enum err record_decode(struct bytes stored, struct record *r)
{
    struct bytes at = stored;
    uint8_t flags, more;

    memset(r, 0, sizeof *r);
    if (!take_flags(&at, &flags, &more) || !take_times(&at, flags, more, r) ||
        !take_id(&at, flags, r) ||
        (flags & HAS_KEY && !take(&at, &r->key)) || !take_type(&at, flags, r) ||
        (flags & HAS_ATTRIBUTES && !take(&at, &r->attributes)) || !take_body(&at, flags, r))
        return ERR_CORRUPT;
    return ERR_OK;
}

bool attribute_next(struct bytes *at, struct bytes *name, struct bytes *value)
{
    return at->len && take(at, name) && take(at, value);
}

size_t attribute_len(struct bytes name, struct bytes value)
{
    return prefixed_len(name) + prefixed_len(value);
}

size_t attribute_put(uint8_t *out, struct bytes name, struct bytes value)
{
    size_t n = prefixed_put(out, name);

    return n + prefixed_put(out + n, value);
}
