/*
 * An open-addressed table with linear probing and no tombstones: leaving moves back what
 * stands behind, so that lookups stay short however many addresses come and go.
 *
 *  1. An entry's count is above zero; a free slot is all zero.
 *  2. Between an entry's home slot and its own there is no free slot.
 *  3. A third of the slots is free at least, so every search ends.
 */
#include "addresses.h"

#include "limits.h"

#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum kind { FREE, IPV4, IPV6_NET, IPV6_LINK, OTHER };

struct entry {
    uint64_t bits;
    uint32_t count;
    uint8_t kind;
};

struct addresses {
    /* Set once. */
    uint64_t slots, each;
    uint64_t seed[2]; /* clients who choose their addresses must not choose their slots */

    /* Guarded by lock. */
    pthread_mutex_t lock;
    uint64_t used;
    struct entry entries[];
};

static_assert(sizeof(struct entry) * 3 / 2 == LIMITS_ADDRESS_BYTES,
              "the budget pays for the table");

enum err addresses_open(uint64_t connections, uint64_t each, struct addresses **out)
{
    uint64_t slots = connections + connections / 2 + 2;
    struct addresses *a;

    *out = NULL;
    if (!each)
        return ERR_OK;
    a = calloc(1, sizeof *a + slots * sizeof a->entries[0]);
    if (!a)
        return ERR_NO_MEMORY;
    a->slots = slots;
    a->each = each;
    if (getrandom(a->seed, sizeof a->seed, 0) != sizeof a->seed)
        a->seed[0] = (uint64_t)(uintptr_t)a; /* better than nothing */
    pthread_mutex_init(&a->lock, NULL);
    *out = a;
    return ERR_OK;
}

void addresses_free(struct addresses *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* ---- from an address to its key ---- */

static uint64_t read_be(const uint8_t *p, int bytes)
{
    uint64_t v = 0;

    while (bytes--)
        v = v << 8 | *p++;
    return v;
}

static struct address_key key_of_ipv6(const struct in6_addr *ip)
{
    const uint8_t *p = ip->s6_addr;

    if (IN6_IS_ADDR_V4MAPPED(ip))
        return (struct address_key){ read_be(p + 12, 4), IPV4 };
    if (IN6_IS_ADDR_LINKLOCAL(ip))
        return (struct address_key){ read_be(p + 8, 8), IPV6_LINK };
    return (struct address_key){ read_be(p, 8), IPV6_NET };
}

struct address_key address_key_of(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;

        return (struct address_key){ ntohl(in->sin_addr.s_addr), IPV4 };
    }
    if (addr->sa_family == AF_INET6)
        return key_of_ipv6(
            &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr);
    return (struct address_key){ 0, OTHER };
}

/* ---- the table ---- */

static uint64_t home_of(const struct addresses *a, uint64_t bits, uint8_t kind)
{
    unsigned __int128 mixed = (unsigned __int128)(bits ^ a->seed[0]) *
                              ((a->seed[1] | 1) + 2 * (uint64_t)kind);
    uint64_t hash = (uint64_t)mixed ^ (uint64_t)(mixed >> 64);

    return (uint64_t)(((unsigned __int128)hash * a->slots) >> 64);
}

static uint64_t after(const struct addresses *a, uint64_t slot)
{
    return slot + 1 == a->slots ? 0 : slot + 1;
}

/* The key's entry, or the free slot where it belongs. */
static struct entry *find(struct addresses *a, const struct address_key *key)
{
    uint64_t slot = home_of(a, key->bits, key->kind);

    for (;; slot = after(a, slot)) {
        struct entry *e = &a->entries[slot];

        if (e->kind == FREE || (e->bits == key->bits && e->kind == key->kind))
            return e;
    }
}

/* How far a slot lies behind another one, going round. */
static uint64_t distance(const struct addresses *a, uint64_t from, uint64_t to)
{
    return to >= from ? to - from : to + a->slots - from;
}

static void take_out(struct addresses *a, uint64_t hole)
{
    for (uint64_t slot = after(a, hole); a->entries[slot].kind != FREE;
         slot = after(a, slot)) {
        const struct entry *e = &a->entries[slot];
        uint64_t home = home_of(a, e->bits, e->kind);

        if (distance(a, home, slot) < distance(a, hole, slot))
            continue; /* its home lies behind the hole: it is not looked for there */
        a->entries[hole] = *e;
        hole = slot;
    }
    a->entries[hole] = (struct entry){ 0 };
    a->used--;
}

static bool count_one(struct addresses *a, const struct address_key *key)
{
    struct entry *e = find(a, key);

    if (e->kind == FREE) {
        assert(a->used < a->slots / 3 * 2 + 2);
        *e = (struct entry){ .bits = key->bits, .kind = key->kind };
        a->used++;
    } else if (e->count >= a->each) {
        return false;
    }
    e->count++;
    return true;
}

enum err addresses_enter(struct addresses *a, const struct sockaddr *addr,
                         struct address_key *key)
{
    bool counted;

    *key = (struct address_key){ 0 };
    if (!a)
        return ERR_OK;
    *key = address_key_of(addr);
    pthread_mutex_lock(&a->lock);
    counted = count_one(a, key);
    pthread_mutex_unlock(&a->lock);
    if (counted)
        return ERR_OK;
    *key = (struct address_key){ 0 };
    return ERR_BUSY;
}

void addresses_leave(struct addresses *a, struct address_key *key)
{
    struct entry *e;

    if (!a || key->kind == FREE)
        return;
    pthread_mutex_lock(&a->lock);
    e = find(a, key);
    if (e->kind == FREE)
        abort();
    if (--e->count == 0)
        take_out(a, (uint64_t)(e - a->entries));
    pthread_mutex_unlock(&a->lock);
    *key = (struct address_key){ 0 };
}

uint64_t addresses_count(struct addresses *a)
{
    uint64_t used;

    if (!a)
        return 0;
    pthread_mutex_lock(&a->lock);
    used = a->used;
    pthread_mutex_unlock(&a->lock);
    return used;
}
