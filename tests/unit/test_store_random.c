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

#define TOPICS  6
#define IDS     40
#define CURSORS 3
#define KEYS    8

/* What the store should hold, kept the simple way. */
struct model {
    uint64_t next[TOPICS];
    uint64_t accepted, live;
    uint8_t here[TOPICS][4096]; /* by offset */
    int64_t expires[TOPICS][4096];
    uint8_t ids[TOPICS][4096]; /* which of id_bytes; 0: none */
    bool exists[TOPICS];
    uint64_t cursor[TOPICS][CURSORS]; /* NOWHERE: there is none */
    int64_t receipt[TOPICS][KEYS];    /* until when; 0: there is none */
};

static struct model now_model, kept_model;
static int64_t now_ms;

static const char *topic_name(unsigned i)
{
    static char name[16];

    snprintf(name, sizeof name, "t%u", i);
    return name;
}

/* Long ones and short ones, some of them the beginning of others. */
static struct bytes id_bytes(unsigned id)
{
    static char text[RECORD_ID_MAX];

    memset(text, 'a' + (int)id % 3, sizeof text);
    return bytes_of(text, id % 10 == 9 ? RECORD_ID_MAX - id / 10 : id);
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
        unsigned id = dice(2) ? dice(IDS) : 0;

        r.id = id_bytes(id);
        r.time_ms = now_ms;
        OK(ops->append(store, topic(topic_name(t)), &r, &offset));
        cr_assert(eq(u64, offset, m->next[t]));
        m->exists[t] = true;
        m->here[t][offset] = 1;
        m->ids[t][offset] = (uint8_t)id;
        m->expires[t][offset] = r.expires_ms;
        m->next[t]++;
        m->accepted++;
        m->live++;
    }
}

static uint64_t model_first(const struct model *m, unsigned t, uint64_t from)
{
    while (from < m->next[t] && !m->here[t][from])
        from++;
    return from < m->next[t] ? from : NOWHERE;
}

static void random_remove(struct model *m, unsigned t)
{
    uint64_t before = m->next[t] ? dice((unsigned)m->next[t] + 1) : 0;
    unsigned max = 1 + dice(40), gone = 0;
    struct store_step step;

    if (!m->exists[t])
        return;
    OK(ops->remove_step(store, topic(topic_name(t)), before, max, &step));
    for (uint64_t i = 0; i < before && gone < step.messages; i++)
        if (m->here[t][i]) {
            m->here[t][i] = 0;
            gone++;
        }
    m->live -= gone;
    cr_assert(eq(u64, step.messages, gone));
    cr_assert(le(u64, step.messages, max));
    cr_assert(step.more ? step.spent >= max : model_first(m, t, 0) >= before);
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
    for (unsigned c = 0; c < CURSORS; c++)
        m->cursor[t][c] = NOWHERE;
    memset(m->receipt[t], 0, sizeof m->receipt[t]); /* another life knows nothing of them */
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

static struct bytes cursor_name(unsigned c)
{
    static const char *const names[CURSORS] = {"s", "s2", "a longer name"};

    return bytes_str(names[c]);
}

static void random_cursor(struct model *m, unsigned t)
{
    unsigned c = dice(CURSORS), act = dice(8);
    uint64_t next = dice((unsigned)m->next[t] + 1), *now = &m->cursor[t][c];
    enum err there = *now == NOWHERE ? ERR_NOT_FOUND : ERR_OK;
    struct store_topic *topic_of;

    if (!m->exists[t])
        return;
    topic_of = topic(topic_name(t));
    if (act < 2) {
        cr_assert(eq(int, ops->cursor_create(store, topic_of, cursor_name(c), next, now_ms),
                     there ? ERR_OK : ERR_EXISTS));
        *now = there ? next : *now;
    } else if (act < 7) {
        cr_assert(
            eq(int, ops->cursor_move(store, topic_of, cursor_name(c), next), there));
        *now = there ? *now : next;
    } else {
        cr_assert(eq(int, ops->cursor_delete(store, topic_of, cursor_name(c)), there));
        *now = NOWHERE;
    }
}

static struct bytes receipt_key(unsigned k)
{
    static char text[STORE_RECEIPT_KEY_MAX];

    memset(text, 'k', sizeof text);
    return bytes_of(text, k % 2 ? STORE_RECEIPT_KEY_MAX - k : k + 1);
}

static void random_receipt(struct model *m, unsigned t)
{
    unsigned k = dice(KEYS);
    struct receipt r = {.first_offset = m->next[t] ? m->next[t] - 1 : 0,
                        .count = m->next[t] ? 1 : 0,
                        .until_ms = now_ms + 1 + dice(3000)};

    if (!m->exists[t])
        return;
    OK(ops->receipts->put(store, topic(topic_name(t)), receipt_key(k), &r));
    m->receipt[t][k] = r.until_ms;
}

static void random_forget(struct model *m)
{
    unsigned max = 1 + dice(10), gone;

    do {
        OK(ops->receipts->expire_step(store, now_ms, max, &gone));
        cr_assert(le(uint, gone, max));
    } while (gone == max);
    for (unsigned t = 0; t < TOPICS; t++)
        for (unsigned k = 0; k < KEYS; k++)
            if (m->receipt[t][k] <= now_ms)
                m->receipt[t][k] = 0;
}

static void random_act(struct model *m)
{
    struct store_step step;
    unsigned t = dice(TOPICS), act = dice(145);

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
    else if (act < 116)
        random_cursor(m, t);
    else if (act < 132)
        random_receipt(m, t);
    else if (act < 136)
        random_forget(m);
    else
        OK(ops->trash_step(store, now_ms, 1 + dice(100), &step));
}

static void compare_topic(const struct model *m, unsigned t)
{
    uint64_t at = 0, found;

    do {
        found = first_from(topic_name(t), at);
        cr_assert(eq(u64, found, model_first(m, t, at)));
        at = found + 1;
    } while (found != NOWHERE);
}

static uint64_t model_find(const struct model *m, unsigned t, unsigned id)
{
    uint64_t at = model_first(m, t, 0);

    while (at != NOWHERE && m->ids[t][at] != id)
        at = model_first(m, t, at + 1);
    return at;
}

static void compare_ids(const struct model *m, unsigned t)
{
    uint64_t topic_id = state(topic_name(t)).id, offset;

    OK(ops->read_begin(reader, 1));
    for (unsigned id = 1; id < IDS; id++) {
        enum err e = ops->read_find_id(reader, topic_id, id_bytes(id), &offset);

        cr_assert(e == ERR_OK || e == ERR_NOT_FOUND);
        cr_assert(eq(u64, e ? NOWHERE : offset, model_find(m, t, id)));
    }
    ops->read_end(reader);
}

static void compare_cursors(const struct model *m, unsigned t)
{
    uint64_t topic_id = state(topic_name(t)).id;
    struct cursor_state found;

    OK(ops->read_begin(reader, 1));
    for (unsigned c = 0; c < CURSORS; c++) {
        enum err e = ops->read_cursor(reader, topic_id, cursor_name(c), &found);

        cr_assert(e == ERR_OK || e == ERR_NOT_FOUND);
        cr_assert(eq(u64, e ? NOWHERE : found.next, m->cursor[t][c]));
    }
    ops->read_end(reader);
}

static void compare_receipts(const struct model *m, unsigned t)
{
    uint64_t topic_id = state(topic_name(t)).id;
    struct receipt found;

    OK(ops->read_begin(reader, 1));
    for (unsigned k = 0; k < KEYS; k++) {
        enum err e = ops->receipts->read(reader, topic_id, receipt_key(k), &found);

        cr_assert(e == ERR_OK || e == ERR_NOT_FOUND);
        cr_assert(eq(i64, e ? 0 : found.until_ms, m->receipt[t][k]));
    }
    ops->read_end(reader);
}

static void compare(const struct model *m)
{
    for (unsigned t = 0; t < TOPICS; t++)
        if (m->exists[t]) {
            compare_topic(m, t);
            compare_ids(m, t);
            compare_cursors(m, t);
            compare_receipts(m, t);
        }
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
    memset(kept_model.cursor, 0xff, sizeof kept_model.cursor); /* NOWHERE */
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
