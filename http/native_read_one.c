/* One message by its offset. */
#include "native_read.h"

#include "event_read.h"
#include "raw_message.h"

static void no_message(struct request *r, uint64_t next)
{
    if (r->offset >= next)
        reply_problem_with(r, PROBLEM_MESSAGE_NOT_FOUND, "next", next,
                           "There is no message %llu yet; the next one will be %llu.",
                           (unsigned long long)r->offset, (unsigned long long)next);
    else
        reply_problem(r, PROBLEM_MESSAGE_GONE, "Message %llu has expired or was removed.",
                      (unsigned long long)r->offset);
}

void read_message_finish(struct request *r)
{
    struct fetch *f = &r->loop->fetch;
    struct store_entry m;
    enum err e = fetch_begin(f, request_topic(r));

    r->answer.again = read_message_finish;
    if (e) {
        reply_store_error(r, e);
        return;
    }
    e = fetch_next(f, r->offset, &m);
    if (e && e != ERR_NOT_FOUND)
        reply_store_error(r, e);
    else if (e || m.offset != r->offset)
        no_message(r, f->topic.next_offset);
    else if (event_read_wanted(r))
        event_read_reply(r, &m);
    else if (!raw_message_reply(r, &m))
        no_message(r, f->topic.next_offset);
    fetch_end(f);
}
