#include "page.h"

#include "embedded.h"

/* 'self' is this broker: the page's own files, and the API that it asks. Text never becomes
 * markup (trusted-types), forms go nowhere, and nobody puts the page into a frame. */
#define POLICY                                                                         \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "       \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " \
    "require-trusted-types-for 'script'; trusted-types 'none'"

bool page_is_on(const struct config *c)
{
    return c->page;
}

static void answer(struct request *r, const struct embedded_file *f)
{
    if (!embedded_reply(r, f))
        return;
    reply_header(r, "Content-Security-Policy", POLICY);
    reply_header(r, "X-Frame-Options", "DENY");
    reply_header(r, "X-Content-Type-Options", "nosniff");
    reply_header(r, "Referrer-Policy", "no-referrer");
}

void page_index(struct request *r)
{
    answer(r, &page_files[0]);
}

/* The file's place in the table is this path's number. */
void page_take_file(struct request *r, const struct route *route,
                    const struct route_names *names)
{
    (void)route;
    for (const struct embedded_file *f = page_files + 1; f->name; f++) {
        if (bytes_eq(names->name[0], bytes_str(f->name))) {
            r->offset = (uint64_t)(f - page_files);
            return;
        }
    }
    reply_problem(r, PROBLEM_ROUTE_NOT_FOUND, "The page has no file of this name.");
}

void page_file(struct request *r)
{
    answer(r, &page_files[r->offset]);
}
