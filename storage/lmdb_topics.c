/*
 * A topic's life: names -> id -> state. The state is cached while the topic is in use
 * and written once per transaction. What outlives a deleted topic is its next offset,
 * kept under its name in the table of the ended.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#define TOPIC_VERSION 2
#define FIXED_LEN     118u /* then the name */
#define FIXED_LEN_1   82u  /* of version 1 */

static void topic_encode(const struct topic_state *t, uint8_t *out)
{
    const uint64_t fields[] = {
        (uint64_t)t->created_ms,
        (uint64_t)t->last_time_ms,
        t->next_offset,
        t->counters.accepted,
        t->counters.expired,
        t->counters.removed,
        t->live,
        t->live_bytes,
        t->settings.ttl_ms,
        t->settings.max_bytes,
        t->settings.max_messages,
        t->settings.max_age_ms,
        t->settings.rate_messages,
        t->settings.rate_bytes,
    };

    out[0] = TOPIC_VERSION;
    out[1] = (uint8_t)t->settings.overflow;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        put_be64(out + 2 + 8 * i, fields[i]);
    put_be32(out + FIXED_LEN - 4, t->settings.weight);
    memcpy(out + FIXED_LEN, t->name, t->name_len);
}

static void decode_version_1(const uint8_t *p, struct topic_state *out)
{
    out->created_ms = (int64_t)get_be64(p + 2);
    out->last_time_ms = (int64_t)get_be64(p + 10);
    out->next_offset = get_be64(p + 18);
    out->counters = (struct store_counters){.accepted = get_be64(p + 26),
                                            .expired = get_be64(p + 34),
                                            .removed = get_be64(p + 42)};
    out->live = get_be64(p + 50);
    out->live_bytes = get_be64(p + 58);
    out->settings.ttl_ms = get_be64(p + 66);
    out->settings.max_bytes = get_be64(p + 74);
    out->settings.overflow = (enum store_overflow)p[1];
}

static void decode_version_2(const uint8_t *p, struct topic_state *out)
{
    decode_version_1(p, out);
    out->settings.max_messages = get_be64(p + 82);
    out->settings.max_age_ms = get_be64(p + 90);
    out->settings.rate_messages = get_be64(p + 98);
    out->settings.rate_bytes = get_be64(p + 106);
    out->settings.weight = get_be32(p + 114);
}

enum err lmdb_topic_decode(uint64_t id, struct bytes stored, struct topic_state *out)
{
    const uint8_t *p = stored.data;
    size_t fixed = stored.len && p[0] == 1 ? FIXED_LEN_1 : FIXED_LEN;

    if (stored.len <= fixed || stored.len > fixed + STORE_TOPIC_NAME_MAX || p[0] < 1 ||
        p[0] > TOPIC_VERSION || p[1] > STORE_OVERFLOW_HOLD)
        return ERR_CORRUPT;
    *out = (struct topic_state){.id = id, .name_len = (uint16_t)(stored.len - fixed)};
    if (p[0] == 1)
        decode_version_1(p, out);
    else
        decode_version_2(p, out);
    memcpy(out->name, p + fixed, out->name_len);
    return ERR_OK;
}

static enum err get(struct store *s, enum table t, struct bytes key, MDB_val *out)
{
    MDB_val k = val_of(key.data, key.len);
    int rc = mdb_get(s->txn, s->dbi[t], &k, out);

    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    return rc ? lmdb_txn_fail(s, "look up a topic", rc) : ERR_OK;
}

static enum err corrupt(struct store *s, const char *what)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path), LOG_S("what", what));
    return lmdb_txn_spoil(s, ERR_CORRUPT);
}

enum err lmdb_topics_find_id(struct store *s, uint64_t id, struct store_topic **out)
{
    struct topic_state state;
    uint8_t key[ID_LEN];
    MDB_val row;
    enum err e;

    *out = lmdb_cache_by_id(&s->cache, id);
    if (*out)
        return ERR_OK;
    put_be64(key, id);
    e = get(s, TABLE_TOPICS, bytes_of(key, sizeof key), &row);
    if (e)
        return e;
    if (lmdb_topic_decode(id, bytes_of_val(row), &state))
        return corrupt(s, "the record of a topic");
    *out = lmdb_cache_add(s, &state);
    return *out ? ERR_OK : ERR_NO_MEMORY;
}

static bool is_name(struct bytes name)
{
    return name.len && name.len <= STORE_TOPIC_NAME_MAX;
}

enum err lmdb_topics_find(struct store *s, struct bytes name, struct store_topic **out)
{
    MDB_val id;
    enum err e;

    *out = NULL;
    if (!is_name(name))
        return ERR_NOT_FOUND;
    *out = lmdb_cache_by_name(&s->cache, name);
    if (*out)
        return ERR_OK;
    e = get(s, TABLE_NAMES, name, &id);
    if (e)
        return e;
    if (id.mv_size != ID_LEN)
        return corrupt(s, "the id of a topic");
    e = lmdb_topics_find_id(s, get_be64(id.mv_data), out);
    return e == ERR_NOT_FOUND ? corrupt(s, "a name without its topic") : e;
}

/* Where an earlier life of this name ended; 0 when there was none. */
static enum err find_ended(struct store *s, struct bytes name, uint64_t *next_offset)
{
    MDB_val row;
    enum err e = get(s, TABLE_ENDED, name, &row);

    *next_offset = 0;
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (row.mv_size != 8)
        return corrupt(s, "the next offset of an ended topic");
    *next_offset = get_be64(row.mv_data);
    return ERR_OK;
}

enum err lmdb_topics_next_offset(struct store *s, struct bytes name, uint64_t *offset)
{
    struct store_topic *t;
    enum err e = lmdb_topics_find(s, name, &t);

    if (e == ERR_NOT_FOUND)
        return is_name(name) ? find_ended(s, name, offset) : ERR_BAD_INPUT;
    if (!e)
        *offset = t->state.next_offset;
    return e;
}

static enum err enter(struct store *s, const struct topic_state *state,
                      struct store_topic **out)
{
    uint8_t id[ID_LEN];
    enum err e;

    put_be64(id, state->id);
    e = lmdb_txn_put(s, TABLE_NAMES, bytes_of(state->name, state->name_len),
                     bytes_of(id, sizeof id));
    if (e)
        return e;
    *out = lmdb_cache_add(s, state);
    if (!*out)
        return lmdb_txn_spoil(
            s, ERR_NO_MEMORY); /* the name is in, its state would not be */
    lmdb_cache_touch(&s->cache, *out);
    lmdb_namespaces_add(s, *out, 1, 0, 0);
    s->totals.next_topic_id++;
    s->totals.topics++;
    return ERR_OK;
}

enum err lmdb_topics_create(struct store *s, struct bytes name,
                            const struct topic_settings *settings, int64_t now_ms,
                            struct store_topic **out)
{
    struct topic_state state = {
        .id = s->totals.next_topic_id,
        .created_ms = now_ms,
        .settings = *settings,
        .name_len = (uint16_t)name.len,
    };
    enum err e;

    *out = NULL;
    if (!is_name(name))
        return ERR_BAD_INPUT;
    memcpy(state.name, name.data, name.len);
    e = lmdb_topics_find(s, name, out);
    if (e != ERR_NOT_FOUND) {
        *out = NULL;
        return e ? e : ERR_EXISTS;
    }
    e = find_ended(s, name, &state.next_offset);
    if (!e && state.next_offset)
        e = lmdb_txn_delete(s, TABLE_ENDED, name);
    return e ? e : enter(s, &state, out);
}

const struct topic_state *lmdb_topics_state(const struct store_topic *t)
{
    return &t->state;
}

uint64_t lmdb_topics_count(struct store *s)
{
    return s->totals.topics;
}

enum err lmdb_topics_configure(struct store *s, struct store_topic *t,
                               const struct topic_settings *settings)
{
    lmdb_cache_touch(&s->cache, t);
    t->state.settings = *settings;
    return s->error;
}

static enum err look_up_oldest(struct store *s, struct store_topic *t)
{
    struct record r;
    MDB_cursor *c;
    uint64_t at;
    MDB_val v;
    enum err e = lmdb_park_return(s);

    if (!e)
        e = lmdb_txn_cursor(s, TABLE_LOG, &c);
    if (!e)
        e = lmdb_log_seek(s, c, t->state.id, 0, &at, &v);
    if (!e && record_decode(bytes_of_val(v), &r))
        e = corrupt(s, "a message");
    if (!e)
        t->oldest_ms = r.time_ms;
    return e;
}

enum err lmdb_topics_oldest(struct store *s, struct store_topic *t, int64_t *time_ms)
{
    enum err e = ERR_OK;

    if (!t->state.live)
        return ERR_NOT_FOUND;
    if (!t->oldest_ms)
        e = look_up_oldest(s, t);
    *time_ms = t->oldest_ms;
    return e == ERR_NOT_FOUND ? corrupt(s, "messages that are not in the log") : e;
}

/* Readers find no name, so no state: the records may go later, in steps. */
enum err lmdb_topics_delete(struct store *s, struct store_topic *t)
{
    struct bytes name = bytes_of(t->state.name, t->state.name_len);
    uint8_t id[ID_LEN], next[8];
    bool holes = false;
    enum err e;

    put_be64(id, t->state.id);
    put_be64(next, t->state.next_offset);
    e = lmdb_txn_delete(s, TABLE_NAMES, name);
    if (!e)
        e = lmdb_txn_delete(s, TABLE_TOPICS, bytes_of(id, sizeof id));
    if (!e && t->state.next_offset)
        e = lmdb_txn_put(s, TABLE_ENDED, name, bytes_of(next, sizeof next));
    if (!e)
        e = lmdb_cursors_delete_all(s, t->state.id);
    if (!e)
        e = lmdb_holes_any(s, t, &holes);
    if (!e && (t->state.live || holes))
        e = lmdb_trash_put(s, TRASH_TOPIC, t->state.id);
    if (e)
        return e;
    s->taken_out_in = s->txn_number;
    lmdb_namespaces_add(s, t, -1, -(int64_t)t->state.live, -(int64_t)t->state.live_bytes);
    s->totals.topics--;
    s->totals.counters.removed += t->state.live;
    s->totals.live -= t->state.live;
    s->totals.live_bytes -= t->state.live_bytes;
    lmdb_cache_touch(&s->cache, t);
    lmdb_cache_detach(s, t);
    return ERR_OK;
}

enum err lmdb_topics_flush(struct store *s)
{
    uint8_t key[ID_LEN], row[FIXED_LEN + STORE_TOPIC_NAME_MAX];
    enum err e = ERR_OK;

    for (struct store_topic *t = s->cache.touched; t && !e; t = t->next_touched) {
        if (t->gone)
            continue;
        put_be64(key, t->state.id);
        topic_encode(&t->state, row);
        e = lmdb_txn_put(s, TABLE_TOPICS, bytes_of(key, sizeof key),
                         bytes_of(row, FIXED_LEN + t->state.name_len));
    }
    return e;
}
