/*
 * A form decoded in place says what a reader with memory of its own says: fields are
 * cut where the encoded text has its separators, every view is inside the text, and the
 * first one counts.
 */
#include "mercure/form.h"
#include "url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static struct bytes decoded(const uint8_t *from, const uint8_t *to)
{
    struct bytes b = bytes_of(from, (size_t)(to - from));
    char *room = malloc(b.len + 1);
    size_t n = 0;

    check(room);
    if (!url_decode_query(b, room, &n)) {
        free(room);
        return (struct bytes){0};
    }
    return bytes_of(room, n);
}

struct reading { /* of the same text, slowly */
    bool bad, is_private;
    size_t topics;
};

static struct reading compare(const uint8_t *p, const uint8_t *end,
                              const struct mercure_form *f)
{
    struct reading r = {0};

    while (p < end) {
        const uint8_t *stop = p, *equals = p;
        struct bytes name, value;

        while (stop < end && *stop != '&')
            stop++;
        while (equals < stop && *equals != '=')
            equals++;
        name = decoded(p, equals);
        value = decoded(equals < stop ? equals + 1 : stop, stop);
        r.bad |= !name.data || !value.data;
        if (!r.bad && bytes_eq(name, bytes_str("topic")) &&
            r.topics++ < MERCURE_MOST_TOPICS && f)
            check(bytes_eq(f->topics[r.topics - 1], value));
        r.is_private |= !r.bad && bytes_eq(name, bytes_str("private"));
        free((void *)(uintptr_t)name.data);
        free((void *)(uintptr_t)value.data);
        p = stop + 1;
    }
    return r;
}

static void check_inside(struct bytes b, const uint8_t *text, size_t len)
{
    const uint8_t *p = b.data;

    check(!b.len || (p >= text && p + b.len <= text + len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct mercure_form f;
    uint8_t *text = malloc(len + !len);
    enum err e;

    check(text);
    memcpy(text, data, len);
    e = mercure_form_read(text, len, &f);
    check(!e == !compare(data, data + len, NULL).bad);
    if (!e) {
        struct reading r = compare(data, data + len, &f);

        check(r.topics == f.topic_count && r.is_private == f.is_private);
        check_inside(f.id, text, len);
        check_inside(f.type, text, len);
        check_inside(f.retry, text, len);
        check_inside(f.data, text, len);
    }
    free(text);
    return 0;
}
