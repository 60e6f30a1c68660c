#include "mailbox.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <poll.h>
#include <string.h>

static struct mailbox box;
static char opened[16];

struct named {
    struct letter letter; /* first */
    char name;
};

static void note(struct letter *l)
{
    opened[strlen(opened)] = ((struct named *)l)->name;
}

static struct named a = { { NULL, note }, 'a' }, b = { { NULL, note }, 'b' },
                    c = { { NULL, note }, 'c' };

static void given_a_mailbox(void)
{
    cr_assert(eq(int, mailbox_init(&box), ERR_OK));
}

static bool is_readable(void)
{
    struct pollfd p = { .fd = box.fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

static void expect_opened(const char *names)
{
    cr_assert(eq(str, opened, (char *)names));
}

TestSuite(mailbox, .init = given_a_mailbox, .timeout = 20);

Test(mailbox, is_readable_while_letters_wait)
{
    cr_assert(not(is_readable()));
    cr_assert(not(mailbox_drain(&box)));
    mailbox_post(&box, &a.letter);
    cr_assert(is_readable());
    cr_assert(mailbox_drain(&box));
    cr_assert(not(is_readable()));
    mailbox_fini(&box);
}

Test(mailbox, opens_letters_in_the_order_they_came)
{
    mailbox_post(&box, &b.letter);
    mailbox_post(&box, &a.letter);
    mailbox_drain(&box);
    expect_opened("ba");
    mailbox_fini(&box);
}

Test(mailbox, takes_a_chain_as_it_is)
{
    mailbox_post(&box, &a.letter);
    b.letter.next = &c.letter;
    mailbox_post_chain(&box, &b.letter, &c.letter);
    mailbox_drain(&box);
    expect_opened("abc");
    mailbox_fini(&box);
}

static void post_c(struct letter *l)
{
    note(l);
    mailbox_post(&box, &c.letter);
}

Test(mailbox, a_letter_posted_while_opening_waits_for_the_next_time)
{
    a.letter.open = post_c;
    mailbox_post(&box, &a.letter);
    mailbox_post(&box, &b.letter);
    mailbox_drain(&box);
    expect_opened("ab");
    cr_assert(is_readable());
    mailbox_drain(&box);
    expect_opened("abc");
    mailbox_fini(&box);
}

static unsigned rounds;

static void post_itself(struct letter *l)
{
    if (++rounds < 3)
        mailbox_post(&box, l);
}

Test(mailbox, a_letter_may_be_posted_again_as_soon_as_it_is_opened)
{
    a.letter.open = post_itself;
    mailbox_post(&box, &a.letter);
    cr_assert(mailbox_drain(&box));
    cr_assert(mailbox_drain(&box));
    cr_assert(mailbox_drain(&box));
    cr_assert(not(mailbox_drain(&box)));
    cr_assert(eq(uint, rounds, 3));
    mailbox_fini(&box);
}
