/*
 * Three loops publish through one writer into a real store whose commits fail now and
 * then. Every message comes home once, with an outcome; messages of one loop and topic
 * keep their order; what was said to be stored is stored, and nothing else.
 */
#include "stress.h"

#include "faulty_store.h"
#include "publish.h"

#include <ftw.h>
#include <poll.h>
#include <string.h>

#define LOOPS 3
#define MESSAGES 8000 /* for each loop */
#define IN_FLIGHT 64
#define FAILURES 20

static struct store *store;
static struct writer *writer;
static struct waiters *waiters;
static struct ledger *ledger;

struct loop {
    pthread_t thread;
    unsigned index, seed;
    struct mailbox box;
    unsigned sent, home, stored;
    uint64_t next_offset; /* above all offsets that came home */
};

static void came_home(struct letter *letter)
{
    struct publish *p = (struct publish *)letter;
    struct loop *l = p->arg;

    if (!p->outcome) {
        MUST(p->first_offset >= l->next_offset);
        l->next_offset = p->first_offset + 1;
        l->stored++;
    }
    l->home++;
    publish_free(p);
}

static bool send_one(struct loop *l)
{
    struct publish *p = calloc(1, sizeof *p);
    size_t len = 1 + stress_any(&l->seed, 200);

    if (ledger_reserve(ledger, len + PUBLISH_OVERHEAD, &p->grant)) {
        free(p);
        return false;
    }
    p->meta = malloc(1);
    p->meta[0] = (uint8_t)('a' + l->index);
    p->topic = bytes_of(p->meta, 1);
    p->body = malloc(len);
    memset(p->body, 'x', len);
    p->body_len = len;
    p->one.body = bytes_of(p->body, len);
    p->auto_create = true;
    p->arg = l;
    p->writer = writer;
    p->job.home = &l->box;
    p->job.letter.open = came_home;
    publish_submit(p, NULL);
    l->sent++;
    return true;
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    struct pollfd fd = { .fd = l->box.fd, .events = POLLIN };

    while (l->home < MESSAGES) {
        while (l->sent < MESSAGES && l->sent - l->home < IN_FLIGHT && send_one(l))
            ;
        poll(&fd, 1, l->sent > l->home ? -1 : 1); /* room may be all that is missing */
        mailbox_drain(&l->box);
    }
    return NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void open_store(const char *dir)
{
    struct store_options o = { .path = dir,
                               .map_size = 64 << 20,
                               .durability = STORE_RELAXED,
                               .max_readers = 4,
                               .topic_cache_bytes = 1 << 16 };
    struct writer_options w = { .ops = faulty_store(), .turn_bytes = 1 << 18 };

    MUST(lmdb_store.open(&o, &store) == ERR_OK);
    w.store = store;
    w.waiters = waiters;
    MUST(writer_start(&w, &writer) == ERR_OK);
}

static void check_store(unsigned stored)
{
    struct store_reader *r;
    struct store_stats s;

    MUST(lmdb_store.reader_open(store, &r) == ERR_OK);
    MUST(lmdb_store.read_begin(r, 1) == ERR_OK);
    MUST(lmdb_store.read_stats(r, &s) == ERR_OK);
    MUST(lmdb_store.check(r) == ERR_OK);
    lmdb_store.read_end(r);
    lmdb_store.reader_close(r);
    MUST(s.counters.accepted == stored && s.live == stored);
}

static void fail_now_and_then(void)
{
    for (unsigned i = 0; i < FAILURES; i++) {
        usleep(10000);
        fail_next(i % 2 ? FAULT_COMMIT : FAULT_APPEND, ERR_IO, 1);
    }
}

int main(void)
{
    static struct loop loops[LOOPS];
    char dir[] = "/tmp/sluice-stress-XXXXXX";
    unsigned stored = 0;

    stress_begin();
    MUST(mkdtemp(dir));
    waiters = waiters_new(LOOPS);
    ledger = ledger_new(64 << 10); /* so small that loops get in each other's way */
    open_store(dir);
    for (unsigned i = 0; i < LOOPS; i++) {
        loops[i].index = loops[i].seed = i;
        MUST(mailbox_init(&loops[i].box) == ERR_OK);
        MUST(!pthread_create(&loops[i].thread, NULL, loop_main, &loops[i]));
    }
    fail_now_and_then();
    for (unsigned i = 0; i < LOOPS; i++)
        pthread_join(loops[i].thread, NULL);
    writer_stop(writer);
    for (unsigned i = 0; i < LOOPS; i++) {
        MUST(loops[i].sent == MESSAGES && loops[i].home == MESSAGES);
        MUST(atomic_load(&loops[i].box.owed) == 0);
        mailbox_fini(&loops[i].box);
        stored += loops[i].stored;
    }
    check_store(stored);
    lmdb_store.close(store);
    waiters_free(waiters);
    ledger_free(ledger); /* aborts when a byte is still out */
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    printf("writer: %d sent, %u stored, the others failed with their turn\n",
           LOOPS * MESSAGES, stored);
    return 0;
}
