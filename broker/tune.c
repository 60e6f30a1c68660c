/*
 * Invariants, under the lock:
 *  1. The live settings of `loaded` are what flags, environment and file say.
 *  2. Only `put_in_force` writes to `running`.
 */
#include "tune.h"

#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tune {
    /* Set once. */
    struct config *running;
    struct rate *rate;

    pthread_mutex_t lock;
    struct config loaded;
};

static void set_rates(struct tune *t)
{
    const struct config *c = t->running;
    struct rate_limits l = { .burst_us = (int64_t)c->rate_burst_ms * 1000 };

    l.per_s[RATE_BROKER][RATE_MESSAGES] = c->publish_rate_messages;
    l.per_s[RATE_BROKER][RATE_BYTES] = c->publish_rate_bytes;
    l.per_s[RATE_TOPIC][RATE_MESSAGES] = c->topic_rate_messages;
    l.per_s[RATE_TOPIC][RATE_BYTES] = c->topic_rate_bytes;
    l.per_s[RATE_CALLER][RATE_MESSAGES] = c->caller_rate_messages;
    l.per_s[RATE_CALLER][RATE_BYTES] = c->caller_rate_bytes;
    rate_set(t->rate, &l, clock_mono_us());
}

struct tune *tune_new(struct config *running, struct rate *rate)
{
    struct tune *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    t->running = running;
    t->loaded = *running;
    t->rate = rate;
    set_rates(t);
    return t;
}

void tune_free(struct tune *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ---- one setting ---- */

static _Atomic uint64_t *live_field(struct config *c, const struct config_setting *s)
{
    assert(s->live);
    return (_Atomic uint64_t *)(void *)((char *)c + s->field);
}

static struct config_origin *origin(struct config *c, const struct config_setting *s)
{
    return &c->origins[s - config_table];
}

static void copy_live(struct config *to, const struct config *from,
                      const struct config_setting *s)
{
    *live_field(to, s) = *live_field((struct config *)(uintptr_t)from, s);
    *origin(to, s) = from->origins[s - config_table];
}

static void say(const char *event, const struct config *was, const struct config *is,
                const struct config_setting *s)
{
    char before[CONFIG_VALUE_SIZE], after[CONFIG_VALUE_SIZE], from[CONFIG_VALUE_SIZE];

    config_value(was, s, before, sizeof before);
    config_value(is, s, after, sizeof after);
    config_origin(is, s, from, sizeof from);
    LOG_INFO("tune", event, LOG_S("setting", s->name), LOG_S("was", before),
             LOG_S("is", after), LOG_S("from", from));
}

static bool differs(const struct config *a, const struct config *b,
                    const struct config_setting *s)
{
    char of_a[CONFIG_VALUE_SIZE], of_b[CONFIG_VALUE_SIZE];

    if (s->type == CONFIG_SECRET) /* two keys are both "set" */
        return strcmp((const char *)a + s->field, (const char *)b + s->field) != 0;
    config_value(a, s, of_a, sizeof of_a);
    config_value(b, s, of_b, sizeof of_b);
    return strcmp(of_a, of_b) != 0;
}

/* ---- a change ---- */

static void put_in_force(struct tune *t, const struct config *next)
{
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *s = &config_table[i];

        if (!s->live)
            continue;
        if (differs(t->running, next, s))
            say("setting_changed", t->running, next, s);
        copy_live(t->running, next, s);
    }
    set_rates(t);
}

static enum err apply(const struct tune *t, struct config *next,
                      const struct tune_change *change)
{
    if (!change->value) {
        copy_live(next, &t->loaded, change->setting);
        return ERR_OK;
    }
    if (config_put(next, change->setting, change->value))
        return ERR_BAD_INPUT;
    *origin(next, change->setting) = (struct config_origin){ CONFIG_FROM_PATCH, 0 };
    return ERR_OK;
}

enum err tune_patch(struct tune *t, const struct tune_change *changes, size_t count,
                    size_t *bad)
{
    struct config next;
    enum err e = ERR_OK;

    pthread_mutex_lock(&t->lock);
    next = *t->running;
    for (size_t i = 0; i < count && !e; i++) {
        e = apply(t, &next, &changes[i]);
        *bad = i;
    }
    if (!e)
        put_in_force(t, &next);
    pthread_mutex_unlock(&t->lock);
    return e;
}

/* What is derived follows from what was given, and only that is worth a word. */
static bool both_derived(const struct config *a, const struct config *b,
                         const struct config_setting *s)
{
    return a->origins[s - config_table].place == CONFIG_DERIVED &&
           b->origins[s - config_table].place == CONFIG_DERIVED;
}

void tune_reload(struct tune *t, const struct config *fresh)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *s = &config_table[i];

        if (s->live)
            copy_live(&t->loaded, fresh, s);
        else if (!both_derived(t->running, fresh, s) && differs(t->running, fresh, s))
            say("setting_needs_restart", t->running, fresh, s);
    }
    if (fresh->file[0])
        memcpy(t->running->file, fresh->file, sizeof fresh->file);
    put_in_force(t, fresh);
    pthread_mutex_unlock(&t->lock);
}

void tune_read(struct tune *t, struct config *out)
{
    pthread_mutex_lock(&t->lock);
    *out = *t->running;
    pthread_mutex_unlock(&t->lock);
}
