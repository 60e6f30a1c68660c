/* The store under random use, compared with a model that does the same the simple way.
 */
#include "store_fixture.h"

TestSuite(store_random, .init = given_an_empty_store, .fini = then_it_is_gone);

static uint64_t seed;

static unsigned dice(unsigned sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % sides;
}

#define TOPICS 6

/* What the store should hold, kept the simple way. */
struct model {
    uint64_t next[TOPICS];
    uint64_t accepted, live;
    uint8_t here[TOPICS][4096]; /* by offset */
    int64_t expires[TOPICS][4096];
    bool exists[TOPICS];
};

static struct model now_model, kept_model;
static int64_t now_ms;

static const char *topic_name(unsigned i)
{
    static char name[16];

    snprintf(name, sizeof name, "t%u", i);
    return name;
}

static void random_append(struct model *m, unsigned t, unsigned count)
{
    static char body[6000];
    struct record r = {.body = bytes_of(body, dice(10) ? dice(300) : dice(6000))};
    uint64_t offset;

    if (m->next[t] + count > 4096)
        return;
    r.expires_ms = dice(4) ? now_ms + 1 + dice(2000) : 0;
    while (count--) {
        r.time_ms = now_ms;
        OK(ops->append(store, topic(topic_name(t)), &r, &offset));
        cr_assert(eq(u64, offset, m->next[t]));
        m->exists[t] = true;
        m->here[t][offset] = 1;
        m->expires[t][offset] = r.expires_ms;
        m->next[t]++;
        m->accepted++;
        m->live++;
    }
}

static void random_remove(struct model *m, unsigned t)
{
    uint64_t before = m->next[t] ? dice((unsigned)m->next[t] + 1) : 0;
    unsigned max = 1 + dice(40), gone = 0;
    struct store_step step;

    if (!m->exists[t])
        return;
    OK(ops->remove_step(store, topic(topic_name(t)), before, max, &step));
    for (uint64_t i = 0; i < before && gone < max; i++)
        if (m->here[t][i]) {
            m->here[t][i] = 0;
            gone++;
        }
    m->live -= gone;
    cr_assert(eq(u64, step.messages, gone));
}

static void random_delete(struct model *m, unsigned t)
{
    if (!m->exists[t])
        return;
    OK(ops->topic_delete(store, topic(topic_name(t))));
    for (uint64_t i = 0; i < m->next[t]; i++)
        m->live -= m->here[t][i];
    memset(m->here[t], 0, sizeof m->here[t]);
    m->exists[t] = false;
}

static unsigned model_expire(struct model *m)
{
    unsigned gone = 0;

    for (unsigned t = 0; t < TOPICS; t++)
        for (unsigned i = 0; i < m->next[t]; i++)
            if (m->here[t][i] && m->expires[t][i] &&
                (m->expires[t][i] + 99) / 100 * 100 <= now_ms) {
                m->here[t][i] = 0;
                gone++;
            }
    m->live -= gone;
    return gone;
}

static void random_expire(struct model *m)
{
    struct store_step step;
    uint64_t gone = 0;
    unsigned max = 1 + dice(200);

    do {
        OK(ops->expire_step(store, now_ms, max, &step));
        cr_assert(le(u64, step.messages, max));
        gone += step.messages;
    } while (step.more);
    cr_assert(eq(u64, gone, model_expire(m)));
}

/* The model knows nothing of them: the store's own check sums them up. */
static void random_namespace(void)
{
    static const char *const prefixes[] = {"t", "t1", "t5", "t3 and more"};
    struct bytes prefix = bytes_str(prefixes[dice(4)]);
    struct namespace_settings set = {.max_topics = dice(9)};
    struct store_namespace *n;
    bool more;

    if (ops->namespace_find(store, prefix, &n) == ERR_NOT_FOUND)
        OK(ops->namespace_create(store, prefix, &set, now_ms, &n));
    else if (ops->namespace_state(n)->counting)
        OK(ops->namespace_count(store, n, 1 + dice(2), &more));
    else if (dice(4))
        OK(ops->namespace_configure(store, n, &set));
    else
        OK(ops->namespace_delete(store, n));
}

static void random_act(struct model *m)
{
    struct store_step step;
    unsigned t = dice(TOPICS), act = dice(110);

    now_ms += dice(60);
    if (act < 60)
        random_append(m, t, 1 + dice(dice(3) ? 4 : 60));
    else if (act < 75)
        random_expire(m);
    else if (act < 88)
        random_remove(m, t);
    else if (act < 91)
        random_delete(m, t);
    else if (act < 101)
        random_namespace();
    else
        OK(ops->trash_step(store, now_ms, 1 + dice(100), &step));
}

static void compare_topic(const struct model *m, unsigned t)
{
    uint64_t at = 0, found;

    if (!m->exists[t])
        return;
    for (; at < m->next[t]; at = found + 1) {
        found = first_from(topic_name(t), at);
        while (at < m->next[t] && !m->here[t][at])
            at++;
        cr_assert(eq(u64, found, at < m->next[t] ? at : NOWHERE));
        if (found == NOWHERE)
            return;
    }
}

static void compare(const struct model *m)
{
    for (unsigned t = 0; t < TOPICS; t++)
        compare_topic(m, t);
    cr_assert(eq(u64, stats().counters.accepted, m->accepted));
    cr_assert(eq(u64, stats().live, m->live));
    nothing_is_lost();
}

static void random_transaction(void)
{
    now_model = kept_model;
    OK(ops->begin(store));
    for (unsigned n = 1 + dice(8); n; n--)
        random_act(&now_model);
    if (dice(6)) {
        OK(ops->commit(store));
        kept_model = now_model;
    } else {
        ops->abort(store);
    }
    if (dice(50) == 0)
        reopen();
}

static void random_use(uint64_t start, unsigned transactions)
{
    seed = start;
    now_ms = 1000000;
    memset(&kept_model, 0, sizeof kept_model);
    for (unsigned i = 0; i < transactions; i++) {
        random_transaction();
        if (i % 25 == 0)
            compare(&kept_model);
    }
    empty_trash();
    compare(&kept_model);
}

Test(store_random, keeps_its_promises_under_random_use)
{
    random_use(1, 600);
}

Test(store_random, keeps_its_promises_under_other_random_use)
{
    options.topic_cache_bytes = 0; /* the least cache there is */
    reopen();
    random_use(20240229, 600);
}
