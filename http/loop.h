/*
 * loop - one HTTP thread: its daemon, its mailbox, its deadlines, its watch for clients
 * that left.
 *
 * Each loop owns a libmicrohttpd daemon in external epoll mode and a listening socket of
 * its own (SO_REUSEPORT), see accept.h. A connection lives on one loop from accept to
 * close; it is suspended and resumed there only. Other threads talk to a loop through its
 * mailbox.
 *
 * Two ways to make a connection wait, because of what they cost in the library:
 *   held       the request is complete and its answer is a commit away. The handler
 *              returns without an answer and is asked again at the next run. No system
 *              call, no list to walk.
 *   suspended  the wait may be long (room in a buffer, a parked reader). The library
 *              forgets the socket until the resume, so the loop watches it for the client
 *              leaving.
 *
 * Threads:  loop_start, loop_stop: main. All else: the loop's own thread.
 */
#ifndef SLUICE_LOOP_H
#define SLUICE_LOOP_H

#include "accept.h"
#include "broker.h"
#include "connection.h"
#include "fetch.h"
#include "linger.h"
#include "refusal.h"
#include "timers.h"

#include <microhttpd.h>

#define LOOP_PARK_BUCKETS  WAITERS_SLOTS
#define LOOP_BLOCK_BUCKETS 256u

struct request;
struct mercure_hub;
struct sse_block;

struct source { /* a descriptor in the loop's epoll set */
    void (*ready)(struct source *s, uint32_t events);
};

struct request_list {
    struct request *first;
};

#define LOOP_SHARES 64u /* a power of two */

struct loop_share { /* of a subscription's messages, among those who are woken for them */
    uint64_t hash;  /* of its name */
    uint64_t round; /* loop.rounds; of another one: void */
    uint64_t left;  /* messages that nobody was let go for yet */
};

struct loop {
    /* Set once. */
    struct broker *broker;
    struct server *server;
    unsigned index;
    struct MHD_Daemon *daemon;
    int epoll_fd;
    pthread_t thread;
    struct mailbox mailbox;

    /* The loop's own. */
    struct fetch fetch;
    struct timers timers;
    struct lingering linger;
    struct request_list receiving;                 /* bodies not yet complete */
    struct request_list waiting;                   /* publishers in a ledger's line */
    struct request_list outside[LOOP_PARK_BUCKETS]; /* publishers whose topic is full */
    size_t outside_count;                          /* in all of these */
    unsigned outside_next;                         /* which is looked at next */
    struct request_list queued[LOOP_PARK_BUCKETS]; /* readers in theirs, by waiters_slot */
    struct request_list parked[LOOP_PARK_BUCKETS]; /* readers by waiters_slot */
    struct request_list receivers[LOOP_PARK_BUCKETS]; /* those of `parked` who wait for a
                                                       * subscription, by its topic's slot */
    struct request_list holding; /* answers that are held open: suspended */
    uint64_t rounds;                        /* of waking */
    struct loop_share shares[LOOP_SHARES];  /* in this round, by hash */
    struct request_list streams[LOOP_PARK_BUCKETS]; /* readers who stay, by waiters_slot */
    bool stream_in_line[LOOP_PARK_BUCKETS]; /* one of them stands in the read ledger's line */
    bool has_news[LOOP_PARK_BUCKETS];       /* for those of a slot, */
    bool any_news;                          /* ... of any */
    struct request_list streams_due;        /* who are told, in this round */
    struct request_list streams_new;        /* their heads are written: takeover.h is next */
    struct request_list streams_ended;      /* to be freed, when the library has let go */
    int nobody_fd; /* a socket without another end, to give away */
    struct sse_block *blocks[LOOP_BLOCK_BUCKETS]; /* that they send from */
    struct sse_block *kept_block;                 /* the last, while the round goes on */
    int64_t streams_turn_us;      /* what streams get of a turn; 0: as long as it takes */
    int64_t streams_until_us;     /* then others are served; 0: it does not matter */
    bool streams_turn;            /* those that are due are being served; meanwhile: */
    const struct request *none;   /* there is nothing for its topic ... */
    uint64_t none_offset;         /* ... at this offset */
    int64_t scans_turn_ms;        /* in the turn of this now_ms */
    int64_t scans_until_us;       /* receivers look ahead (receive_find.h) */
    struct mercure_hub *hub;      /* NULL: nobody has subscribed yet */
    struct connection_list awaiting, replying;
    int64_t checked_ms; /* when connections were last looked through */
    int listen_fd;               /* -1: draining */
    bool accept_paused;          /* until the next tick: no descriptors */
    int64_t complained_ms;       /* when that was logged */
    struct connection *arriving; /* let in, not yet taken by the library */
    struct refusals refusals;
    struct source daemon_source, mail_source, listen_source;
    struct letter drain_letter, stop_letter; /* both may be under way at once */
    struct timer tick;
    struct request *last_woken; /* whose answer others may share; within one wakeup */
    size_t held;       /* requests the writer has */
    bool progress;     /* the last run did something: run again at once */
    bool stopping;
    int64_t now_ms;    /* monotonic, refreshed when the loop wakes */
    uint64_t next_request_id;
};

MUST_CHECK enum err loop_start(struct loop *l, struct server *server, struct broker *b,
                               unsigned index, int listen_fd);

/* Runs `ready` on the loop whenever `fd` is readable. */
MUST_CHECK enum err loop_add_source(struct loop *l, int fd, struct source *s,
                                    void (*ready)(struct source *s, uint32_t events));

/* Any thread: the loop stops listening and answers everybody who waits. */
void loop_drain(struct loop *l);

/* Ends the thread and closes its connections. Nothing may be held or suspended. */
void loop_stop(struct loop *l);

/* Watches a suspended connection's socket: `s->ready` runs once when the client leaves. */
void loop_watch(struct loop *l, int fd, struct source *s);
/* The same for one that was watched before. */
void loop_watch_again(struct loop *l, int fd, struct source *s);
/* One that is watched: `s->ready` also runs when it may be written to. Once, for both. */
void loop_watch_writable(struct loop *l, int fd, struct source *s);
void loop_unwatch(struct loop *l, int fd);

#endif
