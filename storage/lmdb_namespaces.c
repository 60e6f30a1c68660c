/*
 * Namespaces: a few prefixes of topic names, all of them in memory, each with the figures of
 * the topics whose names begin with it. A topic remembers which ones hold it, until the set
 * of namespaces changes.
 *
 *   CREATED --count, a step a transaction--> COMPLETE (has a row) --delete--> gone
 *      '--abort, end of the process--> gone
 *
 *   1. The figures of a complete one are the sums of its topics at every commit.
 *   2. Those of one that is counting are the sums of its topics whose names are not above
 *      counted_to: what changes above that is counted when the count comes there.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#include <stdlib.h>

#define NAMESPACE_VERSION 1
#define NAMESPACE_LEN     66u

/* ---- rows ---- */

static void encode(const struct namespace_state *n, uint8_t out[NAMESPACE_LEN])
{
    const uint64_t fields[] = {
        (uint64_t)n->created_ms, n->topics,
        n->live,                 n->live_bytes,
        n->settings.ttl_ms,      n->settings.max_bytes,
        n->settings.max_messages, n->settings.max_topics,
    };

    out[0] = NAMESPACE_VERSION;
    out[1] = (uint8_t)n->settings.overflow;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        put_be64(out + 2 + 8 * i, fields[i]);
}

static enum err decode(struct bytes prefix, struct bytes stored,
                       struct namespace_state *out)
{
    const uint8_t *p = stored.data;

    if (stored.len != NAMESPACE_LEN || p[0] != NAMESPACE_VERSION || !prefix.len ||
        prefix.len > STORE_TOPIC_NAME_MAX || p[1] > STORE_OVERFLOW_HOLD)
        return ERR_CORRUPT;
    *out = (struct namespace_state){
        .created_ms = (int64_t)get_be64(p + 2),
        .topics = get_be64(p + 10),
        .live = get_be64(p + 18),
        .live_bytes = get_be64(p + 26),
        .settings = {.ttl_ms = get_be64(p + 34),
                     .max_bytes = get_be64(p + 42),
                     .max_messages = get_be64(p + 50),
                     .max_topics = get_be64(p + 58),
                     .overflow = (enum store_overflow)p[1]},
        .prefix_len = (uint16_t)prefix.len,
    };
    memcpy(out->prefix, prefix.data, prefix.len);
    return ERR_OK;
}

static enum err corrupt(const struct store *s)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path),
              LOG_S("what", "a namespace"));
    return ERR_CORRUPT;
}

/* ---- the set ---- */

static struct bytes prefix_of(const struct namespace_state *n)
{
    return bytes_of(n->prefix, n->prefix_len);
}

static enum err add(struct store *s, const struct namespace_state *state,
                    struct store_namespace **out)
{
    struct namespaces *all = &s->namespaces;
    struct store_namespace *n;

    if (all->count == STORE_NAMESPACES_MAX)
        return ERR_FULL;
    n = calloc(1, sizeof *n);
    if (!n)
        return ERR_NO_MEMORY;
    n->now = n->committed = *state;
    all->all[all->count++] = *out = n;
    all->changes++;
    return ERR_OK;
}

static void forget(struct namespaces *all, unsigned i)
{
    free(all->all[i]);
    all->all[i] = all->all[--all->count];
    all->changes++;
}

enum err lmdb_namespaces_load(struct store *s)
{
    struct namespace_state state;
    struct store_namespace *n;
    MDB_cursor *c;
    MDB_val k, v;
    enum err e = lmdb_txn_cursor(s, TABLE_NAMESPACES, &c);
    int rc;

    s->namespaces.changes = 1;
    if (e)
        return e;
    while (!(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))) {
        if (decode(bytes_of_val(k), bytes_of_val(v), &state))
            return corrupt(s);
        e = add(s, &state, &n);
        if (e)
            return e;
    }
    return rc == MDB_NOTFOUND ? ERR_OK : lmdb_txn_fail(s, "read namespaces", rc);
}

void lmdb_namespaces_fini(struct store *s)
{
    while (s->namespaces.count)
        forget(&s->namespaces, 0);
}

/* ---- the end of a transaction ---- */

enum err lmdb_namespaces_flush(struct store *s)
{
    uint8_t row[NAMESPACE_LEN];
    enum err e = ERR_OK;

    for (unsigned i = 0; i < s->namespaces.count && !e; i++) {
        struct store_namespace *n = s->namespaces.all[i];

        if (!n->dirty || n->gone || n->now.counting)
            continue;
        encode(&n->now, row);
        e = lmdb_txn_put(s, TABLE_NAMESPACES, prefix_of(&n->now),
                         bytes_of(row, sizeof row));
    }
    return e;
}

static void settle(struct store_namespace *n, bool keep)
{
    if (keep) {
        n->committed = n->now;
        n->committed_len = n->counted_len;
    } else {
        n->now = n->committed;
        n->counted_len = n->committed_len;
    }
    n->born = n->gone = n->dirty = false;
}

/* Whoever counts fails with the transaction, so that nobody would finish it. */
void lmdb_namespaces_settle(struct store *s, bool keep)
{
    for (unsigned i = s->namespaces.count; i-- > 0;) {
        struct store_namespace *n = s->namespaces.all[i];

        if (keep ? n->gone : n->born || n->committed.counting) {
            forget(&s->namespaces, i);
            continue;
        }
        if (n->gone)
            s->namespaces.changes++; /* it is there again */
        if (n->dirty || n->gone || n->born)
            settle(n, keep);
    }
}

/* ---- which hold a topic ---- */

static void find_holders(struct store *s, struct bytes name, uint8_t *in, uint8_t *count)
{
    const struct namespaces *all = &s->namespaces;

    *count = 0;
    for (unsigned i = 0; i < all->count; i++) {
        struct bytes prefix = prefix_of(&all->all[i]->now);
        unsigned at = *count;

        if (all->all[i]->gone || !name_starts_with(name, prefix))
            continue;
        for (; at && all->all[in[at - 1]]->now.prefix_len > prefix.len; at--)
            in[at] = in[at - 1];
        in[at] = (uint8_t)i;
        ++*count; /* at most STORE_NAMESPACE_DEPTH, see depth_with */
    }
}

static void refresh(struct store *s, struct store_topic *t)
{
    if (t->in_as_of == s->namespaces.changes)
        return;
    find_holders(s, bytes_of(t->state.name, t->state.name_len), t->in, &t->in_count);
    t->in_as_of = s->namespaces.changes;
}

static bool holds(const struct store_namespace *n, const struct store_topic *t)
{
    return !n->now.counting ||
           name_compare(bytes_of(t->state.name, t->state.name_len),
                        bytes_of(n->counted_to, n->counted_len)) <= 0;
}

void lmdb_namespaces_add(struct store *s, struct store_topic *t, int topics, int64_t live,
                         int64_t live_bytes)
{
    if (!s->namespaces.count)
        return;
    refresh(s, t);
    for (unsigned i = 0; i < t->in_count; i++) {
        struct store_namespace *n = s->namespaces.all[t->in[i]];

        if (!holds(n, t))
            continue;
        n->now.topics += (uint64_t)(int64_t)topics;
        n->now.live += (uint64_t)live;
        n->now.live_bytes += (uint64_t)live_bytes;
        n->dirty = true;
    }
}

unsigned lmdb_namespaces_of(struct store *s, struct store_topic *t, struct bytes name,
                            const struct namespace_state *out[STORE_NAMESPACE_DEPTH])
{
    uint8_t found[STORE_NAMESPACE_DEPTH], count;
    const uint8_t *in = found;

    if (!s->namespaces.count)
        return 0;
    if (t) {
        refresh(s, t);
        in = t->in;
        count = t->in_count;
    } else {
        find_holders(s, name, found, &count);
    }
    for (unsigned i = 0; i < count; i++)
        out[i] = &s->namespaces.all[in[i]]->now;
    return count;
}

/* ---- life ---- */

enum err lmdb_namespace_find(struct store *s, struct bytes prefix,
                             struct store_namespace **out)
{
    *out = NULL;
    for (unsigned i = 0; i < s->namespaces.count; i++) {
        struct store_namespace *n = s->namespaces.all[i];

        if (!n->gone && bytes_eq(prefix_of(&n->now), prefix)) {
            *out = n;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

/* How many of all namespaces, and of this one that is to come, could hold one topic of
 * `name`. */
static unsigned depth(const struct namespaces *all, struct bytes name, struct bytes prefix)
{
    unsigned count = name_starts_with(name, prefix);

    for (unsigned i = 0; i < all->count; i++)
        if (!all->all[i]->gone && name_starts_with(name, prefix_of(&all->all[i]->now)))
            count++;
    return count;
}

static unsigned depth_with(const struct namespaces *all, struct bytes prefix)
{
    unsigned most = depth(all, prefix, prefix);

    for (unsigned i = 0; i < all->count; i++) {
        unsigned d = depth(all, prefix_of(&all->all[i]->now), prefix);

        most = d > most ? d : most;
    }
    return most;
}

enum err lmdb_namespace_create(struct store *s, struct bytes prefix,
                               const struct namespace_settings *settings, int64_t now_ms,
                               struct store_namespace **out)
{
    struct namespace_state state = {.created_ms = now_ms,
                                    .settings = *settings,
                                    .counting = true,
                                    .prefix_len = (uint16_t)prefix.len};
    enum err e;

    *out = NULL;
    if (!prefix.len || prefix.len > STORE_TOPIC_NAME_MAX)
        return ERR_BAD_INPUT;
    if (lmdb_namespace_find(s, prefix, out) == ERR_OK)
        return ERR_EXISTS;
    if (depth_with(&s->namespaces, prefix) > STORE_NAMESPACE_DEPTH)
        return ERR_TOO_BIG;
    memcpy(state.prefix, prefix.data, prefix.len);
    e = add(s, &state, out);
    if (e)
        return e == ERR_FULL ? e : lmdb_txn_spoil(s, e);
    (*out)->born = (*out)->dirty = true;
    return ERR_OK;
}

static enum err count_topic(struct store *s, struct store_namespace *n, MDB_val id)
{
    struct topic_state state;
    const struct store_topic *t;
    MDB_val row;
    int rc;

    if (id.mv_size != ID_LEN)
        return lmdb_txn_spoil(s, corrupt(s));
    t = lmdb_cache_by_id(&s->cache, get_be64(id.mv_data));
    if (!t) { /* one that is not cached has a row that is true */
        rc = mdb_get(s->txn, s->dbi[TABLE_TOPICS], &id, &row);
        if (rc)
            return lmdb_txn_fail(s, "count a namespace", rc);
        if (lmdb_topic_decode(get_be64(id.mv_data), bytes_of_val(row), &state))
            return lmdb_txn_spoil(s, corrupt(s));
    }
    n->now.topics++;
    n->now.live += t ? t->state.live : state.live;
    n->now.live_bytes += t ? t->state.live_bytes : state.live_bytes;
    return ERR_OK;
}

/* On the first name that is not counted yet. */
static int first_uncounted(const struct store_namespace *n, MDB_cursor *c, MDB_val *k,
                           MDB_val *id)
{
    int rc;

    *k = n->counted_len ? val_of(n->counted_to, n->counted_len)
                        : val_of(n->now.prefix, n->now.prefix_len);
    rc = mdb_cursor_get(c, k, id, MDB_SET_RANGE);
    if (!rc && n->counted_len &&
        bytes_eq(bytes_of_val(*k), bytes_of(n->counted_to, n->counted_len)))
        rc = mdb_cursor_get(c, k, id, MDB_NEXT);
    return rc;
}

static enum err count_some(struct store *s, struct store_namespace *n, unsigned max,
                           MDB_cursor *c, bool *more)
{
    MDB_val k, id;
    int rc = first_uncounted(n, c, &k, &id);
    enum err e;

    *more = false;
    for (; !rc && name_starts_with(bytes_of_val(k), prefix_of(&n->now)); max--) {
        if (!max) {
            *more = true;
            return ERR_OK;
        }
        e = count_topic(s, n, id);
        if (e)
            return e;
        memcpy(n->counted_to, k.mv_data, k.mv_size);
        n->counted_len = (uint16_t)k.mv_size;
        rc = mdb_cursor_get(c, &k, &id, MDB_NEXT);
    }
    return rc && rc != MDB_NOTFOUND ? lmdb_txn_fail(s, "count a namespace", rc) : ERR_OK;
}

enum err lmdb_namespace_count(struct store *s, struct store_namespace *n, unsigned max,
                              bool *more)
{
    MDB_cursor *c;
    enum err e;

    *more = false;
    if (!n->now.counting)
        return ERR_OK;
    n->dirty = true;
    e = lmdb_txn_cursor(s, TABLE_NAMES, &c);
    if (!e)
        e = count_some(s, n, max, c, more);
    if (!e && !*more)
        n->now.counting = false;
    return e;
}

const struct namespace_state *lmdb_namespace_state(const struct store_namespace *n)
{
    return &n->now;
}

enum err lmdb_namespace_configure(struct store *s, struct store_namespace *n,
                                  const struct namespace_settings *settings)
{
    n->now.settings = *settings;
    n->dirty = true;
    return s->error;
}

enum err lmdb_namespace_delete(struct store *s, struct store_namespace *n)
{
    n->gone = true;
    s->namespaces.changes++;
    return lmdb_txn_delete(s, TABLE_NAMESPACES, prefix_of(&n->now));
}

/* ---- read side ---- */

enum err lmdb_read_namespace(struct store_reader *r, struct bytes prefix,
                             struct namespace_state *out)
{
    MDB_val k = val_of(prefix.data, prefix.len), v;
    int rc;

    if (!prefix.len || prefix.len > STORE_TOPIC_NAME_MAX)
        return ERR_NOT_FOUND;
    rc = mdb_get(r->txn, r->store->dbi[TABLE_NAMESPACES], &k, &v);
    if (rc)
        return rc == MDB_NOTFOUND ? ERR_NOT_FOUND
                                  : lmdb_error(r->store, "read a namespace", rc);
    return decode(prefix, bytes_of_val(v), out) ? corrupt(r->store) : ERR_OK;
}

static enum err each(struct store_reader *r, MDB_cursor *c, store_namespace_fn fn,
                     void *arg)
{
    struct namespace_state state;
    MDB_val k, v;
    int rc;

    while (!(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))) {
        if (decode(bytes_of_val(k), bytes_of_val(v), &state))
            return corrupt(r->store);
        if (!fn(arg, &state))
            return ERR_OK;
    }
    return rc == MDB_NOTFOUND ? ERR_OK : lmdb_error(r->store, "read namespaces", rc);
}

enum err lmdb_read_namespaces(struct store_reader *r, store_namespace_fn fn, void *arg)
{
    MDB_cursor *c;
    int rc = mdb_cursor_open(r->txn, r->store->dbi[TABLE_NAMESPACES], &c);
    enum err e;

    if (rc)
        return lmdb_error(r->store, "read namespaces", rc);
    e = each(r, c, fn, arg);
    mdb_cursor_close(c);
    return e;
}
