#include "broker.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

static void report(void *arg, uint64_t *active_bytes, uint64_t *high_bytes)
{
    struct ledger_figures f;

    ledger_read(arg, &f);
    *active_bytes = f.used;
    *high_bytes = f.high_water;
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
                                .turn_bytes = b->config->max_batch_bytes,
                                .relaxed = b->config->durability == STORE_RELAXED };

    return writer_start(&o, &b->writer);
}

static enum err make_ledgers(struct broker *b)
{
    b->publish = ledger_new(b->config->publish_buffer_bytes);
    b->read = ledger_new(b->config->read_buffer_bytes);
    b->json = ledger_new((size_t)b->limits->parts[LIMITS_JSON].limit_bytes);
    b->waiters = waiters_new((unsigned)b->config->loops);
    if (!b->publish || !b->read || !b->json || !b->waiters)
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
    tune_free(b->tune);
    rate_free(b->rate);
    ledger_free(b->publish);
    ledger_free(b->read);
    ledger_free(b->json);
    free(b);
}
