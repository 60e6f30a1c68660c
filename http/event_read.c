#include "event_read.h"

#include "base/text.h"
#include "cacheable.h"
#include "event_json.h"
#include "line.h"
#include "location.h"
#include "metrics.h"

#include <string.h>

#define OVERHEAD_BYTES 512u /* of the library, and of what keeps the answer */

bool event_read_wanted(const struct request *r)
{
    const char *accept = request_header(r, MHD_HTTP_HEADER_ACCEPT);

    return accept && strcasestr(accept, "application/cloudevents+json");
}

static void add_headers(struct request *r, const struct store_entry *m)
{
    char number[TEXT_NUMBER_ROOM];

    number[text_put_u64(number, m->offset)] = 0;
    reply_header(r, "Message-Offset", number);
    reply_header(r, MHD_HTTP_HEADER_VARY, "Accept, Origin");
    cacheable_not(r);
}

void event_read_reply(struct request *r, const struct store_entry *m)
{
    size_t most = event_json_most(&m->record) + LOCATION_ROOM;
    struct grant grant = { 0 };
    char href[LOCATION_ROOM];
    struct out out;

    if (!line_for_answer(r, most + OVERHEAD_BYTES, most + OVERHEAD_BYTES, &grant))
        return;
    message_location(request_topic(r), m->offset, href);
    out_init(&out, most);
    event_json_encode(&out, request_topic(r), m->offset, &m->record, href);
    if (out.full) {
        out_fini(&out);
        ledger_release(&grant);
        reply_store_error(r, out.no_memory ? ERR_NO_MEMORY : ERR_CORRUPT);
        return;
    }
    out_trim(&out);
    ledger_shrink(&grant, out.cap + OVERHEAD_BYTES);
    metric_add(METRIC_DELIVERED_MESSAGES, 1);
    metric_add(METRIC_DELIVERED_BYTES, (int64_t)m->record.body.len);
    reply_out(r, MHD_HTTP_OK, "application/cloudevents+json", &out, &grant);
    add_headers(r, m);
}
