#include "mercure/collection.h"

#include "mercure/registry.h"
#include "server.h"

#include <assert.h>
#include <stdlib.h>

#define PIECE_BYTES (16u << 10)
#define FRAME       256 /* of the document, and of what stands between its items */
#define TAIL        "]}\n"
#define BESIDE      512 /* of the response, beside its piece */

struct collection {
    struct loop *loop;
    struct grant paid;
    struct mercure_cursor at;
    struct out piece;
    size_t sent; /* of the piece */
    size_t room; /* of the piece, without what ends the list */
    bool by_topic, any, full, ended;
    struct bytes topic;
    char memory[]; /* the topic, then the piece */
};

/* ---- a piece ---- */

static bool put_item(void *arg, const struct mercure_subscription *s)
{
    struct collection *c = arg;
    size_t before = c->piece.len;

    if (c->by_topic && !bytes_eq(c->topic, s->topic))
        return true;
    if (c->any)
        out_text(&c->piece, ",\n");
    mercure_put_subscription(&c->piece, s, bytes_of("", 0), bytes_of("", 0));
    c->full = c->piece.full || c->piece.len > c->room;
    if (c->full)
        out_rewind(&c->piece, before);
    else
        c->any = true;
    return !c->full;
}

static void fill(struct collection *c)
{
    struct mercure_registry *all = c->loop->server->registry;

    c->full = false;
    while (!c->full && mercure_registry_walk(all, &c->at, put_item, c))
        ;
    assert(c->piece.len || !c->full); /* the room was made for the largest */
    if (c->full)
        return;
    out_text(&c->piece, TAIL);
    c->ended = true;
}

static void next_piece(struct collection *c)
{
    out_rewind(&c->piece, 0);
    c->sent = 0;
    if (!c->ended)
        fill(c);
}

static ssize_t read_on(void *arg, uint64_t pos, char *buf, size_t max)
{
    struct collection *c = arg;
    size_t len;

    (void)pos;
    if (c->sent == c->piece.len)
        next_piece(c);
    len = c->piece.len - c->sent;
    if (!len)
        return MHD_CONTENT_READER_END_OF_STREAM;
    len = len < max ? len : max;
    memcpy(buf, c->piece.data + c->sent, len);
    c->sent += len;
    c->loop->progress = true;
    return (ssize_t)len;
}

static void collection_free(void *arg)
{
    struct collection *c = arg;

    ledger_release(&c->paid);
    free(c);
}

/* ---- the whole ---- */

static void put_head(struct out *o, struct bytes url, const char *last_id)
{
    out_text(o, "{\"@context\":\"" MERCURE_CONTEXT "\",\"id\":");
    out_str(o, url);
    out_text(o, ",\"type\":\"Subscriptions\",\"lastEventID\":");
    out_str(o, bytes_str(last_id));
    out_text(o, ",\"subscriptions\":[");
}

/* NULL: a problem was given. */
static struct collection *begin(struct request *r, size_t head, const struct bytes *topic)
{
    struct mercure_cursor at = mercure_registry_begin(r->loop->server->registry);
    size_t room = head + FRAME + (at.largest > PIECE_BYTES ? at.largest : PIECE_BYTES);
    size_t topic_len = topic ? topic->len : 0;
    size_t bytes = sizeof(struct collection) + topic_len + room + sizeof TAIL;
    struct grant paid = { 0 };
    struct collection *c;

    if (ledger_reserve(r->loop->broker->read, bytes + BESIDE, &paid)) {
        reply_read_buffer_full(r);
        return NULL;
    }
    c = malloc(bytes);
    if (!c) {
        ledger_release(&paid);
        reply_store_error(r, ERR_NO_MEMORY);
        return NULL;
    }
    *c = (struct collection){ .loop = r->loop, .paid = paid, .at = at, .room = room,
                              .by_topic = topic, .topic = bytes_of(c->memory, topic_len) };
    if (topic_len)
        memcpy(c->memory, topic->data, topic_len);
    out_init_in(&c->piece, c->memory + topic_len, room + sizeof TAIL);
    return c;
}

/* How long is what follows? For HEAD, which the library answers well only if it knows. */
static uint64_t count(struct collection *c)
{
    uint64_t bytes = c->piece.len;

    while (!c->ended) {
        next_piece(c);
        bytes += c->piece.len;
    }
    return bytes;
}

void mercure_collection_reply(struct request *r, struct bytes url, const struct bytes *topic,
                              const struct mercure_last_event *last)
{
    struct collection *c =
        begin(r, out_str_len(url) + out_str_len(bytes_str(last->id)), topic);

    if (!c)
        return;
    put_head(&c->piece, url, last->id);
    fill(c);
    reply_callback(r, MHD_HTTP_OK,
                   c->ended || r->head ? count(c) : (uint64_t)MHD_SIZE_UNKNOWN, PIECE_BYTES,
                   read_on, collection_free, c);
    reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, MERCURE_SUBSCRIPTIONS_TYPE);
}
