/*
 * store - the engine interface: topic logs that outlive the process.
 *
 * A store holds topics; a topic is a log of records with offsets that start at 0, rise by
 * one and are never used twice, not after expiry, purge, deletion or restart. Large bodies
 * are blobs: numbered chunks that no reader sees until a record names them.
 *
 * An engine starts no thread, asks no clock and holds no policy: time comes in as an
 * argument, errors go out as a value. It keeps, in the same transaction as the messages,
 * the counters of each topic and of the whole store, so that
 *     accepted == live + expired + removed
 * holds at every commit.
 *
 * Write side: one transaction at a time, one thread (the writer).
 *     store_begin; any number of store_append ...; store_commit or store_abort.
 * Read side: any thread, each with its own store_reader. A snapshot is short: never hold
 * one across a socket wait, it pins every page freed after it.
 *
 * Units: bytes; milliseconds of wall clock.
 */
#ifndef SLUICE_STORE_H
#define SLUICE_STORE_H

#include "base/bytes.h"
#include "base/err.h"
#include "record.h"
#include "store_receipts.h"
#include "store_subs.h"

#define STORE_TOPIC_NAME_MAX 255 /* bytes */

enum store_overflow {
    STORE_OVERFLOW_REJECT = 0,
    STORE_OVERFLOW_DROP_OLDEST = 1,
    STORE_OVERFLOW_HOLD = 2,
};

enum store_durability {
    STORE_FSYNC,   /* commit returns after the data is on disk */
    STORE_RELAXED, /* commit returns after write(2); store_sync makes it durable */
};

/* The store keeps them; what they mean is its user's. */
struct topic_settings {
    uint64_t ttl_ms;       /* 0: the broker's default */
    uint64_t max_bytes;    /* 0: no quota; else bytes of live bodies */
    enum store_overflow overflow;
    uint64_t max_messages; /* 0: no quota; else live messages */
    uint64_t max_age_ms;   /* 0: no quota; else how old the oldest live message may be */
    uint64_t rate_messages, rate_bytes; /* per second; 0: the broker's */
    uint32_t weight;       /* its share where publishers stand in line; 0: the usual one */
};

#define STORE_NAMESPACES_MAX  256
#define STORE_NAMESPACE_DEPTH 4 /* at most so many hold one topic */

#define STORE_CURSOR_NAME_MAX   255  /* bytes */
#define STORE_TOPIC_CURSORS_MAX 1000 /* of one topic */

struct namespace_settings {
    uint64_t ttl_ms;    /* 0: none; else of topics that have none */
    uint64_t max_bytes; /* of live bodies in all its topics; 0: no quota, as below */
    uint64_t max_messages;
    uint64_t max_topics;
    enum store_overflow overflow; /* not STORE_OVERFLOW_DROP_OLDEST */
};

struct store_counters { /* messages, since the topic or the store was created */
    uint64_t accepted;
    uint64_t expired; /* taken out because their time was over */
    uint64_t removed; /* purged, dropped by quota, or gone with their topic */
};

/* As of the snapshot or transaction it was read in. */
struct topic_state {
    uint64_t id; /* of this life of the topic; a re-created topic has a new one */
    int64_t created_ms;
    int64_t last_time_ms; /* newest record's time; times never fall within a topic */
    uint64_t next_offset;
    struct store_counters counters;
    uint64_t live;       /* messages */
    uint64_t live_bytes; /* of bodies */
    struct topic_settings settings;
    char name[STORE_TOPIC_NAME_MAX + 1];
    uint16_t name_len;
};

/* All topics whose names begin with `prefix`, those of namespaces inside it included. */
struct namespace_state {
    int64_t created_ms;
    uint64_t topics, live, live_bytes;
    struct namespace_settings settings;
    bool counting; /* new, and the figures are not complete yet */
    char prefix[STORE_TOPIC_NAME_MAX + 1];
    uint16_t prefix_len;
};

/* How far a subscription of a topic has come. */
struct cursor_state {
    uint64_t next; /* no message below this offset is for it any more */
    int64_t created_ms;
};

struct store_options {
    const char *path;        /* a directory; made when missing */
    uint64_t map_size;       /* bytes that messages may use; the engine adds a reserve */
    enum store_durability durability;
    unsigned max_readers;    /* how many store_readers may be open at once */
    size_t topic_cache_bytes; /* bound of the writer's cache of topic states */
};

struct store_stats {
    struct store_counters counters; /* whole store */
    uint64_t live, live_bytes;
    uint64_t topics;
    uint64_t used_bytes; /* pages in use, without those waiting for reuse */
    uint64_t file_bytes; /* pages the file has grown to */
    uint64_t map_bytes;  /* what messages may use */
    uint64_t receipts;
    int64_t next_due_ms; /* when the first record, delivery or receipt becomes due; 0: none waits */
    bool trash;          /* something waits for store_trash_step */
    uint64_t topic_cache_bytes;
};

struct store_step {
    uint64_t messages; /* taken out in this step; may be 0 although there is more */
    uint64_t bytes;    /* of their bodies */
    uint64_t spent;    /* of `max`: see remove_step */
    bool more;         /* the same call has more to do */

    /* trash_step only: */
    uint64_t held;         /* blobs that it left because of pins */
    int64_t held_until_ms; /* when the first of these pins lapses; 0: none was left */
};

/* Keeps a blob from being freed; in the reader's own memory, from blob_pin to blob_unpin. */
struct store_pin {
    uint64_t blob_id;
    int64_t until_ms; /* keeps nothing from then on, by the clock told to trash_step */
    /* The engine's. */
    struct store_pin *next, **link;
    bool left; /* a step left the blob because of this pin */
};

struct store;        /* an open engine */
struct store_reader; /* one thread's read side */
struct store_topic;  /* a topic inside the current write transaction */
struct store_namespace; /* the same for a namespace */

/* One record under a reader's snapshot; views last until store_read_end. */
struct store_entry {
    uint64_t offset;
    struct record record;
};

/* Returns false to stop the listing. */
typedef bool (*store_topic_fn)(void *arg, const struct topic_state *t);
typedef bool (*store_namespace_fn)(void *arg, const struct namespace_state *n);

struct store_ops {
    const char *name; /* "lmdb" */

    /* Opens or creates. Checks the format version: ERR_CORRUPT when it is another one
     * (logged with both numbers). Blobs that no record names are marked for
     * trash_step. */
    enum err (*open)(const struct store_options *o, struct store **out);
    void (*close)(struct store *s);

    /* ---- write side: the writer thread only, between begin and commit/abort ---- */
    enum err (*begin)(struct store *s);
    /* ERR_FULL, ERR_IO: nothing of the transaction is stored; it is over either way. A
     * call below that failed for want of space, memory or a sound disk (not ERR_NOT_FOUND,
     * ERR_EXISTS, ERR_BAD_INPUT, nor room's ERR_FULL) makes commit fail the same way. */
    enum err (*commit)(struct store *s);
    void (*abort)(struct store *s);

    /* ERR_FULL when `bytes` more (a little is added for overhead) would pass map_size.
     * Ask before appending; taking out needs no asking, that is what the reserve is for. */
    enum err (*room)(struct store *s, uint64_t bytes);

    /* The handle is good until commit or abort. ERR_NOT_FOUND. */
    enum err (*topic_find)(struct store *s, struct bytes name, struct store_topic **out);
    /* ERR_EXISTS when it is there. Offsets go on where an earlier life ended. */
    enum err (*topic_create)(struct store *s, struct bytes name,
                             const struct topic_settings *settings, int64_t now_ms,
                             struct store_topic **out);
    /* The offset that the next message in a topic of this name gets, whether the topic is
     * there, was there, or never was. ERR_BAD_INPUT: not a name. */
    enum err (*topic_next_offset)(struct store *s, struct bytes name, uint64_t *offset);
    const struct topic_state *(*topic_state)(const struct store_topic *t);
    enum err (*topic_configure)(struct store *s, struct store_topic *t,
                                const struct topic_settings *settings);
    /* When the oldest live record was accepted; cheap when asked again. ERR_NOT_FOUND:
     * there is none. */
    enum err (*topic_oldest)(struct store *s, struct store_topic *t, int64_t *time_ms);
    /* Gone for readers at commit; its records count as removed at once, and their space
     * comes back through trash_step. The handle is void afterwards. */
    enum err (*topic_delete)(struct store *s, struct store_topic *t);

    /* Topics as of this transaction. */
    uint64_t (*topics)(struct store *s);

    /* A namespace's figures are kept by the same transactions as those of its topics. The
     * handle is good until commit or abort. ERR_NOT_FOUND. */
    enum err (*namespace_find)(struct store *s, struct bytes prefix,
                               struct store_namespace **out);
    /* ERR_EXISTS; ERR_BAD_INPUT: not a prefix; ERR_FULL: STORE_NAMESPACES_MAX, and the
     * transaction goes on; ERR_TOO_BIG: a topic could be in more than
     * STORE_NAMESPACE_DEPTH. It is `counting` then, and no reader sees it until
     * namespace_count said that it is complete. An abort before that forgets it, and so
     * does the end of the process. */
    enum err (*namespace_create)(struct store *s, struct bytes prefix,
                                 const struct namespace_settings *settings,
                                 int64_t now_ms, struct store_namespace **out);
    /* Adds up to `max` more of the topics that were there before it. */
    enum err (*namespace_count)(struct store *s, struct store_namespace *n, unsigned max,
                                bool *more);
    const struct namespace_state *(*namespace_state)(const struct store_namespace *n);
    enum err (*namespace_configure)(struct store *s, struct store_namespace *n,
                                    const struct namespace_settings *settings);
    /* Its topics stay. The handle is void afterwards. */
    enum err (*namespace_delete)(struct store *s, struct store_namespace *n);
    /* Those that hold a topic of this name, widest first; t is NULL where it is not there.
     * Costs nothing while there are none. The states are good as long as the handle. */
    unsigned (*namespaces_of)(struct store *s, struct store_topic *t, struct bytes name,
                              const struct namespace_state *out[STORE_NAMESPACE_DEPTH]);

    /* A topic's cursors, by name: 1 to STORE_CURSOR_NAME_MAX bytes. They go with the topic.
     * find, move, delete: ERR_NOT_FOUND. create: ERR_EXISTS, ERR_BAD_INPUT: not a name,
     * ERR_FULL: STORE_TOPIC_CURSORS_MAX, and the transaction goes on. */
    enum err (*cursor_find)(struct store *s, struct store_topic *t, struct bytes name,
                            struct cursor_state *out);
    enum err (*cursor_create)(struct store *s, struct store_topic *t, struct bytes name,
                              uint64_t next, int64_t now_ms);
    enum err (*cursor_move)(struct store *s, struct store_topic *t, struct bytes name,
                            uint64_t next);
    enum err (*cursor_delete)(struct store *s, struct store_topic *t, struct bytes name);
    const struct store_receipts_ops *receipts;
    const struct store_subs_ops *subs;
    /* Of all topics, as of this transaction. */
    enum err (*cursors)(struct store *s, uint64_t *count);
    /* The topic's first message at or after `offset` that is not past its time. Views last
     * until the transaction's next call. ERR_NOT_FOUND: none yet. ERR_BUSY: none of the
     * first `max`; out->offset is where to go on. */
    enum err (*log_first)(struct store *s, struct store_topic *t, uint64_t offset,
                          int64_t now_ms, unsigned max, struct store_entry *out);

    /* Gives it the topic's next offset. r->time_ms is raised to the topic's last time.
     * ERR_NOT_FOUND: r->blob_id is no upload; ERR_BAD_INPUT: r->id is too long. */
    enum err (*append)(struct store *s, struct store_topic *t, struct record *r,
                       uint64_t *offset);

    /* Takes out up to `max` records of one topic whose offset is below `before`, oldest
     * first; counted as removed. A record in chunks costs as little as any other: its
     * chunks go to the trash, and their space comes back through trash_step. One with an id
     * counts as three of `max` where its place in the index is on another page than that of
     * the one before: so what a step changes stays bounded, whatever the ids are. */
    enum err (*remove_step)(struct store *s, struct store_topic *t, uint64_t before,
                            unsigned max, struct store_step *out);
    /* Takes out one record, wherever it is; counted as removed. ERR_NOT_FOUND. */
    enum err (*remove_one)(struct store *s, struct store_topic *t, uint64_t offset);
    /* Takes out up to `max` records, counted likewise, of any topic that are due at
     * `now_ms`; O(taken out). */
    enum err (*expire_step)(struct store *s, int64_t now_ms, unsigned max,
                            struct store_step *out);
    /* Frees up to `max` records, counted likewise, or chunks of deleted topics and dropped blobs. They were
     * counted when they went to the trash; out->messages is how many were freed. Blobs that
     * are pinned are left; out->more is false when only such are. To be called first in a
     * transaction: once anything was taken out in it, it does nothing and says more, as a
     * snapshot opened just now still shows that record. `now_ms` is for pins alone and of a
     * clock that never goes back. */
    enum err (*trash_step)(struct store *s, int64_t now_ms, unsigned max,
                           struct store_step *out);

    /* A blob gets chunks 0, 1, 2, ... (each STORE_CHUNK_BYTES but the last). It becomes
     * part of the log by an append that names it, or goes by blob_drop. One that neither
     * happened to is dropped at the next open. */
    enum err (*blob_begin)(struct store *s, uint64_t *id);
    enum err (*blob_write)(struct store *s, uint64_t id, uint32_t chunk, struct bytes data);
    enum err (*blob_drop)(struct store *s, uint64_t id);

    /* Until blob_unpin, or pin->until_ms, a record's blob stays readable although the
     * record is taken out: if a snapshot opened *after* blob_pin still has the record. Any
     * thread; a blob may have many pins. After a restart there are none. */
    void (*blob_pin)(struct store *s, struct store_pin *pin);
    /* True: a trash_step left the blob and may free it now. Harmless when it lapsed. */
    bool (*blob_unpin)(struct store *s, struct store_pin *pin);

    /* STORE_RELAXED: make all commits so far durable. Any thread. */
    enum err (*sync)(struct store *s);

    /* ---- read side: any thread with its own reader ---- */
    enum err (*reader_open)(struct store *s, struct store_reader **out);
    void (*reader_close)(struct store_reader *r);
    /* A snapshot of the last commit. Cheap. Not nested. */
    enum err (*read_begin)(struct store_reader *r, int64_t now_ms);
    void (*read_end)(struct store_reader *r);

    enum err (*read_topic)(struct store_reader *r, struct bytes name,
                           struct topic_state *out);
    /* The first record at or after `offset`; then read_next goes on from there.
     * ERR_NOT_FOUND: none. Records past their time are given too; the caller skips them. */
    enum err (*read_seek)(struct store_reader *r, uint64_t topic_id, uint64_t offset,
                          struct store_entry *out);
    enum err (*read_next)(struct store_reader *r, struct store_entry *out);
    /* The record before the one last read, or the newest when none was read yet
     * (topic_id is needed then). ERR_NOT_FOUND: none. */
    enum err (*read_prev)(struct store_reader *r, uint64_t topic_id,
                          struct store_entry *out);
    /* The first record accepted at or after `time_ms`; O(log n). ERR_NOT_FOUND: none. */
    enum err (*read_seek_time)(struct store_reader *r, uint64_t topic_id, int64_t time_ms,
                               struct store_entry *out);
    /* The offset of the topic's first record with this id; O(log n), however many have it.
     * ERR_NOT_FOUND: none, or it is empty or too long. */
    enum err (*read_find_id)(struct store_reader *r, uint64_t topic_id, struct bytes id,
                             uint64_t *offset);
    /* Messages at or after `offset` that were not taken out yet; O(log n). *t as read under
     * this snapshot. */
    enum err (*read_live_from)(struct store_reader *r, const struct topic_state *t,
                               uint64_t offset, uint64_t *count);
    /* ERR_NOT_FOUND. */
    enum err (*read_cursor)(struct store_reader *r, uint64_t topic_id, struct bytes name,
                            struct cursor_state *out);
    /* Part of a blob: copies up to `len` bytes from `at`. *got 0: past its end. */
    enum err (*read_blob)(struct store_reader *r, uint64_t blob_id, uint64_t at, void *to,
                          size_t len, size_t *got);
    /* Topics in name order that start with `prefix` and come after `after`. */
    enum err (*read_topics)(struct store_reader *r, struct bytes prefix, struct bytes after,
                            store_topic_fn fn, void *arg);
    enum err (*read_namespace)(struct store_reader *r, struct bytes prefix,
                               struct namespace_state *out);
    /* In the order of their prefixes. */
    enum err (*read_namespaces)(struct store_reader *r, store_namespace_fn fn, void *arg);
    /* Needs an open snapshot. */
    enum err (*read_stats)(struct store_reader *r, struct store_stats *out);
    /* Reads the whole store under the open snapshot and proves its invariants, the
     * conservation law first. Slow. ERR_CORRUPT: broken, and the log says what. */
    enum err (*check)(struct store_reader *r);

    /* How long the oldest open snapshot has been open, at least 1; 0: none is. Any
     * thread. */
    int64_t (*oldest_reader_ms)(struct store *s, int64_t now_ms);
    /* Any thread: bytes of memory that the cache of topic states has now. */
    size_t (*cache_bytes)(struct store *s);
    /* Any thread, one at a time: gives back the kernel's page tables of the store's map. */
    void (*map_refresh)(struct store *s);
    /* Same figures as read_stats, as of the current write transaction (writer only). */
    enum err (*stats)(struct store *s, struct store_stats *out);
};

/* 32 pages of 4 KiB less the page header: a chunk wastes nothing. */
#define STORE_CHUNK_BYTES (32u * 4096u - 16u)

/* Engines. */
extern const struct store_ops lmdb_store;

#endif
