/*
 * lmdb_internal - what the files of the LMDB engine share. Nobody else includes it.
 *
 *   lmdb_env      open and close, tables, format version, the lock on the directory
 *   lmdb_txn      begin, commit, abort; errors; how full the map is
 *   lmdb_ballast  disk space held back for taking messages out
 *   lmdb_cache    the writer's bounded cache of topic states
 *   lmdb_topics   names, settings, lives of a topic
 *   lmdb_namespaces  prefixes of names with figures of their own
 *   lmdb_cursors  how far the subscriptions of topics have come
 *   lmdb_subs     subscriptions
 *   lmdb_deliveries  what they have handed out
 *   lmdb_holes    how many messages are live from an offset on
 *   lmdb_log      append and take out
 *   lmdb_ids      where the message with an id is
 *   lmdb_receipts what was answered to who published under a key
 *   lmdb_park     keeps the pages of topics that grow in the middle of the log full
 *   lmdb_expiry   what is due, in runs
 *   lmdb_blobs    chunks and uploads
 *   lmdb_trash    what is left to delete, in bounded steps
 *   lmdb_pins     blobs that somebody reads
 *   lmdb_map      drops the page tables of the file's map
 *   lmdb_reader   readers and their snapshots
 *   lmdb_read     what is read under one
 *   lmdb_check    proves the invariants of a whole store
 *   lmdb_check_subs, lmdb_check_receipts  those of subscriptions, of receipts
 *
 * Write side functions want an open transaction and run on the writer; a failing LMDB
 * call spoils the transaction (lmdb_txn_fail), whose commit then fails with the same
 * error.
 */
#ifndef SLUICE_LMDB_INTERNAL_H
#define SLUICE_LMDB_INTERNAL_H

#include "store.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

enum table {
    TABLE_META,
    TABLE_NAMES,
    TABLE_ENDED,
    TABLE_TOPICS,
    TABLE_LOG,
    TABLE_DUE,
    TABLE_BLOBS,
    TABLE_UPLOADS,
    TABLE_TRASH,
    TABLE_NAMESPACES,
    TABLE_CURSORS,
    TABLE_IDS,
    TABLE_SUBS,
    TABLE_DELIVERIES,
    TABLE_SUB_DUE,
    TABLE_RECEIPTS,
    TABLE_RECEIPTS_DUE,
    TABLE_HOLES,
    TABLES
};

enum trash_kind { TRASH_BLOB = 1, TRASH_TOPIC = 2, TRASH_DELIVERIES = 3 };

#define ID_LEN      8u
#define LOG_KEY_LEN 16u
#define DUE_KEY_LEN 24u

/* The record of the whole store: row 0 of the table of topics. */
struct totals {
    uint64_t next_topic_id;
    uint64_t next_blob_id;
    uint64_t topics;
    struct store_counters counters;
    uint64_t live, live_bytes;
};

/* Consecutive offsets of one topic that become due together. count 0: none. */
struct due_run {
    int64_t due_ms;
    uint64_t first;
    uint32_t count;
    bool dirty; /* not written as it is now */
};

enum holes_there { HOLES_UNKNOWN, HOLES_NONE, HOLES_SOME };

/* A cached topic. In the lists of its cache unless it is gone. */
struct store_topic {
    struct topic_state state;
    struct due_run run; /* the newest one, so that it can grow */
    uint64_t parked_in; /* transaction in which its strangers were parked */
    enum holes_there holes; /* has it rows in the table of holes? */
    int64_t oldest_ms;  /* the oldest live record's time; 0: to be looked up */
    struct store_topic *by_name, *by_id; /* next in the hash chain */
    struct store_topic *newer, *older;   /* order of use */
    struct store_topic *next_touched;
    uint64_t in_as_of;  /* the change of the namespaces for which `in` is true */
    uint8_t in[STORE_NAMESPACE_DEPTH], in_count;
    bool touched; /* changed in the current transaction */
    bool gone;    /* deleted in the current transaction */
};

struct topic_cache {
    struct store_topic **by_name, **by_id;
    size_t mask; /* of both tables */
    uint64_t seed;
    struct store_topic *newest, *oldest;
    struct store_topic *touched;
    size_t entries, max_entries;
};

/* Figures go to its row at commit. While it is counting it has no row, and holds the topics
 * up to counted_to only. */
struct store_namespace {
    struct namespace_state now, committed;
    char counted_to[STORE_TOPIC_NAME_MAX]; /* a name; those up to it are in the figures */
    uint16_t counted_len, committed_len;
    bool born, gone, dirty; /* in the current transaction */
};

struct namespaces { /* writer only */
    struct store_namespace *all[STORE_NAMESPACES_MAX];
    unsigned count;
    uint64_t changes; /* of `all`, from 1 */
};

/* Records taken out of the log until the end of the transaction, see lmdb_park.c. */
struct park {
    size_t used;
    uint8_t *bytes;
};

/* Holes of one topic that are not in its rows yet, see lmdb_holes.c. */
#define HOLE_LEVELS 4u
struct holes {
    uint64_t topic_id;
    struct hole_block {
        uint64_t block;
        uint64_t count;
    } at[HOLE_LEVELS];
};

#define PIN_SLOTS 256u

/* Pins by blob id; guarded by lock, which is held for a look at one slot only. */
struct pins {
    pthread_mutex_t lock;
    struct store_pin *first[PIN_SLOTS];
};

struct store {
    /* Set at open. */
    MDB_env *env;
    void *map; /* where LMDB has the file; NULL: not found */
    size_t map_bytes;
    int map_fd;
    MDB_dbi dbi[TABLES];
    int lock_fd, ballast_fd;
    char *path;
    uint64_t map_size; /* what messages may use */
    unsigned page_size;
    unsigned max_readers;
    uint8_t secret[STORE_SECRET_LEN];

    /* Writer only. */
    bool disk_full; /* the ballast is given up */
    MDB_txn *txn;
    uint64_t txn_number;
    uint64_t taken_out_in; /* number of the last transaction that took a record out */
    MDB_cursor *cursor[TABLES]; /* of txn; made when first wanted */
    enum err error;             /* what spoilt txn */
    struct totals totals, committed;
    uint64_t room_left; /* bytes that room() may still grant without looking */
    uintptr_t id_row;   /* address of the row of an id last taken out; a hint to its page */
    uint64_t top_topic; /* no key of the log belongs to a higher topic; 0: not known */
    struct topic_cache cache;
    struct namespaces namespaces;
    struct park park;
    struct holes holes;

    /* Any thread. */
    _Atomic size_t cache_bytes;
    struct pins pins;
    _Atomic int64_t *opened_ms; /* by reader slot; 0: no snapshot is open */
    pthread_mutex_t slots_lock;
    bool *slot_taken; /* guarded by slots_lock */
};

struct store_reader {
    struct store *store;
    unsigned slot;
    MDB_txn *txn;
    MDB_cursor *log, *blobs;
    bool have;   /* topic_id and offset name the record last read */
    bool placed; /* and log stands on it */
    uint64_t topic_id, offset;
};

/* A macro, so that the compiler knows that a key is filled in after it is pointed to.
 */
#define val_of(data, len) ((MDB_val){(len), (void *)(data)})

static inline struct bytes bytes_of_val(MDB_val v)
{
    return bytes_of(v.mv_data, v.mv_size);
}

/* The order of keys in LMDB. */
static inline int name_compare(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;

    return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

static inline bool name_starts_with(struct bytes name, struct bytes prefix)
{
    return name.len >= prefix.len && memcmp(name.data, prefix.data, prefix.len) == 0;
}

static inline void log_key(uint8_t key[LOG_KEY_LEN], uint64_t topic_id, uint64_t offset)
{
    put_be64(key, topic_id);
    put_be64(key + 8, offset);
}

/* ---- lmdb_env ---- */
enum err lmdb_env_open(const struct store_options *o, struct store **out);
void lmdb_env_close(struct store *s);

/* ---- lmdb_txn ---- */
/* What an LMDB or errno code means to the caller. ERR_IO, ERR_CORRUPT: logged. */
enum err lmdb_error(const struct store *s, const char *doing, int rc);
/* The same, and the current write transaction can only be aborted. */
enum err lmdb_txn_fail(struct store *s, const char *doing, int rc);
/* For an error that is not LMDB's. */
enum err lmdb_txn_spoil(struct store *s, enum err e);
enum err lmdb_txn_begin(struct store *s);
enum err lmdb_txn_commit(struct store *s);
void lmdb_txn_abort(struct store *s);
enum err lmdb_txn_cursor(struct store *s, enum table t, MDB_cursor **out);
enum err lmdb_txn_put(struct store *s, enum table t, struct bytes key,
                      struct bytes value);
/* Deletes a key that may be missing. */
enum err lmdb_txn_delete(struct store *s, enum table t, struct bytes key);
enum err lmdb_txn_room(struct store *s, uint64_t bytes);
enum err lmdb_txn_stats(struct store *s, struct store_stats *out);
enum err lmdb_txn_sync(struct store *s);
/* Fills in all of *out; totals is of the same snapshot as txn. */
enum err lmdb_stats_fill(struct store *s, MDB_txn *txn, const struct totals *totals,
                         struct store_stats *out);

#define TOTALS_LEN 65u
void lmdb_totals_encode(const struct totals *t, uint8_t out[TOTALS_LEN]);
MUST_CHECK enum err lmdb_totals_decode(struct bytes stored, struct totals *t);

/* ---- lmdb_ballast ---- */
#define BALLAST_BYTES (4u << 20)
void lmdb_ballast_open(struct store *s);
void lmdb_ballast_close(struct store *s);
void lmdb_ballast_give_up(struct store *s);
/* Cheap unless the disk was found full. */
void lmdb_ballast_take_back(struct store *s);
/* Is that what this error of a write means? */
bool lmdb_is_disk_full(const struct store *s, int rc);

/* ---- lmdb_cache ---- */
enum err lmdb_cache_init(struct store *s, size_t bytes);
size_t lmdb_cache_bytes(struct store *s); /* any thread */
void lmdb_cache_fini(struct store *s);
/* Down to its bound; not within a transaction, handles would go stale. */
void lmdb_cache_trim(struct store *s);
struct store_topic *lmdb_cache_by_name(struct topic_cache *c, struct bytes name);
struct store_topic *lmdb_cache_by_id(struct topic_cache *c, uint64_t id);
/* A new entry for this state. NULL: no memory. */
struct store_topic *lmdb_cache_add(struct store *s, const struct topic_state *state);
void lmdb_cache_touch(struct topic_cache *c, struct store_topic *t);
/* Out of all lists but the touched one, freed by lmdb_cache_settle. */
void lmdb_cache_detach(struct store *s, struct store_topic *t);
/* Ends a transaction: the touched entries are clean now (kept), or stale (not kept). */
void lmdb_cache_settle(struct store *s, bool keep);

/* ---- lmdb_topics ---- */
enum err lmdb_topics_find(struct store *s, struct bytes name, struct store_topic **out);
enum err lmdb_topics_find_id(struct store *s, uint64_t id, struct store_topic **out);
enum err lmdb_topics_create(struct store *s, struct bytes name,
                            const struct topic_settings *settings, int64_t now_ms,
                            struct store_topic **out);
enum err lmdb_topics_next_offset(struct store *s, struct bytes name, uint64_t *offset);
const struct topic_state *lmdb_topics_state(const struct store_topic *t);
enum err lmdb_topics_configure(struct store *s, struct store_topic *t,
                               const struct topic_settings *settings);
enum err lmdb_topics_oldest(struct store *s, struct store_topic *t, int64_t *time_ms);
enum err lmdb_topics_delete(struct store *s, struct store_topic *t);
/* Writes the states that changed. */
enum err lmdb_topics_flush(struct store *s);
MUST_CHECK enum err lmdb_topic_decode(uint64_t id, struct bytes stored,
                                      struct topic_state *out);

uint64_t lmdb_topics_count(struct store *s);

/* ---- lmdb_namespaces ---- */
enum err lmdb_namespaces_load(struct store *s);
void lmdb_namespaces_fini(struct store *s);
enum err lmdb_namespaces_flush(struct store *s);
/* Ends a transaction: what it changed holds (kept), or is undone (not kept). */
void lmdb_namespaces_settle(struct store *s, bool keep);
/* Topics, messages and bytes that came to a topic, or are gone from it. */
void lmdb_namespaces_add(struct store *s, struct store_topic *t, int topics, int64_t live,
                         int64_t live_bytes);
enum err lmdb_namespace_find(struct store *s, struct bytes prefix,
                             struct store_namespace **out);
enum err lmdb_namespace_create(struct store *s, struct bytes prefix,
                               const struct namespace_settings *settings, int64_t now_ms,
                               struct store_namespace **out);
enum err lmdb_namespace_count(struct store *s, struct store_namespace *n, unsigned max,
                              bool *more);
const struct namespace_state *lmdb_namespace_state(const struct store_namespace *n);
enum err lmdb_namespace_configure(struct store *s, struct store_namespace *n,
                                  const struct namespace_settings *settings);
enum err lmdb_namespace_delete(struct store *s, struct store_namespace *n);
unsigned lmdb_namespaces_of(struct store *s, struct store_topic *t, struct bytes name,
                            const struct namespace_state *out[STORE_NAMESPACE_DEPTH]);
enum err lmdb_read_namespace(struct store_reader *r, struct bytes prefix,
                             struct namespace_state *out);
enum err lmdb_read_namespaces(struct store_reader *r, store_namespace_fn fn, void *arg);

/* ---- lmdb_cursors ---- */
MUST_CHECK enum err lmdb_cursor_decode(struct bytes stored, struct cursor_state *out);
enum err lmdb_cursor_find(struct store *s, struct store_topic *t, struct bytes name,
                          struct cursor_state *out);
enum err lmdb_cursor_create(struct store *s, struct store_topic *t, struct bytes name,
                            uint64_t next, int64_t now_ms);
enum err lmdb_cursor_move(struct store *s, struct store_topic *t, struct bytes name,
                          uint64_t next);
enum err lmdb_cursor_delete(struct store *s, struct store_topic *t, struct bytes name);
/* Those of a topic, which are bounded. */
enum err lmdb_cursors_delete_all(struct store *s, uint64_t topic_id);
enum err lmdb_cursors_count(struct store *s, uint64_t *count);
enum err lmdb_log_first(struct store *s, struct store_topic *t, uint64_t offset,
                        int64_t now_ms, unsigned max, struct store_entry *out);
enum err lmdb_read_cursor(struct store_reader *r, uint64_t topic_id, struct bytes name,
                          struct cursor_state *out);

/* ---- lmdb_subs ---- */
extern const struct store_subs_ops lmdb_subs;
enum err lmdb_secret_load(struct store *s);

/* ---- lmdb_receipts ---- */
extern const struct store_receipts_ops lmdb_receipts;
MUST_CHECK enum err lmdb_receipt_decode(struct bytes stored, struct receipt *out);
/* ---- lmdb_holes ---- */
/* A record was taken out while an earlier one of its topic stays. */
enum err lmdb_holes_note(struct store *s, struct store_topic *t, uint64_t offset);
enum err lmdb_holes_flush(struct store *s);
/* The topic has nothing before `earliest` any more. Some of what it does not need goes. */
enum err lmdb_holes_tidy(struct store *s, struct store_topic *t, uint64_t earliest);
enum err lmdb_holes_any(struct store *s, struct store_topic *t, bool *any_there);
/* Of a deleted topic. ERR_NOT_FOUND: nothing is left. */
enum err lmdb_holes_free_one(struct store *s, uint64_t topic_id);
enum err lmdb_read_live_from(struct store_reader *r, const struct topic_state *t,
                             uint64_t offset, uint64_t *count);

/* ---- lmdb_log ---- */
enum err lmdb_log_append(struct store *s, struct store_topic *t, struct record *r,
                         uint64_t *offset);
enum err lmdb_log_remove_step(struct store *s, struct store_topic *t, uint64_t before,
                              unsigned max, struct store_step *out);
enum err lmdb_log_remove_one(struct store *s, struct store_topic *t, uint64_t offset);
/* Puts cursor c on the first key at or after (topic, offset); ERR_NOT_FOUND when that
 * is not a key of this topic. */
enum err lmdb_log_seek(struct store *s, MDB_cursor *c, uint64_t topic_id,
                       uint64_t offset, uint64_t *found, MDB_val *value);
enum err lmdb_log_next(struct store *s, MDB_cursor *c, uint64_t topic_id,
                       uint64_t *found, MDB_val *value);
/* Deletes the record under the cursor with its id, and sends its blob to the trash. Views of
 * *r are void. *spent grows by what that counts as in a step. */
enum err lmdb_log_take_out(struct store *s, MDB_cursor *c, uint64_t topic_id,
                           uint64_t offset, const struct record *r, uint64_t *spent);

/* ---- lmdb_ids ---- */
#define ID_KEY_LEAST (ID_LEN + 1u + 1u + 8u)
#define ID_KEY_MAX   (ID_LEN + 1u + RECORD_ID_MAX + 8u)
/* The key of an id's row: topic, length of the id, id, offset. */
struct bytes lmdb_id_key(uint8_t key[ID_KEY_MAX], uint64_t topic_id, struct bytes id,
                         uint64_t offset);
/* False: it is none. The id points into it. */
bool lmdb_id_key_parse(struct bytes key, uint64_t *topic_id, struct bytes *id,
                       uint64_t *offset);
enum err lmdb_id_put(struct store *s, uint64_t topic_id, struct bytes id, uint64_t offset);
/* *moved: its row was on another page than the one last taken out. */
enum err lmdb_id_take_out(struct store *s, struct bytes key, bool *moved);
enum err lmdb_read_find_id(struct store_reader *r, uint64_t topic_id, struct bytes id,
                           uint64_t *offset);

/* ---- lmdb_park ---- */
enum err lmdb_park_init(struct park *p);
void lmdb_park_fini(struct park *p);
/* Before the first append to a topic in a transaction. */
enum err lmdb_park_before_append(struct store *s, struct store_topic *t);
/* Before anything but an append looks at the log. */
enum err lmdb_park_return(struct store *s);

/* ---- lmdb_expiry ---- */
enum err lmdb_expiry_note(struct store *s, struct store_topic *t, int64_t expires_ms,
                          uint64_t offset);
/* Writes the runs of touched topics. */
enum err lmdb_expiry_flush(struct store *s);
enum err lmdb_expiry_step(struct store *s, int64_t now_ms, unsigned max,
                          struct store_step *out);
/* The moment at which a run that holds this expiry is looked at. */
int64_t lmdb_expiry_bucket(int64_t expires_ms);

/* ---- lmdb_blobs ---- */
enum err lmdb_blob_begin(struct store *s, uint64_t *id);
enum err lmdb_blob_write(struct store *s, uint64_t id, uint32_t chunk,
                         struct bytes data);
enum err lmdb_blob_drop(struct store *s, uint64_t id);
/* The blob belongs to a record from now on. ERR_NOT_FOUND: no such upload. */
enum err lmdb_blob_adopt(struct store *s, uint64_t id);
/* At open: uploads that a dead process left go to the trash. */
enum err lmdb_uploads_to_trash(struct store *s);
/* Frees the first chunk that is left of a blob. ERR_NOT_FOUND: all of it is gone. */
enum err lmdb_blob_free_chunk(struct store *s, uint64_t id, uint64_t *bytes);

/* ---- lmdb_trash ---- */
enum err lmdb_trash_put(struct store *s, enum trash_kind kind, uint64_t id);
enum err lmdb_trash_step(struct store *s, int64_t now_ms, unsigned max,
                         struct store_step *out);

/* ---- lmdb_pins ---- */
void lmdb_pins_init(struct pins *p);
void lmdb_pins_fini(struct pins *p);
void lmdb_blob_pin(struct store *s, struct store_pin *pin);
bool lmdb_blob_unpin(struct store *s, struct store_pin *pin);
/* Is the blob pinned? Forgets pins whose time is over. *until_ms is lowered to the time of
 * the first of the others; 0: it was not set yet. */
bool lmdb_pins_hold(struct store *s, uint64_t blob_id, int64_t now_ms, int64_t *until_ms);

/* ---- lmdb_map ---- */
void lmdb_map_find(struct store *s);
void lmdb_map_refresh(struct store *s);

/* ---- lmdb_reader ---- */
enum err lmdb_reader_open(struct store *s, struct store_reader **out);
void lmdb_reader_close(struct store_reader *r);
enum err lmdb_read_begin(struct store_reader *r, int64_t now_ms);
void lmdb_read_end(struct store_reader *r);
int64_t lmdb_oldest_reader_ms(struct store *s, int64_t now_ms);

/* ---- lmdb_read ---- */
enum err lmdb_read_topic(struct store_reader *r, struct bytes name,
                         struct topic_state *out);
enum err lmdb_read_seek(struct store_reader *r, uint64_t topic_id, uint64_t offset,
                        struct store_entry *out);
enum err lmdb_read_next(struct store_reader *r, struct store_entry *out);
enum err lmdb_read_prev(struct store_reader *r, uint64_t topic_id,
                        struct store_entry *out);
enum err lmdb_read_seek_time(struct store_reader *r, uint64_t topic_id, int64_t time_ms,
                             struct store_entry *out);
enum err lmdb_read_blob(struct store_reader *r, uint64_t blob_id, uint64_t at, void *to,
                        size_t len, size_t *got);
enum err lmdb_read_topics(struct store_reader *r, struct bytes prefix,
                          struct bytes after, store_topic_fn fn, void *arg);
enum err lmdb_read_stats(struct store_reader *r, struct store_stats *out);
enum err lmdb_read_totals(struct store *s, MDB_txn *txn, struct totals *out);

/* ---- lmdb_check ---- */
enum err lmdb_check_subs(struct store_reader *r);
enum err lmdb_check_receipts(struct store_reader *r);
enum err lmdb_check_store(struct store_reader *r);

#endif
