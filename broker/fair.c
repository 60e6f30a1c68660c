/*
 * A heap of the callers that have somebody in line, and in each of them a heap of those.
 *
 * Invariants:
 *  1. A parent's (start, order) is less than its children's.
 *  2. A caller is in the heap of callers exactly while its own heap is not empty.
 *  3. A caller's start changes only when one of its own is served, and then grows.
 */
#include "fair.h"

#include <assert.h>
#include <stdlib.h>

#define CALLERS 1024u /* powers of two */
#define FLOWS   4096u

struct caller {
    struct fair_node node; /* first; node.start is kept while it is out of the heap */
    struct fair_node *line;
    uint64_t now; /* of its own line */
};

struct fair {
    struct fair_node *root;
    uint64_t now, next_order;
    struct caller callers[CALLERS];
    uint64_t ends[FLOWS];
};

struct fair *fair_new(void)
{
    return calloc(1, sizeof(struct fair));
}

void fair_free(struct fair *f)
{
    free(f);
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- the heaps ---- */

static bool before(const struct fair_node *a, const struct fair_node *b)
{
    return a->start != b->start ? a->start < b->start : a->order < b->order;
}

static struct fair_node *meld(struct fair_node *a, struct fair_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (before(b, a)) {
        struct fair_node *t = a;

        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    return a;
}

/* Pairs of siblings from the left, then all of those together. */
static struct fair_node *meld_siblings(struct fair_node *first)
{
    struct fair_node *pairs = NULL, *root = NULL;

    while (first) {
        struct fair_node *a = first, *b = a->next, *pair;

        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        pair = meld(a, b);
        pair->next = pairs; /* a list of roots for the moment */
        pairs = pair;
    }
    while (pairs) {
        struct fair_node *next = pairs->next;

        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_add(struct fair_node **root, struct fair_node *n)
{
    n->child = n->next = n->prev = NULL;
    *root = meld(*root, n);
}

static void heap_remove(struct fair_node **root, struct fair_node *n)
{
    struct fair_node *below = meld_siblings(n->child);

    if (n == *root) {
        *root = below;
    } else {
        *(n->prev->child == n ? &n->prev->child : &n->prev->next) = n->next;
        if (n->next)
            n->next->prev = n->prev;
        *root = meld(*root, below);
    }
    n->child = n->next = n->prev = NULL;
}

/* ---- the line ---- */

void fair_add(struct fair *f, struct fair_item *i, struct fair_flow of, size_t cost,
              unsigned weight)
{
    struct caller *c = &f->callers[of.caller % CALLERS];
    uint64_t *end = &f->ends[(of.caller * 2654435761u ^ of.topic) % FLOWS];

    assert(!i->in_line);
    *i = (struct fair_item){ .cost = cost,
                             .caller = (uint16_t)(of.caller % CALLERS),
                             .in_line = true };
    i->node.start = max_u64(c->now, *end);
    i->node.order = f->next_order++;
    *end = i->node.start + cost / (weight ? weight : 1) + 1;
    if (!c->line) {
        c->node.start = max_u64(f->now, c->node.start);
        c->node.order = i->node.order;
        heap_add(&f->root, &c->node);
    }
    heap_add(&c->line, &i->node);
}

struct fair_item *fair_first(const struct fair *f)
{
    return f->root ? (struct fair_item *)((struct caller *)f->root)->line : NULL;
}

void fair_leave(struct fair *f, struct fair_item *i)
{
    struct caller *c = &f->callers[i->caller];

    assert(i->in_line);
    heap_remove(&c->line, &i->node);
    i->in_line = false;
    if (!c->line)
        heap_remove(&f->root, &c->node);
}

void fair_serve(struct fair *f, struct fair_item *i)
{
    struct caller *c = &f->callers[i->caller];

    c->now = max_u64(c->now, i->node.start);
    f->now = max_u64(f->now, c->node.start);
    fair_leave(f, i);
    if (c->line)
        heap_remove(&f->root, &c->node);
    c->node.start += i->cost + 1;
    if (c->line)
        heap_add(&f->root, &c->node);
}
