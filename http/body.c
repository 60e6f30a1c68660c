#include "body.h"

#include "request.h"
#include "siphash.h"

#include <stdlib.h>
#include <string.h>

static bool may_stream(const struct body *b)
{
    return b->kind == BODY_STREAM && b->limit > b->whole_max &&
           (b->declared == BODY_UNKNOWN || b->declared > b->whole_max);
}

/* Never piecemeal: who was admitted needs nothing more, so nobody waits for room that
 * only somebody else who waits could free. */
static size_t needed(const struct body *b)
{
    if (may_stream(b)) /* of unknown length: whole at first, then both for a moment */
        return UPLOAD_WINDOW + b->overhead +
               (b->declared == BODY_UNKNOWN ? b->whole_max : 0);
    if (b->kind == BODY_HASH)
        return b->overhead;
    if (b->declared == BODY_UNKNOWN)
        return (size_t)b->limit * b->factor + b->overhead;
    return (size_t)b->declared * b->factor + b->overhead;
}

enum err body_admit(struct body *b)
{
    if (b->kind == BODY_NONE)
        return ERR_OK;
    if (b->declared != BODY_UNKNOWN && b->declared > b->limit)
        return ERR_TOO_BIG;
    /* If it turns out to be large, what came so far must fit into an upload. */
    if (may_stream(b) && b->declared == BODY_UNKNOWN && b->whole_max > UPLOAD_HOLDS)
        b->whole_max = UPLOAD_HOLDS;
    b->room.bytes = needed(b);
    return ledger_wait(b->ledger, &b->room);
}

static void upload_ready(void *arg)
{
    request_upload_moved(arg);
}

/* The window goes with the upload; the rest stays with the request. */
static enum err open_upload(struct request *r)
{
    struct body *b = &r->body;
    struct grant window = { b->room.grant.from, UPLOAD_WINDOW };

    b->room.grant.bytes -= UPLOAD_WINDOW;
    return upload_new(r->loop->broker->writer, &r->loop->mailbox, b->room.flow, &window,
                      upload_ready, r, &b->upload);
}

enum err body_open(struct request *r)
{
    struct body *b = &r->body;

    if (may_stream(b) && b->declared != BODY_UNKNOWN)
        return open_upload(r);
    if (b->kind == BODY_NONE || b->kind == BODY_HASH || b->declared == BODY_UNKNOWN || b->declared == 0)
        return ERR_OK;
    b->data = malloc((size_t)b->declared + b->slack);
    b->cap = b->data ? (size_t)b->declared : 0;
    return b->data ? ERR_OK : ERR_NO_MEMORY;
}

/* The most that is ever kept in one buffer. */
static size_t most_whole(const struct body *b)
{
    return may_stream(b) ? b->whole_max : (size_t)b->limit;
}

/* For a body of unknown length, within what is paid for. */
static enum err grow(struct body *b, size_t more, size_t most)
{
    size_t cap = b->cap ? b->cap * 2 : 4096;
    uint8_t *data;

    if (b->len + more <= b->cap)
        return ERR_OK;
    while (cap < b->len + more)
        cap *= 2;
    if (cap > most)
        cap = most;
    data = realloc(b->data, cap + b->slack);
    if (!data)
        return ERR_NO_MEMORY;
    b->data = data;
    b->cap = cap;
    return ERR_OK;
}

/* It is larger than we keep whole: what came so far becomes the first bytes of a blob. */
static enum err turn_into_upload(struct request *r)
{
    struct body *b = &r->body;
    enum err e = open_upload(r);

    if (e)
        return e;
    if (upload_feed(b->upload, b->data, b->len) != b->len)
        return ERR_IO; /* whole_max is at most UPLOAD_HOLDS then */
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
    ledger_shrink(&b->room.grant, b->overhead);
    return ERR_OK;
}

static enum err take_whole(struct body *b, const void *data, size_t len, size_t most)
{
    enum err e = grow(b, len, most);

    if (e)
        return e;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return ERR_OK;
}

enum err body_take(struct request *r, const void *data, size_t len, size_t *taken)
{
    struct body *b = &r->body;
    enum err e = ERR_OK;

    *taken = len;
    if (b->received + len > b->limit)
        return ERR_TOO_BIG;
    if (!b->upload && b->kind == BODY_STREAM && b->len + len > b->whole_max)
        e = turn_into_upload(r);
    if (e)
        return e;
    if (b->upload) {
        *taken = upload_feed(b->upload, data, len);
        e = upload_error(b->upload);
    } else if (b->kind != BODY_HASH) {
        e = take_whole(b, data, len, most_whole(b));
    }
    if (b->hash)
        siphash128_add(b->hash, bytes_of(data, *taken));
    b->received += *taken;
    b->window_bytes += *taken;
    return e;
}

enum err body_end(struct body *b)
{
    if (!b->upload) {
        if (b->declared == BODY_UNKNOWN)
            ledger_shrink(&b->room.grant, b->cap * b->factor + b->overhead);
        return ERR_OK;
    }
    upload_end(b->upload);
    if (upload_error(b->upload))
        return upload_error(b->upload);
    return upload_complete(b->upload) ? ERR_OK : ERR_BUSY;
}

void body_fini(struct body *b)
{
    free(b->data);
    b->data = NULL;
    upload_free(b->upload);
    b->upload = NULL;
    ledger_release(&b->room.grant);
}
