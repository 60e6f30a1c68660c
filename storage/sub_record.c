/*
 * The extra settings stand behind one another, each at most once and in the order of their
 * numbers, so that equal settings have equal bytes:
 *
 *   { u8 which, u16 length, at least 1, bytes } ...
 */
#include "sub_record.h"

#define VERSION       2
#define VERSION_PLAIN 1 /* has no extra settings, nor their length */
#define PLAIN_FIXED   149u
#define NUMBERS       (3 + 5 + DELIVERY_STATES + 1)
#define EXTRA_HEAD    3u

static void put_be16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static size_t get_be16(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

/* ---- the extra settings ---- */

static size_t extra_bytes(const uint8_t *entry)
{
    return EXTRA_HEAD + get_be16(entry + 1);
}

/* Where it is, or would be. */
static uint8_t *place(const struct sub_settings *s, enum sub_extra which)
{
    const uint8_t *p = s->extra, *end = s->extra + s->extra_len;

    while (p < end && *p < which)
        p += extra_bytes(p);
    return (uint8_t *)p;
}

static bool is_there(const struct sub_settings *s, const uint8_t *p, enum sub_extra which)
{
    return p < s->extra + s->extra_len && *p == which;
}

struct bytes sub_extra(const struct sub_settings *s, enum sub_extra which)
{
    const uint8_t *p = place(s, which);

    return is_there(s, p, which) ? bytes_of(p + EXTRA_HEAD, get_be16(p + 1))
                                 : bytes_of(NULL, 0);
}

bool sub_extra_set(struct sub_settings *s, enum sub_extra which, struct bytes value)
{
    uint8_t *p = place(s, which), *end = s->extra + s->extra_len;
    size_t before = is_there(s, p, which) ? extra_bytes(p) : 0;
    size_t after = value.len ? EXTRA_HEAD + value.len : 0;

    if (value.len > STORE_SUB_EXTRA_MAX)
        return false;
    memmove(p + after, p + before, (size_t)(end - p) - before);
    s->extra_len = (uint16_t)(s->extra_len - before + after);
    if (!after)
        return true;
    *p = (uint8_t)which;
    put_be16(p + 1, value.len);
    memcpy(p + EXTRA_HEAD, value.data, value.len);
    return true;
}

bool sub_extras_equal(const struct sub_settings *a, const struct sub_settings *b)
{
    return bytes_eq(bytes_of(a->extra, a->extra_len), bytes_of(b->extra, b->extra_len));
}

static bool decode_extras(const uint8_t *p, size_t len, struct sub_settings *set)
{
    unsigned last = 0;
    size_t at = 0;

    while (len - at > EXTRA_HEAD && p[at] > last && p[at] < SUB_EXTRAS_END &&
           get_be16(p + at + 1) && get_be16(p + at + 1) <= STORE_SUB_EXTRA_MAX &&
           extra_bytes(p + at) <= len - at) {
        last = p[at];
        at += extra_bytes(p + at);
    }
    if (at != len)
        return false;
    memcpy(set->extra, p, len);
    set->extra_len = (uint16_t)len;
    return true;
}

/* ---- the row ---- */

static void numbers_of(struct sub_state *sub, uint64_t *out[NUMBERS])
{
    uint64_t *all[NUMBERS] = { &sub->id,
                               (uint64_t *)&sub->created_ms,
                               &sub->next,
                               &sub->counters.delivered,
                               &sub->counters.redelivered,
                               &sub->counters.acked,
                               &sub->counters.dead,
                               &sub->counters.expired };

    for (unsigned i = 0; i < DELIVERY_STATES; i++)
        all[8 + i] = &sub->in[i];
    all[NUMBERS - 1] = &sub->settings.lease_ms;
    memcpy(out, all, sizeof all);
}

static uint8_t *put(uint8_t *to, const void *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

size_t sub_record_encode(const struct sub_state *state, uint8_t out[SUB_RECORD_MAX])
{
    struct sub_state sub = *state;
    const struct sub_settings *set = &sub.settings;
    uint64_t *numbers[NUMBERS];
    uint8_t *p = out;

    numbers_of(&sub, numbers);
    *p++ = VERSION;
    for (size_t i = 0; i < NUMBERS; i++, p += 8)
        put_be64(p, *numbers[i]);
    put_be32(p, set->max_deliveries);
    put_be32(p + 4, set->max_in_flight);
    p += 8;
    for (size_t i = 0; i < STORE_SUB_BACKOFFS; i++, p += 4)
        put_be32(p, set->backoff_ms[i]);
    *p++ = set->backoffs;
    *p++ = set->ordering;
    *p++ = set->topic_len;
    *p++ = set->dead_letter_len;
    put_be16(p, set->extra_len);
    p = put(p + 2, set->topic, set->topic_len);
    p = put(p, set->dead_letter, set->dead_letter_len);
    p = put(p, set->extra, set->extra_len);
    return (size_t)(p - out);
}

/* `fixed`: where the names begin. */
static bool decode_settings(const uint8_t *p, struct bytes row, size_t fixed,
                            struct sub_settings *set)
{
    const uint8_t *names = (const uint8_t *)row.data + fixed;
    size_t extra_len = fixed == SUB_RECORD_FIXED ? get_be16(names - 2) : 0, names_len;

    set->max_deliveries = get_be32(p);
    set->max_in_flight = get_be32(p + 4);
    p += 8;
    for (size_t i = 0; i < STORE_SUB_BACKOFFS; i++, p += 4)
        set->backoff_ms[i] = get_be32(p);
    set->backoffs = *p++;
    set->ordering = *p++;
    set->topic_len = *p++;
    set->dead_letter_len = *p++;
    names_len = (size_t)set->topic_len + set->dead_letter_len;
    if (set->backoffs > STORE_SUB_BACKOFFS || set->ordering > SUB_ORDER_KEY ||
        !set->topic_len || extra_len > STORE_SUB_EXTRA_ROOM ||
        row.len != fixed + names_len + extra_len)
        return false;
    memcpy(set->topic, names, set->topic_len);
    memcpy(set->dead_letter, names + set->topic_len, set->dead_letter_len);
    return decode_extras(names + names_len, extra_len, set);
}

enum err sub_record_decode(struct bytes name, struct bytes stored, struct sub_state *out)
{
    const uint8_t *p = stored.data;
    bool plain = stored.len && p[0] == VERSION_PLAIN;
    size_t fixed = plain ? PLAIN_FIXED : SUB_RECORD_FIXED;
    uint64_t *numbers[NUMBERS];

    memset(out, 0, sizeof *out);
    if (stored.len < fixed || (!plain && p[0] != VERSION) || !name.len ||
        name.len > STORE_SUB_NAME_MAX)
        return ERR_CORRUPT;
    numbers_of(out, numbers);
    for (size_t i = 0; i < NUMBERS; i++)
        *numbers[i] = get_be64(p + 1 + 8 * i);
    if (!decode_settings(p + 1 + 8 * NUMBERS, stored, fixed, &out->settings))
        return ERR_CORRUPT;
    memcpy(out->name, name.data, name.len);
    out->name_len = (uint8_t)name.len;
    return ERR_OK;
}
