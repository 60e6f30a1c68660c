#include "pulsar_results.h"

#include "out.h"

#include <assert.h>

bool pulsar_results_refuse(struct pulsar_results *r, size_t index, const char *why)
{
    if (r->refused_count == PULSAR_REFUSED_MAX)
        return false;
    r->refused[r->refused_count++] = (struct pulsar_refused){ index, why };
    return true;
}

/* One element of the list. */
static void write_result(struct pulsar_results *r, struct out *o)
{
    bool stored = r->next_refused == r->refused_count ||
                  r->refused[r->next_refused].index != r->next;

    if (r->next)
        out_text(o, ",");
    if (stored) {
        out_text(o, "{\"messageId\":\"" PULSAR_EPOCH ":");
        out_u64(o, r->first_offset + r->next - r->next_refused);
        out_text(o, ":-1\",\"errorCode\":0");
    } else {
        out_text(o, "{\"messageId\":\"-1\",\"errorCode\":2,\"errorMsg\":");
        out_str(o, bytes_str(r->refused[r->next_refused++].why));
    }
    out_text(o, ",\"schemaVersion\":0}");
    r->next++;
}

/* False: there is no other. */
static bool next_piece(struct pulsar_results *r)
{
    struct out o;

    out_init_in(&o, r->piece, sizeof r->piece);
    if (r->part == RESULTS_HEAD) {
        out_text(&o, "{\"messagePublishResults\":[");
        r->part = RESULTS_EACH;
    } else if (r->part == RESULTS_EACH && r->next < r->count) {
        write_result(r, &o);
    } else if (r->part == RESULTS_EACH) {
        out_text(&o, "],\"schemaVersion\":0}");
        r->part = RESULTS_END;
    }
    assert(!o.full); /* reasons are constant and short */
    r->piece_len = o.len;
    r->piece_at = 0;
    return o.len > 0;
}

size_t pulsar_results_read(struct pulsar_results *r, char *buf, size_t size)
{
    size_t len = 0;

    while (len < size && (r->piece_at < r->piece_len || next_piece(r))) {
        size_t n = r->piece_len - r->piece_at;

        if (n > size - len)
            n = size - len;
        memcpy(buf + len, r->piece + r->piece_at, n);
        r->piece_at += n;
        len += n;
    }
    return len;
}

void pulsar_results_rewind(struct pulsar_results *r)
{
    r->next = r->next_refused = 0;
    r->part = RESULTS_HEAD;
    r->piece_len = r->piece_at = 0;
}
