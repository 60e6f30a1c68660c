/*
 * slowdisk - a slow or failing disk under a program that knows nothing of it.
 *
 *   LD_PRELOAD=slowdisk.so SLOWDISK_BYTES_PER_S=20000000 sluice ...
 *
 * Writes to the store's files (data.mdb and ballast, in whatever folder) take their turn on
 * one disk of SLOWDISK_BYTES_PER_S; no value or 0: as fast as the machine's. Idle time is
 * saved up for 50 ms and no longer: the machine's own disk takes its time as well, and that
 * is part of the slow one's, not on top of it.
 *
 * SLOWDISK_CONTROL names a file that may change while the program runs. Its lines:
 *
 *   rate N               bytes a second; 0: unbounded
 *   hold 1               writes and syncs stand still until it says `hold 0`
 *   fail write ENOSPC    every write and allocation fails; also EIO, EDQUOT
 *   fail sync EIO        every fsync, fdatasync and msync fails
 *
 * An absent line means: as at the start for rate, off for the others. SLOWDISK_STATS names
 * a file that always holds three 64-bit numbers: bytes written, syncs, calls made to fail.
 *
 * Threads:  any. One lock around the turn on the disk, none while waiting for it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define KNOWN 8
#define LOOK_EVERY_NS 10000000
#define SAVED_NS 50000000

struct orders { /* what the environment and the control file say */
    uint64_t rate;
    bool hold;
    int fail_write, fail_sync; /* errno, or 0 */
};

struct stats {
    uint64_t written, syncs, failed;
};

static struct {
    pthread_mutex_t lock;
    struct orders now;
    int64_t looked_ns;
    int64_t free_ns; /* when the disk has done all that was given to it */
    struct {
        dev_t dev;
        ino_t ino;
    } known[KNOWN];
    unsigned known_count;
    struct stats none, *stats;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const struct {
    const char *name;
    int value;
} errors[] = { { "ENOSPC", ENOSPC }, { "EIO", EIO }, { "EDQUOT", EDQUOT }, { "none", 0 } };

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void sleep_until(int64_t ns)
{
    struct timespec t = { ns / 1000000000, ns % 1000000000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* ---- orders ---- */

static int error_named(const char *name)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].value;
    fprintf(stderr, "slowdisk: no such error: %s\n", name);
    abort();
}

static void obey(struct orders *o, const char *line)
{
    char error[20];
    unsigned long long n;

    if (sscanf(line, "rate %llu", &n) == 1)
        o->rate = n;
    else if (sscanf(line, "hold %llu", &n) == 1)
        o->hold = n;
    else if (sscanf(line, "fail write %19s", error) == 1)
        o->fail_write = error_named(error);
    else if (sscanf(line, "fail sync %19s", error) == 1)
        o->fail_sync = error_named(error);
    else if (line[strspn(line, " \n")]) {
        fprintf(stderr, "slowdisk: wrong line: %s", line);
        abort();
    }
}

static uint64_t rate_at_start(void)
{
    const char *rate = getenv("SLOWDISK_BYTES_PER_S");

    return rate ? strtoull(rate, NULL, 10) : 0;
}

/* With the lock held. */
static void look(int64_t now)
{
    const char *path = getenv("SLOWDISK_CONTROL");
    struct orders o = { .rate = rate_at_start() };
    char line[100];
    FILE *f;

    if (disk.looked_ns && now < disk.looked_ns + LOOK_EVERY_NS)
        return;
    disk.looked_ns = now;
    f = path ? fopen(path, "re") : NULL;
    while (f && fgets(line, sizeof line, f))
        obey(&o, line);
    if (f)
        fclose(f);
    disk.now = o;
}

static struct stats *map_stats(void)
{
    const char *path = getenv("SLOWDISK_STATS");
    void *at = MAP_FAILED;
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;

    if (fd >= 0 && ftruncate(fd, sizeof(struct stats)) == 0)
        at = mmap(NULL, sizeof(struct stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return at == MAP_FAILED ? &disk.none : at;
}

/* ---- which files ---- */

static bool path_is_ours(int fd)
{
    static const char *const names[] = { "/data.mdb", "/ballast" };
    char link[40], path[PATH_MAX];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ssize_t len = (ssize_t)strlen(names[i]);

        if (n >= len && memcmp(path + n - len, names[i], (size_t)len) == 0)
            return true;
    }
    return false;
}

/* By inode: a descriptor's number is used again for something else. */
static bool is_ours(int fd)
{
    struct stat st;
    bool ours = false;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    pthread_mutex_lock(&disk.lock);
    for (unsigned i = 0; i < disk.known_count && !ours; i++)
        ours = disk.known[i].dev == st.st_dev && disk.known[i].ino == st.st_ino;
    if (!ours && path_is_ours(fd)) {
        ours = true;
        if (disk.known_count < KNOWN) {
            disk.known[disk.known_count].dev = st.st_dev;
            disk.known[disk.known_count++].ino = st.st_ino;
        }
    }
    pthread_mutex_unlock(&disk.lock);
    return ours;
}

/* ---- the turn on the disk ---- */

/* Waits until a write of so many bytes, or a sync, would be done. False: it fails, errno. */
static bool take_turn(size_t bytes, bool sync)
{
    int64_t now, done;
    int error;
    bool hold;

    for (;;) {
        now = now_ns();
        pthread_mutex_lock(&disk.lock);
        look(now);
        hold = disk.now.hold;
        if (!hold)
            break;
        pthread_mutex_unlock(&disk.lock);
        sleep_until(now + LOOK_EVERY_NS);
    }
    if (!disk.stats)
        disk.stats = map_stats();
    error = sync ? disk.now.fail_sync : disk.now.fail_write;
    if (disk.free_ns < now - SAVED_NS)
        disk.free_ns = now - SAVED_NS;
    if (!error && disk.now.rate)
        disk.free_ns += (int64_t)((double)bytes * 1e9 / (double)disk.now.rate);
    done = disk.free_ns;
    disk.stats->failed += error != 0;
    disk.stats->written += error ? 0 : bytes;
    disk.stats->syncs += sync && !error;
    pthread_mutex_unlock(&disk.lock);
    if (!error && done > now)
        sleep_until(done);
    errno = error;
    return !error;
}

static void *real(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);

    if (!f)
        abort();
    return f;
}

static size_t sum_of(const struct iovec *v, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += v[i].iov_len;
    return sum;
}

/* ---- what the program calls instead of the C library ---- */

/* int f PARAMS, whose descriptor is fd: a turn of `bytes` on the disk, then the real one.
 * Declared by us as well, because the headers do not promise every name. */
#define ON_DISK(result, name, params, args, bytes, sync)                  \
    result name params;                                                   \
    result name params                                                    \
    {                                                                     \
        static result(*next) params;                                      \
        if (!next)                                                        \
            *(void **)&next = real(#name);                                \
        if (is_ours(fd) && !take_turn(bytes, sync))                       \
            return -1;                                                    \
        return next args;                                                 \
    }

ON_DISK(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at), n, false)
ON_DISK(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at), n, false)
ON_DISK(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), n, false)
ON_DISK(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n), sum_of(v, n), false)
ON_DISK(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at),
        sum_of(v, n), false)
ON_DISK(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at),
        sum_of(v, n), false)
ON_DISK(int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n), 0, false)
ON_DISK(int, fallocate64, (int fd, int mode, off64_t at, off64_t n), (fd, mode, at, n), 0, false)
ON_DISK(int, fdatasync, (int fd), (fd), 0, true)
ON_DISK(int, fsync, (int fd), (fd), 0, true)

/* posix_fallocate says its error, and says it instead of errno. */
int posix_fallocate(int fd, off_t at, off_t n)
{
    static int (*next)(int, off_t, off_t);

    if (!next)
        *(void **)&next = real("posix_fallocate");
    if (is_ours(fd) && !take_turn(0, false))
        return errno;
    return next(fd, at, n);
}

/* A map says nothing of its file: all of them count. Its length is not what is dirty. */
int msync(void *at, size_t n, int flags)
{
    static int (*next)(void *, size_t, int);

    if (!next)
        *(void **)&next = real("msync");
    if (!take_turn(0, true))
        return -1;
    return next(at, n, flags);
}
