/*
 * Invariants:
 *  1. r->held is in `ties` from its reply to its free.
 *  2. It is suspended only when all of its text is sent, and in loop.holding exactly then.
 *  3. What is open when it is freed is given back: whoever frees it, whatever the reason.
 */
#include "held_answer.h"

#include "base/clock.h"
#include "metrics.h"
#include "settle.h"
#include "ties.h"
#include "wait.h"

#include <stdlib.h>

#define FROM(ptr, type, field) ((type *)((char *)(ptr)-offsetof(type, field)))

#define PIECE_BYTES   256u /* of the library's, for HTTP/1.0 */
#define LIBRARY_BYTES 256u
/* An extension of the last moment is told to us a little later than it was made. */
#define LATE_MS 100

struct held_answer {
    struct request *request; /* NULL: it has gone, and a letter is on its way */
    struct grant grant;      /* of the read ledger: pays for all of this */
    size_t booked;
    char *text; /* NULL: sent */
    size_t len, sent;
    int64_t sent_ms; /* when it was sent something; monotonic */
    int64_t due_ms;  /* when its last lease ends */
    bool over;       /* there is nothing to wait for */
    bool beat;       /* a newline is to be sent */
    struct tie tie;  /* last */
};

/* ---- how much ---- */

size_t held_answer_bytes(unsigned leases)
{
    return offsetof(struct held_answer, tie) + tie_bytes(leases) + settle_bytes(leases) +
           PIECE_BYTES + LIBRARY_BYTES;
}

unsigned held_answer_book(struct request *r, unsigned leases, size_t *booked)
{
    size_t least = held_answer_bytes(1), each = held_answer_bytes(2) - least;
    unsigned fit;

    *booked = ties_book(r->loop->broker->ties, least, held_answer_bytes(leases));
    fit = *booked ? 1 + (unsigned)((*booked - least) / each) : 0;
    return fit < leases ? fit : leases;
}

/* ---- the end ---- */

/* What is still leased is a message that its worker did not finish. */
static void give_back(struct request *r, struct held_answer *h)
{
    struct settle *s = settle_new(h->tie.open, &h->grant);
    unsigned at = 0;

    if (!s)
        return; /* no memory: they will be over by themselves */
    s->kind = SETTLE_VANISHED;
    memcpy(s->name, h->tie.subscription.data, h->tie.subscription.len);
    s->name_len = (uint8_t)h->tie.subscription.len;
    for (unsigned i = 0; i < h->tie.count; i++)
        if (h->tie.leases[i].of)
            s->items[at++].lease = h->tie.leases[i].lease;
    settle_submit(r->loop->broker->writer, s);
}

void held_answer_free(struct request *r)
{
    struct held_answer *h = r->held;
    bool alone;

    if (!h)
        return;
    r->held = NULL;
    alone = ties_leave(r->loop->broker->ties, &h->tie);
    if (h->tie.open)
        give_back(r, h);
    ledger_release(&h->grant);
    ties_give_back(r->loop->broker->ties, h->booked);
    metric_add(METRIC_SUB_HELD, -1);
    free(h->text);
    h->text = NULL;
    h->request = NULL;
    if (alone)
        free(h);
}

static void resume(struct request *r)
{
    request_list_remove(r);
    wait_resume(r);
}

static void cut(struct request *r)
{
    held_answer_free(r);
    r->kill = true;
    resume(r);
}

static void on_socket(struct source *s, uint32_t events)
{
    (void)events; /* a client that has shut down its sending side is taken as gone, too */
    cut(FROM(s, struct request, watch));
}

void held_answer_cut_all(struct loop *l)
{
    while (l->holding.first)
        cut(l->holding.first);
}

/* ---- while it is held ---- */

static void is_over(struct request *r)
{
    r->held->over = true;
    resume(r);
}

static void told(struct tie *t, bool over)
{
    struct held_answer *h = FROM(t, struct held_answer, tie);
    struct request *r = h->request;

    if (!r) {
        free(h);
        return;
    }
    if (over) {
        is_over(r);
    } else if (r->suspended) {
        h->due_ms = 0; /* sooner than it was: looks when */
        if (timers_set(&r->loop->timers, &r->timer, r->loop->now_ms))
            cut(r);
    }
}

static int64_t beat_ms(const struct request *r)
{
    uint64_t every = r->loop->broker->config->sse_heartbeat_ms;

    return every ? r->held->sent_ms + (int64_t)every : INT64_MAX;
}

/* When there is something to do by the clock: monotonic. */
static int64_t next_ms(const struct request *r)
{
    int64_t now = r->loop->now_ms, beat = beat_ms(r);
    int64_t over = now + r->held->due_ms - clock_wall_ms() + LATE_MS;

    if (over <= now)
        over = now + 1;
    return over < beat ? over : beat;
}

static void on_time(struct timer *timer)
{
    struct request *r = FROM(timer, struct request, timer);
    struct held_answer *h = r->held;
    int64_t wall = clock_wall_ms() - LATE_MS;

    if (h->due_ms <= wall && !ties_expire(r->loop->broker->ties, &h->tie, wall, &h->due_ms)) {
        is_over(r);
    } else if (beat_ms(r) <= r->loop->now_ms) {
        h->beat = true;
        resume(r);
    } else if (timers_set(&r->loop->timers, timer, next_ms(r))) {
        cut(r);
    }
}

/* ---- the text ---- */

static size_t next_of_text(struct held_answer *h, char *buf, size_t max)
{
    size_t n = h->len - h->sent < max ? h->len - h->sent : max;

    memcpy(buf, h->text + h->sent, n);
    h->sent += n;
    return n;
}

/* Its client has it: what stays is the leases. */
static void drop_text(struct held_answer *h)
{
    free(h->text);
    h->text = NULL;
    ledger_shrink(&h->grant, held_answer_bytes(h->tie.count));
}

static ssize_t next_piece(void *arg, uint64_t pos, char *buf, size_t max)
{
    struct request *r = arg;
    struct held_answer *h = r->held;

    (void)pos;
    r->loop->progress = true;
    if (r->loop->stopping || r->kill || !h) {
        connection_to_close(r->conn);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    h->sent_ms = r->loop->now_ms;
    if (h->sent < h->len)
        return (ssize_t)next_of_text(h, buf, max);
    if (h->text)
        drop_text(h);
    if (h->over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (h->beat) {
        h->beat = false;
        *buf = '\n';
        return 1;
    }
    r->watch.ready = on_socket;
    r->timer.fire = on_time;
    request_list_add(&r->loop->holding, r);
    wait_suspend(r, next_ms(r));
    return 0;
}

static void nothing_to_free(void *arg)
{
    (void)arg; /* the request has it all */
}

/* ---- the start ---- */

static struct held_answer *held_new(struct request *r, const struct receive *c,
                                    unsigned first)
{
    unsigned count = c->count - first;
    struct held_answer *h =
        calloc(1, offsetof(struct held_answer, tie) + tie_bytes(count));

    if (!h)
        return NULL;
    h->request = r;
    h->due_ms = c->until_ms;
    h->tie.home = &r->loop->mailbox;
    h->tie.told = told;
    h->tie.subscription = bytes_str(r->topic + r->topic_len + 1);
    h->tie.count = count;
    for (unsigned i = 0; i < count; i++)
        h->tie.leases[i] =
            (struct tied_lease){ .lease = c->got[first + i], .due_ms = c->until_ms };
    return h;
}

/* They were void before anybody could tell us: the subscription was sought, or deleted. */
static bool is_void(struct request *r)
{
    struct fetch *f = &r->loop->fetch;
    struct sub_state sub;

    if (fetch_begin_subscription(f, r->held->tie.subscription, &sub))
        return true;
    fetch_end(f);
    return sub.id != r->held->tie.leases[0].lease.sub_id;
}

enum err held_answer_reply(struct request *r, struct receive *c, unsigned first,
                           struct out *text)
{
    struct broker *b = r->loop->broker;
    struct held_answer *h = held_new(r, c, first);

    if (!h)
        return ERR_NO_MEMORY;
    r->held = h;
    metric_add(METRIC_SUB_HELD, 1);
    ties_enter(b->ties, &h->tie);
    h->over = is_void(r);
    ledger_split(&c->job.grant, text->cap + held_answer_bytes(h->tie.count), &h->grant);
    h->booked = held_answer_bytes(h->tie.count);
    ties_give_back(b->ties, c->booked - h->booked);
    c->booked = 0;
    h->text = out_take(text, &h->len);
    reply_callback(r, MHD_HTTP_OK, MHD_SIZE_UNKNOWN, r->http_1_0 ? PIECE_BYTES : 1,
                   next_piece, nothing_to_free, r);
    reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    reply_header(r, "Preference-Applied", "lease=connection");
    reply_header(r, "X-Accel-Buffering", "no"); /* nginx would keep the messages back */
    return ERR_OK;
}
