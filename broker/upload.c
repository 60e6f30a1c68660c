/*
 *   FILLING --both chunks full--> WAITING --chunk home--> FILLING
 *      |                             |
 *      '--end--> ENDING --all home--> COMPLETE --take_blob--> freed
 *      any --free--> LEAVING --all home--> blob dropped, freed
 *
 *  1. A chunk is either filling (the loop's) or away (the writer's), never both.
 *  2. blob_id and next_chunk are touched by the writer only, until all chunks are home.
 *  3. Chunks of one that is leaving are not written: nobody will name them, and a shutdown
 *     would wait for the disk in vain.
 */
#include "upload.h"

#include "metrics.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
    struct job job;
    struct upload *owner;
    uint8_t *data;
    size_t len;
    uint32_t number;
    bool away;
    bool began; /* the blob came to be in this chunk's transaction */
    enum err outcome;
};

struct upload {
    struct writer *writer;
    struct mailbox *home;
    struct fair_flow flow;
    void (*ready)(void *arg);
    void *arg;
    struct grant grant;
    struct chunk chunks[2];
    unsigned filling; /* which chunk takes the next byte */
    uint64_t size;
    enum err error;
    bool ended;
    _Atomic bool leaving;

    uint64_t blob_id; /* writer's while a chunk is away */
    uint32_t next_chunk; /* how many are written */
    uint32_t sent;       /* loop only */
};

static enum err write_chunk(struct job *j, struct turn *t)
{
    struct chunk *c = (struct chunk *)j;
    struct upload *u = c->owner;
    enum err e = u->leaving ? ERR_CLOSED : t->ops->room(t->store, c->len + 4096);

    if (e || u->next_chunk != c->number)
        return e ? e : ERR_FULL; /* a chunk before it was refused */
    c->began = !u->blob_id;
    if (c->began && (e = t->ops->blob_begin(t->store, &u->blob_id)))
        return turn_spoil(t, e);
    e = t->ops->blob_write(t->store, u->blob_id, u->next_chunk,
                           bytes_of(c->data, c->len));
    if (e)
        return turn_spoil(t, e);
    u->next_chunk++;
    t->bytes += c->len;
    return ERR_OK;
}

static void chunk_done(struct job *j, enum err e)
{
    struct chunk *c = (struct chunk *)j;

    c->outcome = e;
    if (e && c->began)
        c->owner->blob_id = 0; /* undone with its transaction; the id may go to another */
    if (e)
        c->owner->next_chunk = UINT32_MAX; /* a chunk behind this one would be in vain */
}

static void destroy(struct upload *u)
{
    if (u->blob_id)
        upload_drop_blob(u->writer, u->blob_id);
    free(u->chunks[0].data);
    free(u->chunks[1].data);
    ledger_release(&u->grant);
    metric_add(METRIC_UPLOADS, -1);
    free(u);
}

static bool any_away(const struct upload *u)
{
    return u->chunks[0].away || u->chunks[1].away;
}

static void chunk_home(struct letter *l)
{
    struct chunk *c = (struct chunk *)l;
    struct upload *u = c->owner;

    c->away = false;
    c->len = 0;
    if (c->outcome && !u->error)
        u->error = c->outcome;
    if (!u->leaving)
        u->ready(u->arg);
    else if (!any_away(u))
        destroy(u);
}

enum err upload_new(struct writer *w, struct mailbox *home, struct fair_flow flow,
                    struct grant *grant, void (*ready)(void *arg), void *arg,
                    struct upload **out)
{
    struct upload *u = calloc(1, sizeof *u);

    if (u) {
        u->chunks[0].data = malloc(STORE_CHUNK_BYTES);
        u->chunks[1].data = malloc(STORE_CHUNK_BYTES);
    }
    if (!u || !u->chunks[0].data || !u->chunks[1].data) {
        if (u)
            free(u->chunks[0].data);
        free(u);
        ledger_release(grant);
        return ERR_NO_MEMORY;
    }
    u->writer = w;
    u->home = home;
    u->flow = flow;
    u->ready = ready;
    u->arg = arg;
    u->grant = *grant;
    *grant = (struct grant){ 0 };
    u->chunks[0].owner = u->chunks[1].owner = u;
    metric_add(METRIC_UPLOADS, 1);
    *out = u;
    return ERR_OK;
}

static void send(struct upload *u)
{
    struct chunk *c = &u->chunks[u->filling];

    c->away = true;
    c->began = false; /* its turn may fail before it runs */
    c->number = u->sent++;
    c->job = (struct job){ .letter.open = chunk_home,
                           .home = u->home,
                           .flow = u->flow,
                           .cost = c->len,
                           .run = write_chunk,
                           .done = chunk_done };
    u->filling ^= 1;
    writer_submit(u->writer, &c->job);
}

size_t upload_feed(struct upload *u, const void *data, size_t len)
{
    size_t taken = 0;

    while (taken < len && !u->error && !u->chunks[u->filling].away) {
        struct chunk *c = &u->chunks[u->filling];
        size_t n = STORE_CHUNK_BYTES - c->len;

        if (n > len - taken)
            n = len - taken;
        memcpy(c->data + c->len, (const uint8_t *)data + taken, n);
        c->len += n;
        taken += n;
        u->size += n;
        if (c->len == STORE_CHUNK_BYTES)
            send(u);
    }
    return taken;
}

void upload_end(struct upload *u)
{
    if (!u->ended && !u->error && !u->chunks[u->filling].away &&
        u->chunks[u->filling].len)
        send(u);
    u->ended = true;
}

bool upload_complete(const struct upload *u)
{
    return u->ended && !any_away(u);
}

enum err upload_error(const struct upload *u)
{
    return u->error;
}

uint64_t upload_size(const struct upload *u)
{
    return u->size;
}

uint64_t upload_take_blob(struct upload *u)
{
    uint64_t id = u->blob_id;

    u->blob_id = 0;
    return id;
}

void upload_free(struct upload *u)
{
    if (!u)
        return;
    u->leaving = true;
    if (!any_away(u))
        destroy(u);
}

/* ---- dropping ---- */

struct drop {
    struct job job;
    uint64_t blob_id;
};

static enum err drop_run(struct job *j, struct turn *t)
{
    enum err e = t->ops->blob_drop(t->store, ((struct drop *)j)->blob_id);

    if (e && e != ERR_NOT_FOUND)
        return turn_spoil(t, e);
    turn_trash(t);
    return ERR_OK;
}

/* When even this fails, the blob goes at the next start. */
static void drop_done(struct job *j, enum err e)
{
    (void)e;
    free(j);
}

void upload_drop_blob(struct writer *w, uint64_t blob_id)
{
    struct drop *d = calloc(1, sizeof *d);

    if (!d)
        return; /* collected at the next start */
    d->blob_id = blob_id;
    d->job.run = drop_run;
    d->job.done = drop_done;
    metric_add(METRIC_UPLOADS_DROPPED, 1);
    writer_submit(w, &d->job);
}
