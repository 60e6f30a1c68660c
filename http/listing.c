#include "listing.h"

#define BESIDE 256 /* of the response, beside its text */

bool listing_begin(struct request *r, struct listing *l, const char *member, size_t most)
{
    *l = (struct listing){ .count = 0 };
    if (ledger_reserve(r->loop->broker->read, most + BESIDE, &l->grant)) {
        reply_read_buffer_full(r);
        return false;
    }
    out_init(&l->out, most);
    out_text(&l->out, "{\"");
    out_text(&l->out, member);
    out_text(&l->out, "\":[");
    return true;
}

void listing_item(struct listing *l)
{
    if (l->count++)
        out_text(&l->out, ",");
}

void listing_end(struct request *r, struct listing *l, enum err e, struct bytes last)
{
    out_text(&l->out, "],\"next\":");
    if (l->more)
        out_str(&l->out, last);
    else
        out_text(&l->out, "null");
    out_text(&l->out, "}\n");
    if (e || l->out.full) {
        out_fini(&l->out);
        ledger_release(&l->grant);
        reply_store_error(r, e ? e : ERR_NO_MEMORY);
        return;
    }
    out_trim(&l->out);
    ledger_shrink(&l->grant, l->out.cap + BESIDE);
    reply_out(r, MHD_HTTP_OK, "application/json", &l->out, &l->grant);
}
