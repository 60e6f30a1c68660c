#include "tally.h"

#include <inttypes.h>
#include <string.h>

static void count_last(struct tally *t, const struct scan_event *e, int64_t now_us)
{
    struct tally_message *m = &t->recent[e->seq % TALLY_RECENT];

    if (m->seq != e->seq)
        *m = (struct tally_message){ .seq = e->seq };
    if (++m->seen == t->all)
        figures_time(&t->to_last, now_us - e->time_us);
}

void tally_event(struct tally *t, struct tally_place *p, const struct scan_event *e,
                 int64_t opened_us, int64_t now_us)
{
    if (e->type[0]) {
        t->told++;
        return;
    }
    if (!e->numbered) {
        t->foreign++;
        return;
    }
    t->events++;
    if (p->began && e->seq < p->next) {
        t->duplicates++;
        return;
    }
    if (p->began)
        t->lost += e->seq - p->next;
    else if (e->before_us > opened_us)
        t->lost++;
    p->began = true;
    p->next = e->seq + 1;
    figures_time(&t->delay, now_us - e->time_us);
    if (t->all)
        count_last(t, e, now_us);
}

void tally_reset_times(struct tally *t)
{
    memset(&t->delay, 0, sizeof t->delay);
    memset(&t->to_last, 0, sizeof t->to_last);
}

static void print_times(FILE *to, const char *name, const struct figures *f)
{
    fprintf(to, ",\"%s\":{\"count\":%" PRIu64 ",\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, f->times,
            figures_quantile_ms(f, 0.5), figures_quantile_ms(f, 0.99), (double)f->slowest_us / 1000);
}

void tally_print(const struct tally *t, FILE *to)
{
    fprintf(to,
            "\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicates\":%" PRIu64
            ",\"told\":%" PRIu64 ",\"foreign\":%" PRIu64,
            t->events, t->bytes, t->lost, t->duplicates, t->told, t->foreign);
    print_times(to, "delay_ms", &t->delay);
    print_times(to, "to_last_ms", &t->to_last);
}
