#include "waiters.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

static struct waiters *waiters;
static struct mailbox box[2];
static unsigned times[2][WAITERS_SLOTS + 1], calls[2];

static void note(void *arg, unsigned slot)
{
    size_t loop = (size_t)((struct mailbox *)arg - box);

    times[loop][slot]++;
    calls[loop]++;
}

static void given_two_loops(void)
{
    waiters = waiters_new(2);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(eq(int, mailbox_init(&box[i]), ERR_OK));
        waiters_join(waiters, i, &box[i], note, &box[i]);
    }
}

static void commit(const unsigned *slots, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        waiters_wake(waiters, slots[i]);
    waiters_flush(waiters);
}

static void commit_one(unsigned slot)
{
    commit(&slot, 1);
}

static void done(void)
{
    waiters_free(waiters);
    mailbox_fini(&box[0]);
    mailbox_fini(&box[1]);
}

TestSuite(waiters, .init = given_two_loops, .timeout = 20);

Test(waiters, a_loop_hears_of_a_topic_it_waits_for)
{
    waiters_park(waiters, 0, 7);
    commit_one(7);
    cr_assert(mailbox_drain(&box[0]));
    cr_assert(eq(uint, times[0][7], 1));
    cr_assert(eq(uint, calls[0], 1));
    done();
}

Test(waiters, nobody_is_woken_for_a_topic_nobody_waits_for)
{
    waiters_park(waiters, 0, 7);
    commit_one(8);
    cr_assert(not(mailbox_drain(&box[0])));
    cr_assert(not(mailbox_drain(&box[1])));
    done();
}

Test(waiters, only_the_loop_that_waits_is_woken)
{
    waiters_park(waiters, 1, 7);
    commit_one(7);
    cr_assert(not(mailbox_drain(&box[0])));
    cr_assert(mailbox_drain(&box[1]));
    done();
}

Test(waiters, who_left_is_not_woken_but_who_stays_is)
{
    waiters_park(waiters, 0, 7);
    waiters_park(waiters, 0, 7);
    waiters_leave(waiters, 0, 7);
    commit_one(7);
    cr_assert(mailbox_drain(&box[0]));
    waiters_leave(waiters, 0, 7);
    commit_one(7);
    cr_assert(not(mailbox_drain(&box[0])));
    done();
}

Test(waiters, two_topics_of_one_commit_come_in_one_letter)
{
    unsigned both[] = { 7, 9 };

    waiters_park(waiters, 0, 7);
    waiters_park(waiters, 0, 9);
    commit(both, 2);
    cr_assert(mailbox_drain(&box[0]));
    cr_assert(eq(uint, times[0][7], 1));
    cr_assert(eq(uint, times[0][9], 1));
    cr_assert(not(mailbox_drain(&box[0])));
    done();
}

Test(waiters, many_messages_of_a_topic_are_one_piece_of_news)
{
    unsigned same[] = { 7, 7, 7 };

    waiters_park(waiters, 0, 7);
    commit(same, 3);
    commit(same, 3); /* the loop did not look in between */
    mailbox_drain(&box[0]);
    cr_assert(eq(uint, times[0][7], 1));
    done();
}

Test(waiters, more_news_than_it_can_note_say_look_at_all)
{
    for (unsigned slot = 0; slot < 1000; slot++)
        waiters_park(waiters, 0, slot);
    for (unsigned slot = 0; slot < 1000; slot++)
        commit_one(slot);
    mailbox_drain(&box[0]);
    cr_assert(eq(uint, times[0][WAITERS_ALL], 1));
    cr_assert(eq(uint, calls[0], 1));
    commit_one(3); /* and then it counts again */
    mailbox_drain(&box[0]);
    cr_assert(eq(uint, times[0][3], 1));
    cr_assert(eq(uint, times[0][WAITERS_ALL], 1));
    done();
}

Test(waiters, two_topics_may_share_a_slot_and_both_are_counted)
{
    unsigned slot = waiters_slot(bytes_str("a")), found = 0;
    char name[16];

    for (unsigned i = 0; !found && i < 100000; i++) {
        snprintf(name, sizeof name, "topic-%u", i);
        found = waiters_slot(bytes_str(name)) == slot;
    }
    cr_assert(found);
    waiters_park(waiters, 0, slot);
    waiters_park(waiters, 0, waiters_slot(bytes_str(name)));
    waiters_leave(waiters, 0, slot);
    commit_one(waiters_slot(bytes_str(name)));
    cr_assert(mailbox_drain(&box[0]));
    cr_assert(eq(uint, times[0][slot], 1));
    done();
}

static void commit_again(void *arg, unsigned slot)
{
    note(arg, slot);
    if (times[0][slot] == 1)
        commit_one(slot);
}

Test(waiters, news_that_come_while_it_looks_come_in_the_next_letter)
{
    waiters_join(waiters, 0, &box[0], commit_again, &box[0]);
    waiters_park(waiters, 0, 7);
    commit_one(7);
    cr_assert(mailbox_drain(&box[0]));
    cr_assert(eq(uint, times[0][7], 1));
    cr_assert(mailbox_drain(&box[0]));
    cr_assert(eq(uint, times[0][7], 2));
    done();
}

Test(waiters, a_loop_that_has_parted_gets_no_more_letters)
{
    waiters_park(waiters, 0, 7);
    waiters_wake(waiters, 7); /* the writer is between its commit and the flush */
    waiters_part(waiters, 0);
    waiters_flush(waiters);
    cr_assert(not(mailbox_drain(&box[0])));
    done();
}
