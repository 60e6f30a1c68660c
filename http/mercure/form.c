#include "mercure/form.h"

#include "url.h"

enum { ID = 1, TYPE = 2, RETRY = 4, DATA = 8, PRIVATE = 16, TOPIC = 32 };

static const struct {
    const char *name;
    unsigned field;
} names[] = {
    {"topic", TOPIC}, {"data", DATA}, {"private", PRIVATE},
    {"id", ID},       {"type", TYPE}, {"retry", RETRY},
};

static unsigned field_of(struct bytes name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bytes_eq(name, bytes_str(names[i].name)))
            return names[i].field;
    return 0;
}

static struct bytes *place_of(struct mercure_form *f, unsigned field)
{
    return field == ID      ? &f->id
           : field == TYPE  ? &f->type
           : field == RETRY ? &f->retry
                            : &f->data;
}

static void take(struct mercure_form *f, struct bytes name, struct bytes value,
                 unsigned *seen)
{
    unsigned field = field_of(name);

    if (field == TOPIC) {
        if (f->topic_count < MERCURE_MOST_TOPICS)
            f->topics[f->topic_count] = value;
        f->topic_count++;
    } else if (field == PRIVATE) {
        f->is_private = true;
    } else if (field && !(*seen & field)) {
        *place_of(f, field) = value;
        *seen |= field;
    }
}

/* Never longer decoded than it was. */
static bool decode(struct bytes *text)
{
    return url_decode_query(*text, (char *)(uintptr_t)text->data, &text->len);
}

enum err mercure_form_read(uint8_t *text, size_t len, struct mercure_form *f)
{
    uint8_t *p = text, *end = text + len;
    unsigned seen = 0;

    f->id = f->type = f->retry = f->data = bytes_of("", 0);
    f->is_private = false;
    f->topic_count = 0;
    while (p < end) {
        uint8_t *stop = memchr(p, '&', (size_t)(end - p)), *equals;
        struct bytes name, value;

        stop = stop ? stop : end;
        equals = memchr(p, '=', (size_t)(stop - p));
        name = bytes_of(p, (size_t)((equals ? equals : stop) - p));
        value = equals ? bytes_of(equals + 1, (size_t)(stop - equals - 1))
                       : bytes_of(stop, 0);
        if (!decode(&name) || !decode(&value))
            return ERR_BAD_INPUT;
        if (stop > p)
            take(f, name, value, &seen);
        p = stop + 1;
    }
    return ERR_OK;
}
