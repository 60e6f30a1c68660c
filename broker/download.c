#include "download.h"

#include "base/clock.h"

/* Is the message there under a snapshot newer than the pin? Only then the pin is sure to
 * have come before anything of it was freed. */
static enum err find_again(struct fetch *f, struct store_entry *m)
{
    uint64_t offset = m->offset;
    enum err e = fetch_renew(f);

    if (e)
        return e;
    f->positioned = false;
    e = fetch_next(f, offset, m);
    return !e && m->offset != offset ? ERR_NOT_FOUND : e;
}

enum err download_start(struct download *d, struct broker *b, struct fetch *f,
                        struct store_entry *m)
{
    int64_t until_ms = clock_mono_ms() + (int64_t)b->config->download_grace_ms;
    enum err e;

    *d = (struct download){ b, f, { .blob_id = m->record.blob_id, .until_ms = until_ms } };
    b->ops->blob_pin(b->store, &d->pin);
    e = find_again(f, m);
    if (e)
        download_end(d);
    return e;
}

enum err download_read(struct download *d, uint64_t at, void *to, size_t len, size_t *got)
{
    return fetch_blob(d->fetch, d->pin.blob_id, at, to, len, got);
}

void download_end(struct download *d)
{
    if (d->broker->ops->blob_unpin(d->broker->store, &d->pin))
        writer_trash_released(d->broker->writer);
}
