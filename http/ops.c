#include "ops.h"

#include "embedded.h"

#include "base/clock.h"
#include "config_table.h"
#include "metrics.h"
#include "procmem.h"

#include <stdio.h>

#define METRICS_MAX (64u << 10)
#define LIMITS_MAX (32u << 10)

void ops_healthz(struct request *r)
{
    reply_text(r, MHD_HTTP_OK, "application/json", bytes_str("{\"status\":\"ok\"}\n"));
}

void ops_readyz(struct request *r)
{
    if (r->loop->broker->draining)
        reply_problem(r, PROBLEM_DRAINING, "The broker is shutting down.");
    else if (!writer_healthy(r->loop->broker->writer))
        reply_problem(r, PROBLEM_NOT_READY,
                      "The store's last transaction failed; the broker's log says why.");
    else
        reply_text(r, MHD_HTTP_OK, "application/json",
                   bytes_str("{\"status\":\"ready\"}\n"));
}

/* While readers hold the read buffer, or wait for it, an operator's answers are paid from the
 * admin requests' line: just then they are needed. */
static bool pay(const struct broker *b, size_t bytes, struct grant *out)
{
    return !ledger_reserve(b->read, bytes, out) || !ledger_reserve(b->json, bytes, out);
}

/* Charged like any answer, but after it was written: the figures in it are those of a
 * broker that is not being asked. */
static void send_text(struct request *r, struct out *o, const char *type)
{
    struct grant grant = { 0 };

    out_trim(o);
    if (!o->full && pay(r->loop->broker, o->cap + 256, &grant)) {
        reply_out(r, MHD_HTTP_OK, type, o, &grant);
        return;
    }
    if (o->full)
        reply_store_error(r, ERR_NO_MEMORY);
    else
        reply_read_buffer_full(r);
    out_fini(o);
}

/* ---- /metrics ---- */

static void put_head(struct out *o, const char *name, const char *kind, const char *help)
{
    struct bytes family = bytes_of(name, strcspn(name, "{"));

    if (!*help)
        return; /* one more of the family before it */
    out_text(o, "# HELP ");
    out_raw(o, family);
    out_text(o, " ");
    out_text(o, help);
    out_text(o, "\n# TYPE ");
    out_raw(o, family);
    out_text(o, " ");
    out_text(o, kind);
    out_text(o, "\n");
}

static void put(struct out *o, const char *name, const char *kind, const char *help,
                uint64_t value)
{
    put_head(o, name, kind, help);
    out_text(o, name);
    out_text(o, " ");
    out_u64(o, value);
    out_text(o, "\n");
}

static void put_seconds(struct out *o, double seconds)
{
    char text[32];

    snprintf(text, sizeof text, "%.9g", seconds);
    out_text(o, text);
}

static void put_histogram(struct out *o, enum histogram h)
{
    struct histogram_figures f;

    histogram_read(h, &f);
    put_head(o, f.name, "histogram", f.help);
    for (unsigned i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        out_text(o, f.name);
        out_text(o, "_bucket{le=\"");
        if (i < HISTOGRAM_BUCKETS)
            put_seconds(o, f.upper_seconds[i]);
        else
            out_text(o, "+Inf");
        out_text(o, "\"} ");
        out_u64(o, f.cumulative[i]);
        out_text(o, "\n");
    }
    out_text(o, f.name);
    out_text(o, "_sum ");
    put_seconds(o, (double)f.sum_us / 1e6);
    out_text(o, "\n");
    out_text(o, f.name);
    out_text(o, "_count ");
    out_u64(o, f.cumulative[HISTOGRAM_BUCKETS]);
    out_text(o, "\n");
}

static void put_counters(struct out *o)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *m = metric_info((enum metric)i);
        int64_t v = metric_get((enum metric)i);

        if (i == METRIC_REQUESTS_IN_FLIGHT)
            v--; /* but for this one */
        put(o, m->name, m->kind, m->help, v > 0 ? (uint64_t)v : 0);
    }
    for (unsigned i = 0; i < HISTOGRAM_COUNT; i++)
        put_histogram(o, (enum histogram)i);
}

static void put_publish_buffer(struct out *o, struct ledger *l)
{
    struct ledger_figures f;

    ledger_read(l, &f);
    put(o, "sluice_publish_buffer_bytes", "gauge", "Bytes reserved for publishers now",
        f.used);
    put(o, "sluice_publish_buffer_limit_bytes", "gauge", "The setting publish_buffer",
        f.limit);
    put(o, "sluice_publish_buffer_high_water_bytes", "gauge",
        "Most bytes that were reserved for publishers", f.high_water);
    put(o, "sluice_publish_waiting", "gauge",
        "Publishers suspended until the publish buffer has room", f.waiting);
    put(o, "sluice_publish_waited_total", "counter",
        "Times a publisher had to wait for room", f.waited_total);
}

static void put_rates(struct out *o, struct rate *r)
{
    static const char *const scopes[RATE_SCOPES] = { "broker", "topic", "caller" };

    put_head(o, "sluice_rate_limited_total", "counter",
             "Requests answered 429, by the limit that they met");
    for (int i = 0; i < RATE_SCOPES; i++) {
        out_text(o, "sluice_rate_limited_total{scope=\"");
        out_text(o, scopes[i]);
        out_text(o, "\"} ");
        out_u64(o, rate_refused(r, (enum rate_scope)i));
        out_text(o, "\n");
    }
}

static void put_read_buffer(struct out *o, struct ledger *l)
{
    struct ledger_figures f;

    ledger_read(l, &f);
    put(o, "sluice_read_buffer_bytes", "gauge", "Bytes reserved for answers now", f.used);
    put(o, "sluice_read_buffer_limit_bytes", "gauge", "The setting read_buffer", f.limit);
    put(o, "sluice_read_buffer_high_water_bytes", "gauge",
        "Most bytes that were reserved for answers", f.high_water);
    put(o, "sluice_read_buffer_waiting", "gauge",
        "Readers suspended until the read buffer has room", f.waiting);
    put(o, "sluice_read_buffer_waited_total", "counter",
        "Times a reader had to wait for room", f.waited_total);
}

static void put_budget(struct out *o, const struct limits_sample *now)
{
    static const char *const names[] = { "sluice_memory_limit_bytes",
                                         "sluice_memory_active_bytes",
                                         "sluice_memory_high_water_bytes" };
    static const char *const helps[] = { "The memory budget, line by line",
                                         "What each line of the budget uses now",
                                         "The most that each line has used" };

    for (int which = 0; which < 3; which++) {
        put_head(o, names[which], "gauge", helps[which]);
        for (int i = 0; i < LIMITS_LINES; i++) {
            const struct limits_row *row = &now->rows[i];

            out_text(o, names[which]);
            out_text(o, "{line=\"");
            out_text(o, row->name);
            out_text(o, "\"} ");
            out_u64(o, which == 0   ? row->limit_bytes
                       : which == 1 ? row->active_bytes
                                    : row->high_bytes);
            out_text(o, "\n");
        }
    }
}

static void put_memory(struct out *o, const struct procmem *p, uint64_t anon_high)
{
    put(o, "sluice_process_rss_anon_bytes", "gauge",
        "Anonymous memory: what memory_limit is a promise about", p->rss_anon_bytes);
    put(o, "sluice_process_rss_anon_high_water_bytes", "gauge",
        "The most anonymous memory that was seen, looking once a second", anon_high);
    put(o, "sluice_process_rss_file_bytes", "gauge",
        "File pages: the store's map and the program, which the kernel takes back",
        p->rss_file_bytes);
    put(o, "sluice_process_page_tables_bytes", "gauge",
        "Page tables, which the kernel keeps", p->page_tables_bytes);
    put(o, "sluice_process_malloc_arena_bytes", "gauge",
        "Memory the allocator holds from the kernel", p->malloc_arena_bytes);
    put(o, "sluice_process_malloc_mapped_bytes", "gauge",
        "Of these, in maps of their own: large blocks", p->malloc_mapped_bytes);
    put(o, "sluice_process_malloc_used_bytes", "gauge", "Memory the allocator gave out",
        p->malloc_used_bytes);
}

static void put_process(struct out *o, const struct procmem *p)
{
    put(o, "sluice_process_open_fds", "gauge", "Open descriptors", p->descriptors);
    put(o, "sluice_process_threads", "gauge", "Threads", p->threads);
    put(o, "sluice_container_limit_bytes", "gauge",
        "Memory limit of the control group; 0: none", p->container_limit_bytes);
    put(o, "sluice_container_current_bytes", "gauge", "Memory of the control group now",
        p->container_current_bytes);
    put(o, "sluice_container_peak_bytes", "gauge", "Most memory of the control group",
        p->container_peak_bytes);
}

static void put_store(struct out *o, struct broker *b, const struct store_stats *s)
{
    put(o, "sluice_messages_accepted_total", "counter",
        "Messages stored since the store was created: live + expired + removed",
        s->counters.accepted);
    put(o, "sluice_messages_expired_total", "counter",
        "Messages taken out because their time was over", s->counters.expired);
    put(o, "sluice_messages_removed_total", "counter",
        "Messages purged, dropped by a quota, or gone with their topic",
        s->counters.removed);
    put(o, "sluice_messages_live", "gauge", "Messages in the store", s->live);
    put(o, "sluice_messages_live_bytes", "gauge", "Bytes of their bodies", s->live_bytes);
    put(o, "sluice_topics", "gauge", "Topics", s->topics);
    put(o, "sluice_idempotency_keys", "gauge", "Receipts kept for Idempotency-Key",
        s->receipts);
    put(o, "sluice_store_used_bytes", "gauge", "Pages of the store in use", s->used_bytes);
    put(o, "sluice_store_file_bytes", "gauge", "What the store's file has grown to",
        s->file_bytes);
    put(o, "sluice_store_map_bytes", "gauge", "The setting map_size", s->map_bytes);
    put(o, "sluice_topic_cache_bytes", "gauge", "The writer's index of topics",
        s->topic_cache_bytes);
    put_head(o, "sluice_store_oldest_reader_seconds", "gauge",
             "Age of the oldest open snapshot");
    out_text(o, "sluice_store_oldest_reader_seconds ");
    put_seconds(o,
                (double)b->ops->oldest_reader_ms(b->store, clock_wall_ms()) / 1000);
    out_text(o, "\n");
}

static enum err read_store(struct request *r, struct store_stats *s)
{
    struct fetch *f = &r->loop->fetch;
    enum err e = f->ops->read_begin(f->reader, clock_wall_ms());

    if (e)
        return e;
    e = f->ops->read_stats(f->reader, s);
    f->ops->read_end(f->reader);
    return e;
}

void ops_metrics(struct request *r)
{
    struct broker *b = r->loop->broker;
    struct store_stats stats;
    struct limits_sample now;
    struct procmem p;
    struct out o;
    enum err e = read_store(r, &stats);

    if (e) {
        reply_store_error(r, e);
        return;
    }
    out_init(&o, METRICS_MAX);
    put_store(&o, b, &stats);
    put_publish_buffer(&o, b->publish);
    put_rates(&o, b->rate);
    put_read_buffer(&o, b->read);
    procmem_read(&p, "");
    limits_sample(b->limits, p.rss_anon_bytes, procmem_spare(), &now);
    put_budget(&o, &now);
    put_memory(&o, &p, now.rss_anon_high_bytes);
    put_process(&o, &p);
    put_counters(&o);
    put(&o, "sluice_uptime_seconds", "gauge", "Since the start",
        (uint64_t)(clock_wall_ms() - b->started_ms) / 1000);
    send_text(r, &o, "text/plain; version=0.0.4; charset=utf-8");
}

/* ---- /v1/limits ---- */

static void put_line(struct out *o, const struct limits_row *row)
{
    out_text(o, "{\"line\":");
    out_str(o, bytes_str(row->name));
    out_member(o, "limit_bytes", row->limit_bytes);
    out_member(o, "active_bytes", row->active_bytes);
    out_member(o, "high_water_bytes", row->high_bytes);
    out_text(o, ",\"note\":");
    out_str(o, bytes_str(row->note));
    out_text(o, "}");
}

static void put_lines(struct out *o, const char *name, const struct limits_row *first,
                      const struct limits_row *end)
{
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":[");
    for (const struct limits_row *row = first; row < end; row++) {
        if (row > first)
            out_text(o, ",");
        put_line(o, row);
    }
    out_text(o, "]");
}

static void put_settings(struct out *o, struct tune *t)
{
    char value[CONFIG_VALUE_SIZE], origin[CONFIG_VALUE_SIZE];
    struct config c;

    tune_read(t, &c);
    out_text(o, ",\"settings\":{");
    for (int i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *s = &config_table[i];

        config_value(&c, s, value, sizeof value);
        config_origin(&c, s, origin, sizeof origin);
        out_text(o, i ? ",\"" : "\"");
        out_text(o, s->name);
        out_text(o, "\":{\"value\":");
        out_str(o, bytes_str(value));
        out_text(o, ",\"from\":");
        out_str(o, bytes_str(origin));
        out_text(o, s->live ? ",\"live\":true}" : "}");
    }
    out_text(o, "}");
}

void ops_limits(struct request *r)
{
    struct broker *b = r->loop->broker;
    struct limits_sample now;
    struct procmem p;
    struct out o;

    out_init(&o, LIMITS_MAX);
    procmem_read(&p, "");
    limits_sample(b->limits, p.rss_anon_bytes, procmem_spare(), &now);
    out_text(&o, "{\"memory_limit_bytes\":");
    out_u64(&o, b->limits->memory_bytes);
    out_member(&o, "container_limit_bytes", b->limits->container_bytes);
    out_member(&o, "rss_anon_bytes", p.rss_anon_bytes);
    out_member(&o, "rss_file_bytes", p.rss_file_bytes);
    out_member(&o, "rss_anon_high_water_bytes", now.rss_anon_high_bytes);
    out_member(&o, "malloc_arena_bytes", p.malloc_arena_bytes);
    out_member(&o, "malloc_mapped_bytes", p.malloc_mapped_bytes);
    out_member(&o, "malloc_used_bytes", p.malloc_used_bytes);
    out_member(&o, "file_pages_least_bytes", b->limits->file_pages_bytes);
    put_lines(&o, "budget", now.rows, now.rows + LIMITS_KERNEL);
    put_lines(&o, "beside", now.rows + LIMITS_KERNEL, now.rows + LIMITS_LINES);
    put_settings(&o, b->tune);
    out_text(&o, "}\n");
    send_text(r, &o, "application/json");
}

void ops_openapi(struct request *r)
{
    (void)embedded_reply(r, &openapi_files[0]);
}
