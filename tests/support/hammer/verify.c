/*
 * verify - is everything that was acknowledged in the logs, whole, once and in order?
 *
 *  1. Every acknowledged (topic, offset) holds exactly the message that was sent.
 *  2. Offsets rise by one; none is given twice.
 *  3. Every message there, acknowledged or not, is whole: all bytes of one payload.
 *  4. Messages of one connection stand in the order sent, none twice.
 *
 * Messages that were sent but never acknowledged may be there or not: counted as extra.
 */
#include "hammer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net.h"
#include "opt.h"
#include "payload.h"

enum { SENDERS = 1 << 17, SHOWN = 5 };

struct ack { /* one acknowledged request: `count` messages in a row */
    char *topic;
    uint64_t offset, count;
    struct payload first;
};

struct sender { /* last seen of one connection in the topic at hand */
    uint64_t run, conn, seq;
    bool used;
};

struct verify {
    uint64_t limit, from;
    const char *only;
    bool raw;

    struct net_target target;
    int fd;
    struct reply reply;
    struct ack *acks;
    size_t n_acks, cap_acks;
    struct sender *senders;

    /* The topic at hand. */
    const char *topic;
    size_t ack, ack_end; /* the next ack to see, and the end of the topic's */
    uint64_t want;       /* next offset expected */
    int64_t end;         /* next offset of the topic */

    uint64_t topics, messages, acknowledged, missing, wrong, twice, half, disorder, gaps,
        extra, malformed, shown;
};

static void complain(struct verify *v, const char *what, uint64_t offset)
{
    if (v->shown++ < SHOWN)
        fprintf(stderr, "hammer verify: topic %s offset %lu: %s\n", v->topic, offset, what);
}

static void load(struct verify *v, const char *path)
{
    FILE *f = fopen(path, "r");
    char topic[300];
    struct ack a = { 0 };

    if (!f) {
        perror(path);
        exit(2);
    }
    while (fscanf(f, "%299s %lu %lu %lu %lu %lu %lu", topic, &a.offset, &a.count,
                  &a.first.run, &a.first.conn, &a.first.seq, &a.first.size) == 7) {
        if (v->n_acks == v->cap_acks) {
            v->cap_acks = v->cap_acks ? v->cap_acks * 2 : 4096;
            v->acks = realloc(v->acks, v->cap_acks * sizeof *v->acks);
        }
        if (v->only && strcmp(v->only, topic) != 0)
            continue;
        a.topic = v->n_acks && strcmp(v->acks[v->n_acks - 1].topic, topic) == 0
            ? v->acks[v->n_acks - 1].topic : strdup(topic);
        v->acks[v->n_acks++] = a;
    }
    fclose(f);
}

static int by_topic_and_offset(const void *a, const void *b)
{
    const struct ack *x = a, *y = b;
    int c = x->topic == y->topic ? 0 : strcmp(x->topic, y->topic);

    return c ? c : (x->offset > y->offset) - (x->offset < y->offset);
}

/* The sender's last sequence in this topic; a table open to collisions by walking on. */
static struct sender *sender_of(struct verify *v, const struct payload *p)
{
    uint64_t h = (p->run * 1000003 + p->conn) * UINT64_C(11400714819323198485) >> 47;

    for (size_t i = 0; i < SENDERS; i++) {
        struct sender *s = &v->senders[(h + i) % SENDERS];
        if (!s->used || (s->run == p->run && s->conn == p->conn))
            return s;
    }
    fprintf(stderr, "hammer verify: more senders than its table holds\n");
    exit(2);
}

static void check_order(struct verify *v, uint64_t offset, const struct payload *p)
{
    struct sender *s = sender_of(v, p);

    if (s->used && p->seq <= s->seq) {
        v->disorder++;
        complain(v, "a connection's messages out of order or twice", offset);
    }
    *s = (struct sender){ p->run, p->conn, p->seq, true };
}

/* Acks of offsets that the log has passed by without showing them. */
static void skip_acks(struct verify *v, uint64_t offset)
{
    for (; v->ack < v->ack_end; v->ack++) {
        const struct ack *a = &v->acks[v->ack];
        if (a->offset + a->count > offset)
            return;
        if (a->offset >= v->want) {
            v->missing += a->count;
            complain(v, "acknowledged, not there", a->offset);
        }
    }
}

static void check_ack(struct verify *v, uint64_t offset, const struct payload *p)
{
    const struct ack *a = &v->acks[v->ack];

    if (v->ack == v->ack_end || offset < a->offset) {
        v->extra++;
        return;
    }
    uint64_t i = offset - a->offset;
    if (p->run != a->first.run || p->conn != a->first.conn || p->seq != a->first.seq + i ||
        p->size != a->first.size) {
        v->wrong++;
        complain(v, "another message than the one acknowledged", offset);
    } else {
        v->acknowledged++;
    }
    if (i + 1 == a->count)
        v->ack++;
}

static void check_message(struct verify *v, uint64_t offset, const char *body, size_t len)
{
    struct payload p;

    v->messages++;
    if (offset != v->want) {
        if (offset < v->want)
            v->twice++;
        else
            v->gaps++;
        complain(v, "not the next offset", offset);
    }
    skip_acks(v, offset);
    v->want = offset + 1;
    if (!payload_check(body, len, &p)) {
        v->half++;
        complain(v, "not a whole message", offset);
        p.size = UINT64_MAX;
    } else {
        check_order(v, offset, &p);
    }
    check_ack(v, offset, &p);
}

static bool ask(struct verify *v, const char *what, const char *accept)
{
    char request[700];
    int n = snprintf(request, sizeof request,
                     "GET /v1/topics/%s/messages%s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\n\r\n",
                     v->topic, what, v->target.host, accept);

    if (net_ask(v->fd, request, (size_t)n, &v->reply))
        return true;
    fprintf(stderr, "hammer verify: no proper answer to %.*s\n", n, request);
    exit(1);
}

/* One message by its offset, raw: for those that a list does not inline. */
static void check_single(struct verify *v, struct verify *side, uint64_t offset)
{
    char what[40];

    side->topic = v->topic;
    snprintf(what, sizeof what, "/%lu", offset);
    ask(side, what, "*/*");
    check_message(v, offset, side->reply.buf + side->reply.body, side->reply.body_len);
}

/* Walks the list answer in v->reply. Our payloads hold no quote and no brace, so the text
 * between `{"offset":` and the next one is one message. */
static uint64_t check_list(struct verify *v, struct verify *side)
{
    static const char mark[] = "{\"offset\":", data[] = "\"data\":\"";
    char *at = v->reply.buf + v->reply.body;
    char *end = at + v->reply.body_len;
    uint64_t n = 0;

    at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1);
    while (at) {
        uint64_t offset = strtoull(at + sizeof mark - 1, NULL, 10);
        char *next = memmem(at + 1, (size_t)(end - at) - 1, mark, sizeof mark - 1);
        char *stop = next ? next : end;
        char *body = memmem(at, (size_t)(stop - at), data, sizeof data - 1);
        if (body) {
            body += sizeof data - 1;
            char *quote = memchr(body, '"', (size_t)(stop - body));
            check_message(v, offset, body, quote ? (size_t)(quote - body) : 0);
        } else {
            check_single(v, side, offset);
        }
        at = next;
        n++;
    }
    return n;
}

static void walk_lists(struct verify *v, struct verify *side)
{
    char what[80];
    int64_t next;

    for (next = (int64_t)v->from;; ) {
        snprintf(what, sizeof what, "?from=%ld&limit=%lu", next, v->limit);
        ask(v, what, "application/json");
        int64_t now_next = reply_number(&v->reply, "next");
        /* "next" of the envelope stands after the messages, whose text has no such name */
        uint64_t n = check_list(v, side);
        if (v->reply.status != 200 || now_next < 0) {
            v->malformed++;
            complain(v, "not an answer to a read", (uint64_t)next);
            return;
        }
        if (n == 0)
            return;
        next = now_next;
    }
}

static void walk_raw(struct verify *v)
{
    char what[80];

    for (uint64_t next = v->from;; next = v->want) {
        snprintf(what, sizeof what, "?from=%lu", next);
        ask(v, what, "application/octet-stream");
        if (v->reply.status != 200)
            return;
        const char *head = strcasestr(v->reply.buf, "\r\nmessage-offset:");
        uint64_t offset = head ? strtoull(head + 17, NULL, 10) : UINT64_MAX - 1;
        check_message(v, offset, v->reply.buf + v->reply.body, v->reply.body_len);
        if (offset < next)
            return;
    }
}

static void verify_topic(struct verify *v, struct verify *side)
{
    v->topics++;
    v->want = v->from;
    memset(v->senders, 0, SENDERS * sizeof *v->senders);
    while (v->ack < v->ack_end && v->acks[v->ack].offset < v->from)
        v->ack++;
    if (v->raw)
        walk_raw(v);
    else
        walk_lists(v, side);
    skip_acks(v, UINT64_MAX);
}

static void verify_all(struct verify *v)
{
    struct verify side = { .target = v->target, .fd = net_connect(&v->target) };
    size_t end;

    qsort(v->acks, v->n_acks, sizeof *v->acks, by_topic_and_offset);
    for (size_t i = 0; i < v->n_acks; i = end) {
        end = i + 1;
        v->topic = v->acks[i].topic;
        for (; end < v->n_acks && strcmp(v->acks[end].topic, v->topic) == 0; end++) {
            if (v->acks[end].offset < v->acks[end - 1].offset + v->acks[end - 1].count) {
                v->twice++;
                complain(v, "acknowledged to two publishers", v->acks[end].offset);
            }
        }
        v->ack = i;
        v->ack_end = end;
        verify_topic(v, &side);
    }
}

static bool print_result(const struct verify *v)
{
    uint64_t bad = v->missing + v->wrong + v->twice + v->half + v->disorder + v->gaps +
                   v->malformed;

    printf("{\"command\":\"verify\",\"topics\":%lu,\"messages\":%lu,\"acknowledged\":%lu,"
           "\"extra\":%lu,\"missing\":%lu,\"wrong\":%lu,\"twice\":%lu,\"half\":%lu,"
           "\"disorder\":%lu,\"gaps\":%lu,\"malformed\":%lu}\n",
           v->topics, v->messages, v->acknowledged, v->extra, v->missing, v->wrong, v->twice,
           v->half, v->disorder, v->gaps, v->malformed);
    return bad == 0;
}

int hammer_verify(int argc, char **argv)
{
    struct verify v = { .limit = 1000 };
    const struct opt table[] = {
        { "limit", OPT_NUMBER, &v.limit, "messages asked for at once" },
        { "from", OPT_NUMBER, &v.from, "offset to start at; earlier acks are left out" },
        { "topic", OPT_TEXT, &v.only, "this topic only" },
        { "raw", OPT_FLAG, &v.raw, "read one by one as application/octet-stream" },
        { 0 },
    };
    int at = opt_parse("verify", table, argc, argv);

    if (at + 2 > argc) {
        fprintf(stderr, "hammer verify: expected HOST:PORT and files of acks\n");
        return 2;
    }
    v.target = net_target(argv[at]);
    v.senders = calloc(SENDERS, sizeof *v.senders);
    for (int i = at + 1; i < argc; i++)
        load(&v, argv[i]);
    v.fd = net_connect(&v.target);
    verify_all(&v);
    return print_result(&v) ? 0 : 1;
}
