/*
 * How the plan is made:
 *
 *  1. `fixed` and the writer's own part are taken off memory_limit.
 *  2. Each other line is a share with a want and a least. One that was given wants just
 *     that, and nothing less.
 *     The least is what is usual; only where that does not fit, what just works.
 *  3. Wants that fit are granted, and what is over stays unassigned. Otherwise each share
 *     gets its least and the same fraction of the way to its want.
 *  4. The shares become settings, rounded down: the lines never pass memory_limit.
 *
 * Parked readers are what people run many of, so the least for connections is not "one":
 * it is LEAST_PARKED of them, as long as MESSAGES_KEEP is left for all else.
 */
#include "limits_internal.h"

#include "base/text.h"
#include "config_table.h"
#include "rate.h"
#include "upload.h"

#include <stdarg.h>
#include <string.h>

/*
 * A parked reader was measured at 5,529 bytes with a pool of 4 KiB: 1,433 beside the pool, of which
 * the library has about 700; 256 of them are on the line `indexes`. An event stream takes less. The
 * margin, 103 bytes, is for a long topic and a small answer.
 */
#define CONNECTION_BYTES  (KIB + 296)
#define LOOP_BYTES        (256 * KIB)
/* The libraries that check tokens, loaded: tables that the linker writes into. */
#define CRYPTO_BYTES      (448 * KIB)
/* What they keep from the first token on: 160 KiB where it has a secret, 270 KiB where a public
 * key. */
#define TOKEN_BYTES       (320 * KIB)
#define BATCH_MOST        (16 * MIB)
#define JSON_LEAST        (256 * KIB)
#define JSON_MOST         (8 * MIB)
#define MESSAGES_KEEP     (4 * MIB + 832 * KIB)
#define PUBLISH_EXTRA     (16 * KIB) /* headers, attributes and our own state */
#define CONNECTIONS_MOST  ((uint64_t)1000000)
#define BIG_POOLS_FROM    (128 * MIB)
#define MEMORY_PER_LOOP   (16 * MIB)
#define OUR_DESCRIPTORS   ((uint64_t)64) /* the store, the log, epoll sets, scrapes */
#define LOOP_DESCRIPTORS  ((uint64_t)8)

void limits_refuse(struct plan *p, int offender, const char *form, ...)
{
    va_list args;

    if (p->error[0])
        return;
    va_start(args, form);
    vsnprintf(p->error, CONFIG_ERROR_SIZE, form, args);
    va_end(args);
    p->l->offender = offender;
}

/* ---- what is decided before the shares ---- */

static uint64_t waiter_bytes(const struct config *c)
{
    return LIMITS_WAITER_BYTES + (c->max_connections_per_address ? LIMITS_ADDRESS_BYTES : 0);
}

static uint64_t auto_loops(const struct plan *p)
{
    uint64_t carried = max_u64(1, p->c->memory_limit_bytes / MEMORY_PER_LOOP);

    return max_u64(1, min_u64(min_u64(p->m->cores, carried), 256));
}

/* 0.8 MiB of it is there when nobody has come; the rest is what the allocator cannot give
 * back, and grows with what goes through it. */
static uint64_t fixed_bytes(const struct config *c)
{
    bool tokens = *c->mercure_publisher_jwt_key || *c->mercure_subscriber_jwt_key;

    return within(c->memory_limit_bytes / 32, MIB, 5 * MIB) + CRYPTO_BYTES +
           (tokens ? TOKEN_BYTES : 0) + limits_push_bytes(c) + c->loops * LOOP_BYTES;
}

/* Pages that jobs and sweeps change beside those that hold the messages. */
static uint64_t writer_bytes(const struct config *c)
{
    return within(c->memory_limit_bytes / 32, MIB, 6 * MIB);
}

static void plan_fixed(struct plan *p)
{
    const struct config *c = p->c;

    p->fixed = fixed_bytes(c) + writer_bytes(c) + rate_table_bytes(c->memory_limit_bytes);
}

static void plan_process(struct plan *p)
{
    struct config *c = p->c;

    if (!config_given(c, &c->loops))
        config_derive(c, &c->loops, auto_loops(p));
    else if (c->loops == 0)
        c->loops = auto_loops(p);
    if (!config_given(c, &c->connection_memory_bytes))
        config_derive(c, &c->connection_memory_bytes,
                      c->memory_limit_bytes < BIG_POOLS_FROM ? 4 * KIB : 8 * KIB);
    p->connection_cost = c->connection_memory_bytes + CONNECTION_BYTES + waiter_bytes(c);
    p->l->connection_bytes = c->connection_memory_bytes + CONNECTION_BYTES;
    p->l->writer_bytes = writer_bytes(c);
    if (!config_given(c, &c->push_connections))
        config_derive(c, &c->push_connections, limits_auto_push_connections(c));
    plan_fixed(p);
}

static void plan_descriptors(struct plan *p)
{
    struct config *c = p->c;
    uint64_t ours = OUR_DESCRIPTORS + c->loops * LOOP_DESCRIPTORS;
    bool given = config_given(c, &c->max_connections);
    uint64_t least = given ? c->max_connections : LEAST_CONNECTIONS;

    p->connections_most = min_u64(limits_container_connections(p), CONNECTIONS_MOST);
    if (p->m->descriptors < ours + least)
        limits_refuse(
            p, LIMITS_CONNECTIONS,
            "max_connections = %llu%s and %llu descriptors of our own do not fit the "
            "descriptor limit of %llu (ulimit -n, LimitNOFILE)",
            (unsigned long long)least, given ? "" : " (the least)",
            (unsigned long long)ours, (unsigned long long)p->m->descriptors);
    else
        p->connections_most = min_u64(p->m->descriptors - ours, p->connections_most);
}

/* ---- the shares ---- */

static void share_set(struct plan *p, int which, const uint64_t *given, uint64_t unit,
                      uint64_t least, uint64_t want)
{
    struct share *s = &p->shares[which];

    s->given = given && config_given(p->c, given);
    s->want = s->given ? *given * unit : max_u64(want, least);
    s->least = s->given ? s->want : least;
}

static uint64_t batch_want(const struct config *c, uint64_t publish)
{
    return min_u64(max_u64(min_u64(publish / 4, BATCH_MOST), c->inline_max_bytes),
                   publish);
}

/* What all else takes before connections may have more than their least: what was given,
 * and MESSAGES_KEEP for what was not, or all that it wants when that is less. */
static uint64_t kept_from_connections(const struct plan *p)
{
    uint64_t given = 0, least = 0, want = 0;

    for (int i = 0; i < SHARES; i++) {
        if (i == CONNECTIONS)
            continue;
        if (p->shares[i].given) {
            given += p->shares[i].want;
        } else {
            least += p->shares[i].least;
            want += p->shares[i].want;
        }
    }
    return given + max_u64(least, min_u64(want, MESSAGES_KEEP));
}

static void share_connections(struct plan *p)
{
    const struct config *c = p->c;
    uint64_t cost = p->connection_cost, memory = c->memory_limit_bytes;
    uint64_t most = p->connections_most * cost;
    uint64_t taken = p->fixed + kept_from_connections(p);
    uint64_t parked = LEAST_PARKED * cost, least = LEAST_CONNECTIONS * cost;

    if (memory > taken + least)
        least = min_u64(parked, memory - taken);
    least = min_u64(least, most);
    share_set(p, CONNECTIONS, &c->max_connections, cost, least,
              min_u64(most, memory / 5 * 2 - min_u64(limits_push_bytes(c), memory / 5)));
}

/* A large message streams through a window, and one of unknown length is held whole
 * before it is known to be large (http/body.c). */
static uint64_t least_publish_buffer(const struct config *c)
{
    uint64_t whole = min_u64(c->inline_max_bytes, UPLOAD_HOLDS);
    uint64_t stream = c->max_message_bytes > c->inline_max_bytes
                          ? UPLOAD_WINDOW + whole
                          : c->inline_max_bytes;

    return max_u64(stream + PUBLISH_EXTRA, 256 * KIB);
}

/* What is kept for messages before connections get more than their least: two of the
 * largest pages at once, and an eighteenth of the memory for publishers. */
static uint64_t usual_read_buffer(const struct config *c)
{
    return 2 * limits_read_least(c);
}

static uint64_t usual_publish_buffer(const struct config *c)
{
    return max_u64(least_publish_buffer(c), c->memory_limit_bytes / 18);
}

static void share_all(struct plan *p, bool usual)
{
    const struct config *c = p->c;
    uint64_t memory = c->memory_limit_bytes, one = c->inline_max_bytes;
    uint64_t publish_least = usual ? usual_publish_buffer(c) : least_publish_buffer(c);
    uint64_t read_least = usual ? usual_read_buffer(c) : limits_read_least(c);
    uint64_t batch_least = max_u64(64 * KIB, one);

    if (config_given(c, &c->max_batch_bytes))
        publish_least = max_u64(publish_least, c->max_batch_bytes + PUBLISH_EXTRA);
    share_set(p, PUBLISH, &c->publish_buffer_bytes, 1, publish_least, memory / 4);
    share_set(p, READ, &c->read_buffer_bytes, 1, read_least, memory / 8);
    share_set(p, JSON, NULL, 1, JSON_LEAST, min_u64(memory / 64, JSON_MOST));
    share_set(p, BATCH, &c->max_batch_bytes, 2, 2 * batch_least,
              2 * batch_want(c, p->shares[PUBLISH].want));
    share_set(p, TOPICS, &c->topic_cache_bytes, 1, 64 * KIB, memory / 32);
    share_connections(p);
}

/* ---- who is to blame when they do not fit ---- */

struct suspect {
    const char *setting;
    int line;
    uint64_t excess; /* bytes above what it would take by itself */
};

static void suspect(struct suspect *worst, const char *setting, int line, uint64_t is,
                    uint64_t would_be)
{
    if (is > would_be && is - would_be > worst->excess)
        *worst = (struct suspect){ setting, line, is - would_be };
}

static struct suspect find_offender(const struct plan *p)
{
    const struct config *c = p->c;
    const struct share *s = p->shares;
    uint64_t memory = c->memory_limit_bytes;
    struct suspect worst = { "memory_limit", LIMITS_LINES, 0 };

    if (s[PUBLISH].given)
        suspect(&worst, "publish_buffer", LIMITS_PUBLISH_BUFFER, s[PUBLISH].want,
                memory / 4);
    if (s[READ].given)
        suspect(&worst, "read_buffer", LIMITS_READ_BUFFER, s[READ].want, memory / 8);
    if (s[CONNECTIONS].given)
        suspect(&worst, "max_connections", LIMITS_CONNECTIONS, s[CONNECTIONS].want,
                memory / 5 * 2);
    if (s[BATCH].given)
        suspect(&worst, "max_batch_bytes", LIMITS_WRITER, s[BATCH].want, memory / 8);
    if (s[TOPICS].given)
        suspect(&worst, "topic_cache", LIMITS_INDEXES, s[TOPICS].want, memory / 32);
    if (c->push_connections && config_given(c, &c->max_push_subscriptions))
        suspect(&worst, "max_push_subscriptions", LIMITS_FIXED,
                c->max_push_subscriptions * LIMITS_PUSH_TARGET_BYTES, memory / 128);
    if (config_given(c, &c->push_connections))
        suspect(&worst, "push_connections", LIMITS_FIXED,
                c->push_connections * LIMITS_PUSH_CONNECTION_BYTES, memory / 128);
    if (config_given(c, &c->loops))
        suspect(&worst, "loops", LIMITS_FIXED, c->loops * LOOP_BYTES,
                auto_loops(p) * LOOP_BYTES);
    if (config_given(c,
                     &c->inline_max_bytes)) /* once in a buffer, two in each of two */
        suspect(&worst, "inline_max", LIMITS_PUBLISH_BUFFER, 5 * c->inline_max_bytes,
                memory / 4);
    return worst;
}

static void refuse_sum(struct plan *p, uint64_t least)
{
    struct suspect worst = find_offender(p);
    const struct config_setting *s = config_find(worst.setting);
    char value[CONFIG_VALUE_SIZE], origin[CONFIG_PATH_SIZE];
    char need[TEXT_NUMBER_ROOM], limit[TEXT_NUMBER_ROOM];

    config_value(p->c, s, value, sizeof value);
    config_origin(p->c, s, origin, sizeof origin);
    text_format_size(need, (least / MIB + 1) * MIB);
    text_format_size(limit, p->c->memory_limit_bytes);
    limits_refuse(p, worst.line,
           "%s = %.64s (%s) does not fit: with it and the least of all else the budget "
           "needs %s, and memory_limit is %s",
           worst.setting, value, origin, need, limit);
}

/* ---- sharing out ---- */

/* False: not even the leasts fit; each has its least then. */
static bool share_out(struct plan *p, uint64_t *least)
{
    uint64_t memory = p->c->memory_limit_bytes, want = p->fixed;
    double part = 1.0;

    *least = p->fixed;
    for (int i = 0; i < SHARES; i++) {
        want += p->shares[i].want;
        *least += p->shares[i].least;
    }
    if (*least > memory)
        part = 0.0;
    else if (want > memory)
        part = (double)(memory - *least) / (double)(want - *least);
    for (int i = 0; i < SHARES; i++) {
        struct share *s = &p->shares[i];

        s->got = s->least + (uint64_t)((double)(s->want - s->least) * part);
    }
    return *least <= memory;
}

static void share(struct plan *p)
{
    uint64_t least;

    share_all(p, true);
    if (share_out(p, &least))
        return;
    share_all(p, false);
    if (share_out(p, &least))
        return;
    if (p->c->push_connections && !config_given(p->c, &p->c->push_connections)) {
        config_derive(p->c, &p->c->push_connections, 0);
        plan_fixed(p);
        share(p);
        return;
    }
    refuse_sum(p, least);
}

/* Round figures are easier to read; a least stays within reach. */
static uint64_t rounded(uint64_t bytes, uint64_t least)
{
    uint64_t unit = bytes >= MIB ? 64 * KIB : PAGE;

    return max_u64(bytes / unit * unit, min_u64(least, bytes));
}

static void settle_one(struct plan *p, uint64_t *field, uint64_t value)
{
    if (!config_given(p->c, field))
        config_derive(p->c, field, value);
}

static void settle(struct plan *p)
{
    struct config *c = p->c;
    const struct share *s = p->shares;
    uint64_t publish = s[PUBLISH].given ? c->publish_buffer_bytes
                                        : rounded(s[PUBLISH].got, s[PUBLISH].least);
    uint64_t batch = min_u64(s[BATCH].got / 2, batch_want(c, publish));

    settle_one(p, &c->publish_buffer_bytes, publish);
    settle_one(p, &c->read_buffer_bytes, rounded(s[READ].got, s[READ].least));
    settle_one(p, &c->max_batch_bytes, rounded(batch, s[BATCH].least / 2));
    settle_one(p, &c->topic_cache_bytes, rounded(s[TOPICS].got, s[TOPICS].least));
    settle_one(p, &c->max_connections, s[CONNECTIONS].got / p->connection_cost);
}

void limits_line_set(struct limits *l, enum limits_line line, uint64_t bytes,
                     const char *form, ...)
{
    struct limits_part *part = &l->parts[line];
    va_list args;

    part->limit_bytes = bytes;
    va_start(args, form);
    vsnprintf(part->note, sizeof part->note, form, args);
    va_end(args);
}

static void write_indexes(struct plan *p, unsigned long long connections)
{
    const struct config *c = p->c;
    uint64_t rates = rate_table_bytes(c->memory_limit_bytes);
    char topics[TEXT_NUMBER_ROOM], tables[TEXT_NUMBER_ROOM];

    text_format_size(topics, c->topic_cache_bytes);
    text_format_size(tables, rates);
    limits_line_set(p->l, LIMITS_INDEXES,
                    c->topic_cache_bytes + rates + connections * waiter_bytes(c),
                    "%s + %s of rates + %llu x %uB", topics, tables, connections,
                    (unsigned)waiter_bytes(c));
}

static void write_lines(struct plan *p)
{
    const struct config *c = p->c;
    struct limits *l = p->l;
    unsigned long long n = c->max_connections;
    char a[TEXT_NUMBER_ROOM], b[TEXT_NUMBER_ROOM];

    limits_line_set(l, LIMITS_PUBLISH_BUFFER, c->publish_buffer_bytes,
                    "received, not yet stored");
    limits_line_set(l, LIMITS_READ_BUFFER, c->read_buffer_bytes, "answers built or queued");
    limits_line_set(l, LIMITS_JSON, rounded(p->shares[JSON].got, JSON_LEAST),
                    "admin bodies and their trees");
    text_format_size(a, c->connection_memory_bytes);
    limits_line_set(l, LIMITS_CONNECTIONS, n * l->connection_bytes, "%llu x (%s + %uB)", n,
                    a, (unsigned)CONNECTION_BYTES);
    text_format_size(a, c->max_batch_bytes);
    text_format_size(b, l->writer_bytes);
    limits_line_set(l, LIMITS_WRITER, 2 * c->max_batch_bytes + l->writer_bytes,
                    "2 x %s + %s", a, b);
    write_indexes(p, n);
    text_format_size(a, fixed_bytes(c) - c->loops * LOOP_BYTES);
    limits_line_set(l, LIMITS_FIXED, fixed_bytes(c), "%s + %llu x 256KiB of loops", a,
                    (unsigned long long)c->loops);
}

/* ---- settings that must fit inside one another ---- */

static void check_inside(struct plan *p, const char *inner, const char *outer, int line)
{
    const struct config_setting *in = config_find(inner), *out = config_find(outer);
    char *c = (char *)p->c;
    uint64_t is, room;
    char a[CONFIG_VALUE_SIZE], b[CONFIG_VALUE_SIZE], from[CONFIG_PATH_SIZE];

    memcpy(&is, c + in->field, sizeof is);
    memcpy(&room, c + out->field, sizeof room);
    if (is <= room)
        return;
    config_value(p->c, in, a, sizeof a);
    config_value(p->c, out, b, sizeof b);
    config_origin(p->c, config_given(p->c, c + out->field) ? out : in, from,
                  sizeof from);
    limits_refuse(p, line, "%s = %.64s does not fit into %s = %.64s (%s)", inner, a, outer, b,
           from);
}

static void check_least(struct plan *p, const char *name, uint64_t is, uint64_t least,
                        int line)
{
    char inline_max[TEXT_NUMBER_ROOM], given[TEXT_NUMBER_ROOM], needed[TEXT_NUMBER_ROOM];

    if (is >= least)
        return;
    text_format_size(inline_max, p->c->inline_max_bytes);
    text_format_size(given, is);
    text_format_size(needed, (least + KIB - 1) / KIB * KIB);
    limits_refuse(p, line,
           "%s = %s is too small for one message: with inline_max = %s it must be at "
           "least %s",
           name, given, inline_max, needed);
}

static void check_nesting(struct plan *p)
{
    check_inside(p, "inline_max", "publish_buffer", LIMITS_PUBLISH_BUFFER);
    check_inside(p, "max_batch_bytes", "publish_buffer", LIMITS_WRITER);
    check_inside(p, "inline_max", "max_batch_bytes", LIMITS_WRITER);
    check_inside(p, "inline_max", "read_buffer", LIMITS_READ_BUFFER);
    check_least(p, "publish_buffer", p->c->publish_buffer_bytes,
                least_publish_buffer(p->c), LIMITS_PUBLISH_BUFFER);
    check_least(p, "read_buffer", p->c->read_buffer_bytes, limits_read_least(p->c),
                LIMITS_READ_BUFFER);
}

/* The table is made in any case: people want to see what does not fit, and beside what. */
enum err limits_plan(struct limits *l, struct config *c, const struct limits_machine *m,
                     char *error)
{
    struct plan p = { .c = c, .m = m, .l = l, .error = error };

    memset(l, 0, sizeof *l);
    l->offender = -1;
    l->container_bytes = m->container_bytes;
    error[0] = '\0';
    limits_plan_memory(&p);
    plan_process(&p);
    plan_descriptors(&p);
    share(&p);
    settle(&p);
    write_lines(&p);
    limits_plan_outside(&p);
    check_nesting(&p);
    return error[0] ? ERR_BAD_INPUT : ERR_OK;
}
