#include "fetch.h"

#include "base/clock.h"

enum err fetch_open(struct fetch *f, const struct store_ops *ops, struct store *store)
{
    memset(f, 0, sizeof *f);
    f->ops = ops;
    return ops->reader_open(store, &f->reader);
}

void fetch_close(struct fetch *f)
{
    if (f->reader)
        f->ops->reader_close(f->reader);
    f->reader = NULL;
}

enum err fetch_begin_snapshot(struct fetch *f)
{
    enum err e;

    f->now_ms = clock_wall_ms();
    f->positioned = false;
    e = f->ops->read_begin(f->reader, f->now_ms);
    f->open = !e;
    return e;
}

static enum err begun(struct fetch *f, enum err e)
{
    if (e)
        fetch_end(f);
    return e;
}

enum err fetch_begin(struct fetch *f, struct bytes topic)
{
    enum err e = fetch_begin_snapshot(f);

    return e ? e : begun(f, f->ops->read_topic(f->reader, topic, &f->topic));
}

/* Its topic may be gone, or not there yet. */
static enum err read_subscription(struct fetch *f, struct bytes name, struct sub_state *sub)
{
    const struct sub_settings *s = &sub->settings;
    enum err e = f->ops->subs->read(f->reader, name, sub);

    if (e)
        return e;
    e = f->ops->read_topic(f->reader, bytes_of(s->topic, s->topic_len), &f->topic);
    if (e != ERR_NOT_FOUND)
        return e;
    f->topic = (struct topic_state){ 0 };
    return ERR_OK;
}

enum err fetch_begin_subscription(struct fetch *f, struct bytes name, struct sub_state *sub)
{
    enum err e = fetch_begin_snapshot(f);

    return e ? e : begun(f, read_subscription(f, name, sub));
}

void fetch_end(struct fetch *f)
{
    if (f->open)
        f->ops->read_end(f->reader);
    f->open = false;
}

enum err fetch_renew(struct fetch *f)
{
    struct topic_state before = f->topic;
    enum err e;

    fetch_end(f);
    e = fetch_begin(f, bytes_of(before.name, before.name_len));
    if (e || f->topic.id == before.id)
        return e;
    fetch_end(f);
    return ERR_NOT_FOUND;
}

static bool is_live(const struct fetch *f, const struct store_entry *m)
{
    return !m->record.expires_ms || m->record.expires_ms > f->now_ms;
}

/* Walks back over live messages; their number is bounded by what a client may ask for. */
static enum err last(struct fetch *f, uint64_t count, uint64_t *offset)
{
    struct store_entry m;
    enum err e;

    *offset = f->topic.next_offset;
    /* Nothing is there; the reader forgets where it stood, and goes back from the end. */
    e = f->ops->read_seek(f->reader, f->topic.id, f->topic.next_offset, &m);
    if (e != ERR_NOT_FOUND)
        return e ? e : ERR_CORRUPT;
    e = ERR_OK;
    while (count && !(e = f->ops->read_prev(f->reader, f->topic.id, &m)))
        if (is_live(f, &m)) {
            *offset = m.offset;
            count--;
        }
    f->positioned = false;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err since(struct fetch *f, int64_t time_ms, uint64_t *offset)
{
    struct store_entry m;
    enum err e = f->ops->read_seek_time(f->reader, f->topic.id, time_ms, &m);

    f->positioned = false;
    *offset = e ? f->topic.next_offset : m.offset;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err fetch_find_id(struct fetch *f, struct bytes id, uint64_t *offset)
{
    return f->ops->read_find_id(f->reader, f->topic.id, id, offset);
}

enum err fetch_resolve(struct fetch *f, struct fetch_from from, uint64_t *offset)
{
    *offset = 0;
    switch (from.kind) {
    case FETCH_EARLIEST:
        return ERR_OK;
    case FETCH_LATEST:
        *offset = f->topic.next_offset;
        return ERR_OK;
    case FETCH_OFFSET:
        *offset = from.value;
        return ERR_OK;
    case FETCH_LAST:
        return last(f, from.value, offset);
    case FETCH_TIME:
        return since(f, (int64_t)from.value, offset);
    }
    return ERR_BAD_INPUT;
}

enum err fetch_next(struct fetch *f, uint64_t offset, struct store_entry *out)
{
    enum err e;

    if (f->positioned)
        e = f->ops->read_next(f->reader, out);
    else
        e = f->ops->read_seek(f->reader, f->topic.id, offset, out);
    while (!e && (out->offset < offset || !is_live(f, out)))
        e = f->ops->read_next(f->reader, out);
    f->positioned = !e;
    return e;
}

enum err fetch_matching(struct fetch *f, const struct filter *filter, unsigned max,
                        uint64_t *at, struct store_entry *out)
{
    enum err e = f->ops->read_seek(f->reader, f->topic.id, *at, out);

    f->positioned = false;
    for (; !e; e = f->ops->read_next(f->reader, out)) {
        *at = out->offset;
        if (!max--)
            return ERR_BUSY;
        if (is_live(f, out) && filter_passes(filter, out->record.attributes))
            return ERR_OK;
    }
    if (e == ERR_NOT_FOUND && *at < f->topic.next_offset)
        *at = f->topic.next_offset;
    return e;
}

enum err fetch_earliest(struct fetch *f, uint64_t *offset)
{
    struct store_entry m;
    enum err e;

    f->positioned = false;
    e = fetch_next(f, 0, &m);
    f->positioned = false;
    *offset = e ? f->topic.next_offset : m.offset;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err fetch_blob(struct fetch *f, uint64_t blob_id, uint64_t at, void *to, size_t len,
                    size_t *got)
{
    enum err e = f->ops->read_begin(f->reader, clock_wall_ms());

    if (e)
        return e;
    e = f->ops->read_blob(f->reader, blob_id, at, to, len, got);
    f->ops->read_end(f->reader);
    return e;
}

enum err fetch_lag(struct fetch *f, const struct sub_state *sub, uint64_t *lag)
{
    enum err e = ERR_OK;

    *lag = 0;
    if (f->topic.id)
        e = f->ops->read_live_from(f->reader, &f->topic, sub->next, lag);
    f->positioned = false;
    for (unsigned i = 0; i < DELIVERY_STATES; i++)
        *lag += sub->in[i];
    return e;
}
