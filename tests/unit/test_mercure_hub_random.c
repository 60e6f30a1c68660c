/* The hub's fan-out under random use: whatever happens in whatever order, each subscriber gets each
 * update that it asked for, once and in order, over all its visits. */
#include "hub_fixture.h"

TestSuite(mercure_hub_random, .init = given_a_hub, .fini = remove_data_dir, .timeout = 120);

#define GUESTS  8
#define UPDATES 400

static const char *const wants[] = { "x", "y", "{any}", "*", "x", "{any}", "z", "no" };
static const char *const topics[] = { "x", "y", "z", "n/o" };

static struct guest {
    struct client c;
    const char *wants;
    size_t junk;   /* that it has to read first */
    unsigned next; /* the update that has to come now, or one behind it */
    bool here;
} guests[GUESTS];

static uint8_t topic_of_update[UPDATES];
static unsigned published;
static uint64_t seed;

static unsigned dice(unsigned sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % sides;
}

static bool is_for(const struct guest *g, unsigned update)
{
    const char *topic = topics[topic_of_update[update]];

    return !strcmp(g->wants, topic) || !strcmp(g->wants, "*") ||
           (!strcmp(g->wants, "{any}") && strlen(topic) == 1);
}

static void publishes_one(void)
{
    char word[16];

    if (published == UPDATES)
        return;
    topic_of_update[published] = (uint8_t)dice(4);
    snprintf(word, sizeof word, "%u", published);
    publishes_much(topics[topic_of_update[published]], word, 5 + dice(dice(10) ? 100 : 9000));
    published++;
}

/* What it has been told since the last time is what had to come. */
static void listens(struct guest *g)
{
    const char *told;

    if (g->junk)
        it_reads(&g->c, g->junk);
    g->junk = 0;
    for (told = hears_all(&g->c); *told; told = strchr(told, ' ') + 1) {
        unsigned number = (unsigned)atoi(told);

        while (g->next < number)
            cr_assert(not(is_for(g, g->next++)), "%u is missing before %u", g->next - 1, number);
        cr_assert(eq(uint, number, g->next));
        cr_assert(is_for(g, number));
        g->next++;
    }
}

static void is_gone(struct guest *g)
{
    close(g->c.socket);
    g->here = false;
}

/* False: its life was over. */
static bool listens_and_stays(struct guest *g)
{
    listens(g);
    if (!is_over(&g->c))
        return true;
    listens(g);
    is_gone(g);
    return false;
}

static void comes(struct guest *g)
{
    char last[16] = "earliest";

    if (everything.bytes) /* it would be refused */
        return;
    g->wants = wants[g - guests];
    if (g->next)
        snprintf(last, sizeof last, "%u", g->next - 1);
    subscribes(&g->c, g->wants, last);
    g->here = true;
}

static void leaves_for_a_while(struct guest *g)
{
    client_goes(&g->c);
    turns();
    is_gone(g);
}

static void something_happens_to(struct guest *g)
{
    unsigned what = dice(8);

    if (!g->here)
        comes(g);
    else if (what < 4 && !g->junk)
        (void)listens_and_stays(g);
    else if (what < 6 && listens_and_stays(g) && !g->c.request->stream->out_len)
        g->junk = its_socket_is_full(&g->c);
    else if (what == 6 && listens_and_stays(g))
        leaves_for_a_while(g);
}

static void room_is_taken_or_given(void)
{
    struct pollfd p = { .fd = loop.mailbox.fd, .events = POLLIN };

    if (everything.bytes) {
        ledger_release(&everything);
        while (poll(&p, 1, 0) > 0)
            mailbox_drain(&loop.mailbox);
    } else {
        given_a_full_read_buffer();
    }
}

static void something_happens(void)
{
    switch (dice(12)) {
    case 0: case 1: case 2:
        publishes_one();
        break;
    case 3: case 4:
        news();
        break;
    case 5:
        mercure_hub_woken(&loop, 0, LOOP_PARK_BUCKETS);
        turn();
        break;
    case 6:
        time_passes(40000);
        break;
    case 7:
        room_is_taken_or_given();
        break;
    default:
        something_happens_to(&guests[dice(GUESTS)]);
    }
}

static void all_hear_the_rest(void)
{
    if (everything.bytes)
        room_is_taken_or_given();
    for (int round = 0; round < 3; round++) {
        news();
        for (struct guest *g = guests; g < guests + GUESTS; g++)
            if (!g->here || !listens_and_stays(g))
                comes(g);
    }
    for (struct guest *g = guests; g < guests + GUESTS; g++) {
        listens(g);
        for (; g->next < published; g->next++)
            cr_assert(not(is_for(g, g->next)), "%u never came", g->next);
        leaves_for_a_while(g);
    }
    then_all_is_given_back();
}

static void a_story(uint64_t number)
{
    seed = number * 977;
    settings.mercure_write_timeout_ms = 300000;
    for (unsigned i = 0; i < 2500; i++)
        something_happens();
    all_hear_the_rest();
}

Test(mercure_hub_random, one) { a_story(1); }
Test(mercure_hub_random, two) { a_story(2); }
Test(mercure_hub_random, three) { a_story(3); }
Test(mercure_hub_random, four) { a_story(4); }
