#include "push/transfer.h"

#include "metrics.h"
#include "push/address.h"
#include "push/head.h"
#include "push/pace.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEND_PIECE     (16l << 10) /* libcurl's least */
#define RECEIVE_PIECE  1024l       /* the same */
#define ANSWER_HEAD    (8u << 10)
#define ANSWER_BODY    (4u << 10)
#define SOCKET_SEND    (64 << 10)
#define SOCKET_RECEIVE (16 << 10)
#define HANDLE_BYTES   (32u << 10) /* 10 KiB were measured, and the piece; the URL twice */
#define ANSWER_LINE    (128u << 10) /* libcurl lets a line of the head grow to 100 KiB */
#define RATE_LEAST     (256u << 10) /* bytes a second that a large message gets time for */
#define CA_FOLDER      "/etc/ssl/certs"

/* ---- what libcurl asks ---- */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t next_piece(char *to, size_t size, size_t count, void *arg)
{
    struct push_transfer *t = arg;
    size_t want = min_size(size * count, (size_t)(t->size - t->at)), got = want;

    if (t->body)
        memcpy(to, t->body + t->at, want);
    else if (want && download_read(&t->download, t->at, to, want, &got))
        return CURL_READFUNC_ABORT;
    if (want && !got) /* gone, and download_grace is over */
        return CURL_READFUNC_ABORT;
    t->at += got;
    metric_add(METRIC_PUSH_BYTES, (int64_t)got);
    return got;
}

/* A connection that was kept may turn out closed: then the body begins anew on another. */
static int seek(void *arg, curl_off_t to, int origin)
{
    struct push_transfer *t = arg;

    if (origin != SEEK_SET || to < 0 || (uint64_t)to > t->size)
        return CURL_SEEKFUNC_FAIL;
    t->at = (uint64_t)to;
    return CURL_SEEKFUNC_OK;
}

static size_t see_head(char *data, size_t size, size_t count, void *arg)
{
    struct push_transfer *t = arg;

    (void)data;
    t->answer_head += size * count;
    return t->answer_head > ANSWER_HEAD ? 0 : size * count;
}

static size_t see_body(char *data, size_t size, size_t count, void *arg)
{
    struct push_transfer *t = arg;

    (void)data;
    t->answer_body += size * count;
    return t->answer_body > ANSWER_BODY ? 0 : size * count;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct push_transfer *t = arg;
    const struct config *c = t->client->broker->config;
    const char *wrong = c->push_private ? NULL : push_address_wrong(&to->addr);
    int fd, send = SOCKET_SEND, receive = SOCKET_RECEIVE;

    (void)purpose;
    if (wrong) {
        t->refused = wrong;
        return CURL_SOCKET_BAD;
    }
    fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof send);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive);
    return fd;
}

/* ---- a request ---- */

#define SET(option, value) \
    (failed |= t->client->lib.curl_easy_setopt(t->easy, (option), (value)) != CURLE_OK)

/* A bundle of all authorities takes a MiB each time that it is read, which a folder of them
 * does not: only the one that is wanted is. A file of our own is read once for all. */
static bool set_trust(struct push_transfer *t)
{
    const char *file = t->client->broker->config->push_ca_file;
    bool given = strcmp(file, "none") != 0, failed = false;

    SET(CURLOPT_CAINFO, given ? file : (char *)NULL);
    SET(CURLOPT_CAPATH, given ? (char *)NULL : CA_FOLDER);
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0l);
    SET(CURLOPT_SSL_VERIFYPEER, 1l);
    SET(CURLOPT_SSL_VERIFYHOST, 2l);
    return !failed;
}

/* Nothing of the environment, and nothing that would lead elsewhere. */
static bool set_bounds(struct push_transfer *t, uint64_t ms)
{
    bool failed = false;

    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_FOLLOWLOCATION, 0l);
    SET(CURLOPT_NOSIGNAL, 1l);
    /* Who gives up must not wait for a name server: its thread ends by itself. */
    SET(CURLOPT_QUICK_EXIT, 1l);
    SET(CURLOPT_TIMEOUT_MS, (long)ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->client->broker->config->push_timeout_ms);
    SET(CURLOPT_BUFFERSIZE, RECEIVE_PIECE);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, SEND_PIECE);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, t);
    return !failed && set_trust(t);
}

static bool set_request(struct push_transfer *t, struct bytes url)
{
    char text[STORE_SUB_EXTRA_MAX + 1];
    bool failed = false;

    memcpy(text, url.data, url.len);
    text[url.len] = 0;
    SET(CURLOPT_URL, text); /* it keeps a copy */
    SET(CURLOPT_POST, 1l);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->size);
    SET(CURLOPT_HTTPHEADER, t->head);
    SET(CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    SET(CURLOPT_READFUNCTION, next_piece);
    SET(CURLOPT_READDATA, t);
    SET(CURLOPT_SEEKFUNCTION, seek);
    SET(CURLOPT_SEEKDATA, t);
    SET(CURLOPT_HEADERFUNCTION, see_head);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, see_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_PRIVATE, t);
    return !failed;
}

static enum err take_body(struct push_transfer *t, struct store_entry *m)
{
    struct push_client *c = t->client;
    enum err e = ERR_OK;

    t->size = record_size(&m->record);
    if (m->record.blob_id) {
        e = download_start(&t->download, c->broker, &c->fetch, m);
        t->streams = !e;
    } else if (t->size) {
        t->body = malloc((size_t)t->size);
        if (!t->body)
            return ERR_NO_MEMORY;
        memcpy(t->body, m->record.body.data, (size_t)t->size);
    }
    return e;
}

static enum err set_up(struct push_transfer *t, const struct sub_state *sub,
                       struct store_entry *m, uint32_t deliveries, uint64_t ms)
{
    struct push_client *c = t->client;
    enum err e = take_body(t, m);

    if (!e)
        t->head = push_head_make(&c->lib, sub, m, deliveries);
    fetch_end(&c->fetch);
    if (e)
        return e;
    t->easy = c->lib.curl_easy_init();
    if (!t->head || !t->easy || !set_bounds(t, ms) ||
        !set_request(t, sub_extra(&sub->settings, SUB_PUSH_URL)))
        return ERR_NO_MEMORY;
    return c->lib.curl_multi_add_handle(c->multi, t->easy) ? ERR_NO_MEMORY : ERR_OK;
}

enum err push_transfer_begin(struct push_transfer *t, struct push_client *client,
                             const struct sub_state *sub, struct store_entry *m,
                             uint32_t deliveries, uint64_t ms)
{
    enum err e;

    *t = (struct push_transfer){ .client = client };
    e = set_up(t, sub, m, deliveries, ms);
    if (e)
        push_transfer_end(t);
    return e;
}

void push_transfer_end(struct push_transfer *t)
{
    struct push_client *c = t->client;

    if (!c)
        return;
    if (t->easy) {
        (void)c->lib.curl_multi_remove_handle(c->multi, t->easy);
        c->lib.curl_easy_cleanup(t->easy);
    }
    c->lib.curl_slist_free_all(t->head);
    if (t->streams)
        download_end(&t->download);
    free(t->body);
    *t = (struct push_transfer){ 0 };
}

/* ---- what came of it ---- */

static uint64_t retry_after_ms(const struct push_transfer *t, unsigned status)
{
    curl_off_t seconds = 0;

    if (status != 429 && status != 503)
        return 0;
    (void)t->client->lib.curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds <= 0)
        return 0;
    return seconds > PUSH_RETRY_AFTER_MOST_MS / 1000 ? PUSH_RETRY_AFTER_MOST_MS
                                                     : (uint64_t)seconds * 1000;
}

static void explain(const struct push_transfer *t, CURLcode code, struct push_outcome *out)
{
    if (out->status)
        snprintf(out->error, sizeof out->error, "answered %u", out->status);
    else if (t->refused)
        snprintf(out->error, sizeof out->error, "the host is %s, and push_private is off",
                 t->refused);
    else if (t->answer_head > ANSWER_HEAD)
        snprintf(out->error, sizeof out->error, "the answer's head is longer than 8 KiB");
    else
        snprintf(out->error, sizeof out->error, "%s", t->client->lib.curl_easy_strerror(code));
}

/* A status counts although the answer did not end well: the endpoint has said it. */
void push_transfer_outcome(const struct push_transfer *t, CURLcode code,
                           struct push_outcome *out)
{
    long status = 0;

    *out = (struct push_outcome){ 0 };
    (void)t->client->lib.curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status <= 999) /* not the 100 before it */
        out->status = (unsigned)status;
    if (push_outcome_taken(out))
        return;
    out->retry_after_ms = retry_after_ms(t, out->status);
    explain(t, code, out);
}

size_t push_transfer_room(const struct record *r)
{
    return HANDLE_BYTES + ANSWER_LINE + push_head_room(r) + (r->blob_id ? 0 : r->body.len);
}

uint64_t push_transfer_ms(const struct config *c, uint64_t size)
{
    return c->push_timeout_ms + size / (RATE_LEAST / 1000);
}
