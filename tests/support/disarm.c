/*
 * disarm - takes a protection away from a program that knows nothing of it, so that a
 * scenario can show that it would notice.
 *
 *   LD_PRELOAD=disarm.so DISARM=leak,hangup sluice ...
 *
 *   leak     one free() in DISARM_LEAK_ONE_IN (default 64) of blocks of 256 bytes or more
 *            is forgotten
 *   hangup   epoll does not tell that a peer closed its sending side (EPOLLRDHUP)
 *   sigterm  SIGTERM cannot be blocked: it ends the program at once
 *   sndbuf   sockets keep the kernel's own send buffer, which grows to megabytes
 *
 * Threads:  any.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define LEAK_FROM 256

static bool leaks, deaf, mortal, wide;
static unsigned long leak_one_in = 64;
static atomic_ulong frees;
static void (*next_free)(void *);
static int (*next_ctl)(int, int, int, struct epoll_event *);
static int (*next_mask)(int, const sigset_t *, sigset_t *);
static int (*next_option)(int, int, int, const void *, socklen_t);

/* The loader may free before this has run: then `free` finds its successor by itself. */
__attribute__((constructor)) static void disarm_start(void)
{
    const char *what = getenv("DISARM"), *rate = getenv("DISARM_LEAK_ONE_IN");

    leaks = what && strstr(what, "leak");
    deaf = what && strstr(what, "hangup");
    mortal = what && strstr(what, "sigterm");
    wide = what && strstr(what, "sndbuf");
    if (rate && strtoul(rate, NULL, 10))
        leak_one_in = strtoul(rate, NULL, 10);
}

void free(void *p)
{
    if (!next_free)
        *(void **)&next_free = dlsym(RTLD_NEXT, "free");
    if (leaks && p && malloc_usable_size(p) >= LEAK_FROM &&
        atomic_fetch_add(&frees, 1) % leak_one_in == 0)
        return;
    next_free(p);
}

int epoll_ctl(int epoll, int how, int fd, struct epoll_event *e)
{
    struct epoll_event less;

    if (!next_ctl)
        *(void **)&next_ctl = dlsym(RTLD_NEXT, "epoll_ctl");
    if (!deaf || !e)
        return next_ctl(epoll, how, fd, e);
    less = *e;
    less.events &= ~(uint32_t)EPOLLRDHUP;
    return next_ctl(epoll, how, fd, &less);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t less;

    if (!next_mask)
        *(void **)&next_mask = dlsym(RTLD_NEXT, "pthread_sigmask");
    if (!mortal || !set || how == SIG_UNBLOCK)
        return next_mask(how, set, old);
    less = *set;
    sigdelset(&less, SIGTERM);
    return next_mask(how, &less, old);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (!next_option)
        *(void **)&next_option = dlsym(RTLD_NEXT, "setsockopt");
    if (wide && level == SOL_SOCKET && name == SO_SNDBUF)
        return 0;
    return next_option(fd, level, name, value, len);
}
