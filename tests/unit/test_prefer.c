#include "http_fixture.h"
#include "prefer.h"

TestSuite(prefer, .init = given_a_loop, .fini = remove_data_dir, .timeout = 60);

static struct MHD_Connection conn;

static bool ties(const char *prefer)
{
    struct request r = { .conn = &conn };

    conn.count = 0;
    header(&conn, "prefer", prefer);
    return prefer_is(&r, "lease", "connection");
}

Test(prefer, is_a_list_in_which_case_and_blanks_do_not_matter)
{
    cr_assert(ties("lease=connection"));
    cr_assert(ties("Lease = Connection"));
    cr_assert(ties("wait=5,lease=\"connection\" ; because=\"x\", respond-async"));
    cr_assert(ties("  respond-async ,\tlease=connection\t"));
    then_the_loop_is_idle();
}

Test(prefer, knows_what_is_something_else)
{
    const char *others[] = { "",           "lease",          "lease=",        "=connection",
                             "connection", "lease=connect",  "xlease=connection",
                             "lease=connections", "lease=\"connection", "lease=\"connectionx",
                             "lease;x=connection", "wait=\"lease\"", ",,;=,", "\"" };

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_assert(not(ties(others[i])), "%s", others[i]);
    then_the_loop_is_idle();
}

Test(prefer, may_be_said_in_several_headers)
{
    struct request r = { .conn = &conn };

    header(&conn, "Prefer", "wait=5");
    header(&conn, "Other", "lease=other");
    header(&conn, "Prefer", "lease=connection");
    cr_assert(prefer_is(&r, "lease", "connection"));
    cr_assert(prefer_is(&r, "wait", "5"));
    cr_assert(not(prefer_is(&r, "lease", "other")));
    then_the_loop_is_idle();
}
