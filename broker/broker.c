#include "broker.h"

#include "base/clock.h"
#include "base/log.h"
#include "metrics.h"
#include "procmem.h"

#include <stdlib.h>

static void report(void *arg, uint64_t *active_bytes, uint64_t *high_bytes)
{
    struct ledger_figures f;

    ledger_read(arg, &f);
    *active_bytes = f.used;
    *high_bytes = f.high_water;
}

static void report_indexes(void *arg, uint64_t *active_bytes, uint64_t *high_bytes)
{
    struct broker *b = arg;
    int64_t parked = metric_get(METRIC_READERS_PARKED);

    *active_bytes = b->ops->cache_bytes(b->store) +
                    (uint64_t)(parked > 0 ? parked : 0) * LIMITS_WAITER_BYTES;
    *high_bytes = *active_bytes;
}

static void report_writer(void *arg, uint64_t *active_bytes, uint64_t *high_bytes)
{
    struct broker *b = arg;

    *active_bytes = *high_bytes = writer_pages_bytes(b->writer);
}

static void report_kernel(void *arg, uint64_t *active_bytes, uint64_t *high_bytes)
{
    struct broker *b = arg;
    int64_t open = metric_get(METRIC_CONNECTIONS);
    struct procmem_watch now;

    procmem_watch(&now, "");
    *active_bytes = (uint64_t)(open > 0 ? open : 0) * b->limits->kernel_each_bytes +
                    now.page_tables_bytes;
    *high_bytes = *active_bytes;
}

static void report_sockets(void *arg, uint64_t *active_bytes, uint64_t *high_bytes)
{
    struct procmem_watch now;

    (void)arg;
    procmem_watch(&now, "");
    *active_bytes = *high_bytes = now.sockets_bytes;
}

/* The heap's page tables stay, and grow with it: what counts is what came since. */
static void bound_page_tables(struct broker *b, struct procmem_watch *now)
{
    uint64_t most = b->tables_kept_bytes + b->limits->page_tables_bytes;

    if (now->page_tables_bytes <= most)
        return;
    b->ops->map_refresh(b->store);
    metric_add(METRIC_MAP_REFRESHES, 1);
    procmem_watch(now, "");
    b->tables_kept_bytes = now->page_tables_bytes;
}

void broker_watch(struct broker *b)
{
    struct procmem_watch now;
    struct limits_sample sample;

    procmem_watch(&now, "");
    bound_page_tables(b, &now);
    if (b->watches++ % WATCHES_PER_SAMPLE == 0)
        limits_sample(b->limits, now.rss_anon_bytes, LIMITS_SPARE_UNKNOWN, &sample);
}

static enum err open_store(struct broker *b)
{
    const struct config *c = b->config;
    struct store_options o = { .path = c->data_dir,
                               .map_size = c->map_size_bytes,
                               .durability = c->durability,
                               .max_readers = (unsigned)c->loops + 8,
                               .topic_cache_bytes = c->topic_cache_bytes };

    b->ops = &lmdb_store;
    return b->ops->open(&o, &b->store);
}

static enum err start_writer(struct broker *b)
{
    struct writer_options o = { .ops = b->ops,
                                .store = b->store,
                                .waiters = b->waiters,
                                .config = b->config,
                                .rate = b->rate,
                                .weights = &b->weights,
                                .max_topics = b->config->max_topics,
                                .places = b->places,
                                .turn_bytes = b->config->max_batch_bytes,
                                .page_bytes = (size_t)b->limits->writer_bytes,
                                .relaxed = b->config->durability == STORE_RELAXED };

    return writer_start(&o, &b->writer);
}

static enum err make_ledgers(struct broker *b)
{
    b->publish = ledger_new(b->config->publish_buffer_bytes);
    b->read = ledger_new(b->config->read_buffer_bytes);
    b->json = ledger_new((size_t)b->limits->parts[LIMITS_JSON].limit_bytes);
    b->waiters = waiters_new((unsigned)b->config->loops + 1); /* and push */
    b->places = places_new();
    b->receivers = receivers_new();
    b->ties = ties_new((size_t)limits_read_share(b->config->read_buffer_bytes,
                                                 b->config->inline_max_bytes));
    if (!b->places || !b->receivers || !b->ties || !b->publish || !b->read || !b->json || !b->waiters)
        return ERR_NO_MEMORY;
    limits_gauge(b->limits, LIMITS_PUBLISH_BUFFER, report, b->publish);
    limits_gauge(b->limits, LIMITS_READ_BUFFER, report, b->read);
    limits_gauge(b->limits, LIMITS_JSON, report, b->json);
    return ERR_OK;
}

static enum err make_rates(struct broker *b, struct config *c)
{
    b->rate = rate_new(rate_table_bytes(c->memory_limit_bytes));
    b->tune = b->rate ? tune_new(c, b->rate) : NULL;
    return b->tune ? ERR_OK : ERR_NO_MEMORY;
}

enum err broker_open(struct config *c, struct limits *limits, struct broker **out)
{
    struct broker *b = calloc(1, sizeof *b);
    enum err e = b ? ERR_OK : ERR_NO_MEMORY;

    if (e)
        return e;
    b->config = c;
    b->limits = limits;
    b->started_ms = clock_wall_ms();
    e = make_ledgers(b);
    if (!e)
        e = make_rates(b, c);
    if (!e)
        e = open_store(b);
    if (!e)
        e = start_writer(b);
    if (e) {
        LOG_ERROR("broker", "open_failed", LOG_S("error", err_name(e)),
                  LOG_S("data_dir", c->data_dir));
        broker_close(b);
        return e;
    }
    limits_gauge(b->limits, LIMITS_INDEXES, report_indexes, b);
    limits_gauge(b->limits, LIMITS_WRITER, report_writer, b);
    limits_gauge(b->limits, LIMITS_KERNEL, report_kernel, b);
    limits_gauge(b->limits, LIMITS_SOCKETS, report_sockets, b);
    *out = b;
    return ERR_OK;
}

void broker_close(struct broker *b)
{
    if (!b)
        return;
    writer_stop(b->writer);
    if (b->store)
        b->ops->close(b->store);
    waiters_free(b->waiters);
    places_free(b->places);
    receivers_free(b->receivers);
    ties_free(b->ties);
    tune_free(b->tune);
    rate_free(b->rate);
    ledger_free(b->publish);
    ledger_free(b->read);
    ledger_free(b->json);
    free(b);
}
