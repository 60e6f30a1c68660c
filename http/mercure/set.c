#include "mercure/set.h"

#include "siphash.h"

#include <stdlib.h>

#define ALLOCATOR_BYTES 32u /* what the allocator takes beside a piece of memory, at most */
#define STEPS_IN_A_WORK 64u

struct mercure_node {
    struct mercure_node *next_in_bucket;
    struct mercure_node *prev_template, *next_template;
    struct mercure_selector *selector;
    struct mercure_use *uses;
    struct grant paid;
    unsigned users;
    bool exact;      /* `{` is only a letter */
    bool matches;    /* the update that was ... */
    uint64_t judged; /* ... this one */
};

void mercure_sets_init(struct mercure_sets *t, struct ledger *ledger, size_t most,
                       const uint8_t secret[16])
{
    memset(t, 0, sizeof *t);
    t->ledger = ledger;
    t->most = most;
    memcpy(t->secret, secret, sizeof t->secret);
}

/* ---- room ---- */

static enum err take_room(struct mercure_sets *t, size_t bytes, struct grant *g)
{
    enum err e;

    if (t->bytes + bytes > t->most)
        return ERR_BUSY;
    e = ledger_reserve(t->ledger, bytes, g);
    if (e)
        return e == ERR_TOO_BIG ? ERR_BUSY : e;
    t->bytes += bytes;
    return ERR_OK;
}

static void give_back(struct mercure_sets *t, struct grant *g)
{
    t->bytes -= g->bytes;
    ledger_release(g);
}

static void shrink(struct mercure_sets *t, struct grant *g, size_t bytes)
{
    if (bytes >= g->bytes)
        return;
    t->bytes -= g->bytes - bytes;
    ledger_shrink(g, bytes);
}

/* ---- selectors ---- */

static struct mercure_node **selector_bucket(struct mercure_sets *t, struct bytes text)
{
    return &t->selectors[siphash(t->secret, text) % MERCURE_SELECTOR_BUCKETS];
}

static bool is_template(const struct mercure_node *n)
{
    return mercure_selector_kind(n->selector) != MERCURE_SELECTOR_EXACT;
}

static void link_template(struct mercure_sets *t, struct mercure_node *n)
{
    if (!is_template(n))
        return;
    n->next_template = t->templates;
    if (t->templates)
        t->templates->prev_template = n;
    t->templates = n;
}

static void unlink_template(struct mercure_sets *t, struct mercure_node *n)
{
    if (!is_template(n))
        return;
    *(n->prev_template ? &n->prev_template->next_template : &t->templates) = n->next_template;
    if (n->next_template)
        n->next_template->prev_template = n->prev_template;
}

static struct mercure_node *find_selector(struct mercure_sets *t, struct bytes text, bool exact)
{
    struct mercure_node *n = *selector_bucket(t, text);

    while (n && !(n->exact == exact &&
                  bytes_eq(mercure_selector_text(n->selector), text)))
        n = n->next_in_bucket;
    return n;
}

static enum err new_selector(struct mercure_sets *t, struct bytes text, bool exact,
                             struct mercure_node **out)
{
    struct mercure_node *n;
    struct grant paid = { 0 };
    size_t bytes = 0;
    enum err e = take_room(t, sizeof *n + mercure_selector_most(text.len) + 2 * ALLOCATOR_BYTES,
                           &paid);

    if (e)
        return e;
    n = calloc(1, sizeof *n);
    if (n)
        n->selector = mercure_selector_new(text, exact, &bytes);
    if (!n || !n->selector) {
        free(n);
        give_back(t, &paid);
        return ERR_NO_MEMORY;
    }
    shrink(t, &paid, sizeof *n + bytes + 2 * ALLOCATOR_BYTES);
    n->paid = paid;
    n->exact = exact;
    n->next_in_bucket = *selector_bucket(t, text);
    *selector_bucket(t, text) = n;
    link_template(t, n);
    *out = n;
    return ERR_OK;
}

static enum err take_selector(struct mercure_sets *t, struct bytes text, bool exact,
                              struct mercure_node **out)
{
    enum err e = ERR_OK;

    *out = find_selector(t, text, exact);
    if (!*out)
        e = new_selector(t, text, exact, out);
    if (!e)
        (*out)->users++;
    return e;
}

static void drop_selector(struct mercure_sets *t, struct mercure_node *n)
{
    struct mercure_node **at = selector_bucket(t, mercure_selector_text(n->selector));

    if (--n->users)
        return;
    while (*at != n)
        at = &(*at)->next_in_bucket;
    *at = n->next_in_bucket;
    unlink_template(t, n);
    give_back(t, &n->paid);
    mercure_selector_free(n->selector);
    free(n);
}

/* ---- sets ---- */

static int by_address(const void *a, const void *b)
{
    const struct mercure_node *const *x = a, *const *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Sorted, and none twice: those that are too many are dropped. */
static uint16_t in_order(struct mercure_sets *t, struct mercure_node **nodes, unsigned count)
{
    unsigned kept = 0;

    qsort(nodes, count, sizeof *nodes, by_address);
    for (unsigned i = 0; i < count; i++)
        if (kept && nodes[kept - 1] == nodes[i])
            drop_selector(t, nodes[i]);
        else
            nodes[kept++] = nodes[i];
    return (uint16_t)kept;
}

static size_t set_bytes(const struct mercure_set *s)
{
    return sizeof *s + (size_t)(s->topics + s->claims) * sizeof s->nodes[0] +
           s->topics * sizeof s->uses[0] + 2 * ALLOCATOR_BYTES;
}

static struct mercure_set **set_bucket(struct mercure_sets *t, const struct mercure_set *s)
{
    size_t len = (size_t)(s->topics + s->claims) * sizeof s->nodes[0];

    return &t->sets[siphash(t->secret, bytes_of(s->nodes, len)) % MERCURE_SET_BUCKETS];
}

static struct mercure_set *find_set(struct mercure_sets *t, const struct mercure_set *like)
{
    size_t len = (size_t)(like->topics + like->claims) * sizeof like->nodes[0];
    struct mercure_set *s = *set_bucket(t, like);

    while (s && (s->topics != like->topics || s->claims != like->claims ||
                 memcmp(s->nodes, like->nodes, len)))
        s = s->next_in_bucket;
    return s;
}

static void drop_selectors(struct mercure_set *s)
{
    for (unsigned i = 0; i < s->topics + (unsigned)s->claims; i++)
        drop_selector(s->all, s->nodes[i]);
}

/* It is one that nobody has asked for yet. */
static enum err open_set(struct mercure_sets *t, struct mercure_set *s)
{
    enum err e = take_room(t, set_bytes(s), &s->paid);

    if (e)
        return e;
    s->uses = calloc(s->topics ? s->topics : 1, sizeof *s->uses);
    if (!s->uses) {
        give_back(t, &s->paid);
        return ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < s->topics; i++) {
        struct mercure_use *use = &s->uses[i];

        use->set = s;
        use->next = s->nodes[i]->uses;
        if (use->next)
            use->next->prev = use;
        s->nodes[i]->uses = use;
    }
    s->number = ++t->opened;
    s->next_in_bucket = *set_bucket(t, s);
    *set_bucket(t, s) = s;
    return ERR_OK;
}

static enum err take_all(struct mercure_sets *t, const struct bytes *texts, unsigned count,
                         bool exact, struct mercure_node **to, unsigned *taken)
{
    size_t templates = 0;
    enum err e = ERR_OK;

    for (unsigned i = 0; i < count && !e; i++) {
        e = take_selector(t, texts[i], exact, &to[*taken]);
        if (e)
            break;
        if (mercure_selector_kind(to[(*taken)++]->selector) == MERCURE_SELECTOR_TEMPLATE)
            templates += texts[i].len;
        if (templates > MERCURE_TEMPLATES_MAX)
            e = ERR_TOO_BIG;
    }
    return e;
}

/* The set in memory of the call's: it is kept, or another like it is there. */
static enum err fill(struct mercure_sets *t, const struct mercure_wish *wish,
                     struct mercure_set *s)
{
    unsigned topics = 0, claims = 0;
    enum err e = take_all(t, wish->topics, wish->topic_count, false, s->nodes, &topics);

    if (!e)
        e = take_all(t, wish->exact, wish->exact_count, true, s->nodes, &topics);
    s->topics = in_order(t, s->nodes, topics);
    if (!e)
        e = take_all(t, wish->claims, wish->claim_count, false, s->nodes + s->topics, &claims);
    s->claims = in_order(t, s->nodes + s->topics, claims);
    return e;
}

enum err mercure_sets_join(struct mercure_sets *t, const struct mercure_wish *wish,
                           struct mercure_set **out)
{
    size_t count = (size_t)wish->topic_count + wish->exact_count + wish->claim_count;
    struct mercure_set *s = calloc(1, sizeof *s + count * sizeof s->nodes[0]), *same;
    struct mercure_set *trimmed;
    enum err e;

    if (!s)
        return ERR_NO_MEMORY;
    s->all = t;
    e = fill(t, wish, s);
    trimmed = realloc(s, sizeof *s + (size_t)(s->topics + s->claims) * sizeof s->nodes[0]);
    s = trimmed ? trimmed : s;
    same = e ? NULL : find_set(t, s);
    if (!e && !same)
        e = open_set(t, s);
    if (e || same) {
        drop_selectors(s);
        free(s);
        s = same;
    }
    if (e)
        return e;
    s->users++;
    *out = s;
    return ERR_OK;
}

static void leave_uses(struct mercure_set *s)
{
    for (unsigned i = 0; i < s->topics; i++) {
        struct mercure_use *use = &s->uses[i];

        *(use->prev ? &use->prev->next : &s->nodes[i]->uses) = use->next;
        if (use->next)
            use->next->prev = use->prev;
    }
}

void mercure_set_leave(struct mercure_set *s)
{
    struct mercure_set **at;

    if (!s || --s->users)
        return;
    for (at = set_bucket(s->all, s); *at != s;)
        at = &(*at)->next_in_bucket;
    *at = s->next_in_bucket;
    leave_uses(s);
    drop_selectors(s);
    give_back(s->all, &s->paid);
    free(s->uses);
    free(s);
}

struct bytes mercure_set_topic(const struct mercure_set *s, unsigned i)
{
    return mercure_selector_text(s->nodes[i]->selector);
}

/* ---- updates ---- */

static bool matches_any(struct mercure_sets *t, const struct mercure_selector *selector,
                        const struct mercure_update *u)
{
    struct mercure_topics at = mercure_topics(u);
    bool matches = false;
    struct bytes topic;
    size_t steps;

    while (!matches && mercure_topics_next(&at, &topic)) {
        matches = mercure_selector_walk(selector, topic, &steps);
        t->work += 1 + steps / STEPS_IN_A_WORK;
    }
    return matches;
}

/* Once for an update, however many sets have this selector. */
static bool judge(struct mercure_sets *t, struct mercure_node *n,
                  const struct mercure_update *u)
{
    if (n->judged != t->updates)
        n->matches = matches_any(t, n->selector, u);
    n->judged = t->updates;
    return n->matches;
}

static bool may_see(struct mercure_set *s, const struct mercure_update *u)
{
    for (unsigned i = s->topics; u->is_private && i < s->topics + (unsigned)s->claims; i++)
        if (judge(s->all, s->nodes[i], u))
            return true;
    return !u->is_private;
}

struct match {
    struct mercure_sets *all;
    const struct mercure_update *update;
    void (*hit)(void *arg, struct mercure_set *s);
    void *arg;
};

static void tell(const struct match *m, struct mercure_node *n)
{
    uint64_t number = m->all->updates;

    for (struct mercure_use *use = n->uses; use; use = use->next) {
        if (use->set->judged == number)
            continue;
        use->set->judged = number;
        if (may_see(use->set, m->update))
            m->hit(m->arg, use->set);
    }
}

/* Selectors that are its text, templates among them or not: those are found with the rest. */
static void tell_exact(const struct match *m, struct bytes topic)
{
    struct mercure_node *n = *selector_bucket(m->all, topic);

    for (; n; n = n->next_in_bucket)
        if (!is_template(n) && bytes_eq(mercure_selector_text(n->selector), topic))
            tell(m, n);
}

void mercure_sets_match(struct mercure_sets *t, const struct mercure_update *u,
                        void (*hit)(void *arg, struct mercure_set *s), void *arg)
{
    struct match m = { t, u, hit, arg };
    struct mercure_topics at = mercure_topics(u);
    struct bytes topic;

    t->updates++;
    while (mercure_topics_next(&at, &topic))
        tell_exact(&m, topic);
    for (struct mercure_node *n = t->templates; n; n = n->next_template)
        if (n->uses && judge(t, n, u))
            tell(&m, n);
}

bool mercure_set_may_see(const struct mercure_set *s, const struct mercure_update *u)
{
    for (unsigned i = s->topics; u->is_private && i < s->topics + (unsigned)s->claims; i++)
        if (matches_any(s->all, s->nodes[i]->selector, u))
            return true;
    return !u->is_private;
}

bool mercure_set_wants(const struct mercure_set *s, const struct mercure_update *u)
{
    for (unsigned i = 0; i < s->topics; i++)
        if (matches_any(s->all, s->nodes[i]->selector, u))
            return mercure_set_may_see(s, u);
    return false;
}
