#include "sweep.h"

#include "base/clock.h"
#include "delivery.h"
#include "metrics.h"

#define TRASH_STEP 256u    /* chunks of 128 KiB: at most 32 MiB of pages in one step */

/* A record that is taken out shares pages with others, or has few of its own. */
#define RECORD_PAGE_BYTES (2u << 10)

void sweep_init(struct sweep *s, const struct store_ops *ops, struct store *store,
                size_t page_bytes)
{
    *s = (struct sweep){ .ops = ops,
                         .store = store,
                         .most = (unsigned)(page_bytes / RECORD_PAGE_BYTES) };
}

size_t sweep_pages_bytes(const struct sweep *s)
{
    return (size_t)(s->taken < s->most ? s->taken : s->most) * RECORD_PAGE_BYTES;
}

void sweep_look_ahead(struct sweep *s)
{
    struct store_stats stats;

    if (s->ops->stats(s->store, &stats))
        return;
    s->next_due_ms = stats.next_due_ms;
    s->trash = stats.trash;
}

void sweep_look_first(struct sweep *s)
{
    struct store_due tied;

    sweep_look_ahead(s);
    s->unties = s->ops->subs->first_tied(s->store, &tied) == ERR_OK;
}

void sweep_look_again(struct sweep *s)
{
    s->trash = true;
    s->next_due_ms = 1;
}

static bool hold_is_over(const struct sweep *s)
{
    return s->held_until_ms && s->held_until_ms <= clock_mono_ms();
}

enum err sweep_trash(struct sweep *s)
{
    struct store_step step = { 0 };
    enum err e;

    if (!s->trash && !hold_is_over(s))
        return ERR_OK;
    e = s->ops->trash_step(s->store, clock_mono_ms(), TRASH_STEP, &step);
    if (e)
        return e;
    s->trash = step.more;
    s->held_until_ms = step.held_until_ms;
    metric_add(METRIC_BLOBS_HELD, (int64_t)(step.held - s->held));
    s->held = step.held;
    return ERR_OK;
}

/* Keys come in no order, so a receipt has two pages of its own at worst: as three records. Two
 * thirds of the step are for them, which is more than a turn's jobs can bring. */
#define RECEIPT_COST 3

static enum err sweep_receipts(struct sweep *s, int64_t now_ms, uint64_t max)
{
    unsigned gone = 0;
    enum err e = s->ops->receipts->expire_step(
        s->store, now_ms, (unsigned)(max * 2 / 3 / RECEIPT_COST), &gone);

    s->taken = (uint64_t)gone * RECEIPT_COST;
    return e;
}

/* Steps grow with what was appended, so that a steady stream is taken out as fast as it
 * comes in. */
enum err sweep_expire(struct sweep *s, int64_t now_ms, uint64_t appended, bool busy)
{
    uint64_t max = busy ? s->most / 2 : s->most;
    struct store_step step = { 0 };
    enum err e;

    s->taken = 0;
    if (!s->next_due_ms || s->next_due_ms > now_ms)
        return ERR_OK;
    e = sweep_receipts(s, now_ms, max);
    if (e)
        return e;
    if (busy && appended * 2 > max)
        max = appended * 2 < s->most ? appended * 2 : s->most;
    if (appended > max)
        max = appended;
    max = max > s->taken ? max - s->taken : 1;
    e = s->ops->expire_step(s->store, now_ms, (unsigned)max, &step);
    s->taken += step.spent;
    if (!e && !step.more)
        sweep_look_ahead(s);
    return e;
}

/* A delivery's row, its entries, and the message that it is about. */
#define DELIVERY_PAGE_BYTES (8u << 10)

enum err sweep_deliveries(const struct sweep *s, struct turn *t, bool busy)
{
    size_t max = (size_t)s->most * RECORD_PAGE_BYTES / DELIVERY_PAGE_BYTES;

    if (!s->next_due_ms || s->next_due_ms > t->now_ms)
        return ERR_OK;
    return delivery_sweep(t, (unsigned)(busy ? max / 2 : max));
}

enum err sweep_untie(struct sweep *s, struct turn *t)
{
    enum err e = delivery_untie(t, (unsigned)((size_t)s->most * RECORD_PAGE_BYTES /
                                              DELIVERY_PAGE_BYTES));

    s->unties = !e;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

bool sweep_due(const struct sweep *s)
{
    return s->trash || hold_is_over(s) ||
           (s->next_due_ms && s->next_due_ms <= clock_wall_ms());
}

int64_t sweep_sleep_ms(const struct sweep *s, int64_t most_ms)
{
    int64_t ms = most_ms;

    if (!s->next_due_ms && !s->held_until_ms)
        return -1;
    if (s->next_due_ms && s->next_due_ms - clock_wall_ms() < ms)
        ms = s->next_due_ms - clock_wall_ms();
    if (s->held_until_ms && s->held_until_ms - clock_mono_ms() < ms)
        ms = s->held_until_ms - clock_mono_ms();
    return ms < 1 ? 1 : ms;
}
