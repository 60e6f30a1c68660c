#include "mercure/last_event.h"

#include "mercure/registry.h"
#include "server.h"

#define EARLIEST     "earliest"
#define FIRST_WINDOW 16
#define WORK_MOST    16384u /* of matching (set.h): a few milliseconds */

/* ---- the event ---- */

static bool is_visible(const struct store_entry *m, const struct mercure_set *rights,
                       struct mercure_update *u)
{
    return !mercure_update_of(&m->record, u) && mercure_set_may_see(rights, u);
}

/* Of offsets from `low` to below `high`. *next is behind the last visible one; left, if none. Where
 * the work is done before the end it may be an earlier one, which is as good for who goes on
 * from there. */
static enum err look(struct fetch *f, const struct mercure_set *rights, uint64_t low,
                     uint64_t high, uint64_t work_end, struct mercure_last_event *out,
                     uint64_t *next)
{
    struct mercure_update u;
    struct store_entry m;
    enum err e = ERR_OK;

    f->positioned = false;
    while (low < high && !(e = fetch_next(f, low, &m)) && m.offset < high) {
        if (is_visible(&m, rights, &u)) {
            memcpy(out->id, u.id.data, u.id.len);
            out->id[u.id.len] = '\0';
            *next = m.offset + 1;
        }
        low = m.offset + 1;
        if (rights->all->work >= work_end)
            break;
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* Most often it is one of the very last. */
static enum err look_back(struct fetch *f, const struct mercure_set *rights,
                          struct mercure_last_event *out, uint64_t *next)
{
    uint64_t end = f->topic.next_offset, high = end, window = FIRST_WINDOW;
    uint64_t least = end > MERCURE_LOOK_BACK ? end - MERCURE_LOOK_BACK : 0;
    uint64_t work_end = rights->all->work + WORK_MOST;
    enum err e = ERR_OK;

    while (!e && !*next && high > least && rights->all->work < work_end) {
        uint64_t low = high - least > window ? high - window : least;

        e = look(f, rights, low, high, work_end, out, next);
        high = low;
        window *= 4;
    }
    return e;
}

/* ---- the tag ---- */

static bool stays(char c)
{
    return (unsigned char)c > ' ' && c != '"' && c != '%' && c != '\x7f';
}

static void put_tag(struct mercure_last_event *e)
{
    static const char hex[] = "0123456789ABCDEF";
    char *to = e->etag;

    *to++ = '"';
    for (const char *c = e->id; *c; c++) {
        if (stays(*c)) {
            *to++ = *c;
            continue;
        }
        *to++ = '%';
        *to++ = hex[(unsigned char)*c >> 4];
        *to++ = hex[*c & 15];
    }
    *to++ = '"';
    *to = '\0';
}

enum err mercure_last_event_find(struct request *r, const struct mercure_set *rights,
                                 struct mercure_last_event *out)
{
    struct fetch *f = &r->loop->fetch;
    uint64_t told, next = 0;
    bool all_told = mercure_registry_is_told(r->loop->server->registry, &told);
    enum err e = fetch_begin(f, bytes_str(r->loop->broker->config->mercure_topic));

    strcpy(out->id, EARLIEST);
    if (!e) {
        e = look_back(f, rights, out, &next);
        fetch_end(f);
    }
    out->settled = all_told && next >= told;
    put_tag(out);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* ---- If-None-Match ---- */

/* A list of tags, weak ones too. */
static bool has_tag(const char *list, const char *etag)
{
    size_t len = strlen(etag);

    while (*list) {
        const char *tag = list, *close;

        if (tag[0] == 'W' && tag[1] == '/')
            tag += 2;
        close = *tag == '"' ? strchr(tag + 1, '"') : NULL;
        if (!close) {
            list++;
            continue;
        }
        if ((size_t)(close + 1 - tag) == len && !memcmp(tag, etag, len))
            return true;
        list = close + 1;
    }
    return false;
}

bool mercure_last_event_is_known(const struct request *r, const struct mercure_last_event *e)
{
    const char *tags = request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH);

    /* Clients of other hubs send back a tag without quotes: the id. */
    return e->settled && tags &&
           (!strcmp(tags, "*") || !strcmp(tags, e->id) || has_tag(tags, e->etag));
}
