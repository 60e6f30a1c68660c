/*
 * fake_connection - a connection that is only remembered: stands in for the library's, so
 * that a test can play a client to the millisecond. The answers are the library's own.
 *
 * What the executable defines here goes before what the shared library has.
 */
#ifndef SLUICE_FAKE_CONNECTION_H
#define SLUICE_FAKE_CONNECTION_H

#include <microhttpd.h>

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FAKE_VALUES 8

struct MHD_Connection {
    struct {
        enum MHD_ValueKind kind;
        const char *name, *value;
    } values[FAKE_VALUES];
    unsigned count;
    int fd;
    int suspended;   /* 1 while it is */
    unsigned status; /* of the answer; 0: none yet */
    union MHD_ConnectionInfo info;
    void *context; /* the request */
    void *socket_context; /* its struct connection, or NULL */
    char ttl[32];  /* the answer's header TTL */
};

/* The body of the answer that was queued last, or its beginning. */
static char fake_body[4096];

static struct { /* the answers that were made last */
    struct MHD_Response *response;
    char body[sizeof fake_body];
} fake_answers[8];
static unsigned fake_answers_made;

static struct MHD_Response *fake_made(struct MHD_Response *response, size_t size,
                                      const void *body)
{
    unsigned i = fake_answers_made++ % 8;

    fake_answers[i].response = response;
    snprintf(fake_answers[i].body, sizeof fake_answers[i].body, "%.*s", (int)size,
             (const char *)body);
    return response;
}

static void fake_value(struct MHD_Connection *c, enum MHD_ValueKind kind,
                       const char *name, const char *value)
{
    c->values[c->count].kind = kind;
    c->values[c->count].name = name;
    c->values[c->count++].value = value;
}

const char *MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind,
                                        const char *name)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->values[i].kind == kind && !strcasecmp(c->values[i].name, name))
            return c->values[i].value;
    return NULL;
}

int MHD_get_connection_values(struct MHD_Connection *c, enum MHD_ValueKind kind,
                              MHD_KeyValueIterator each, void *arg)
{
    int n = 0;

    for (unsigned i = 0; i < c->count; i++)
        if (c->values[i].kind == kind) {
            each(arg, kind, c->values[i].name, c->values[i].value);
            n++;
        }
    return n;
}

const union MHD_ConnectionInfo *
MHD_get_connection_info(struct MHD_Connection *c, enum MHD_ConnectionInfoType what, ...)
{
    memset(&c->info, 0, sizeof c->info);
    if (what == MHD_CONNECTION_INFO_CONNECTION_FD)
        c->info.connect_fd = c->fd;
    if (what == MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        c->info.socket_context = c->socket_context;
    return &c->info;
}

void MHD_suspend_connection(struct MHD_Connection *c)
{
    c->suspended++;
}

void MHD_resume_connection(struct MHD_Connection *c)
{
    c->suspended--;
}

enum MHD_Result MHD_set_connection_option(struct MHD_Connection *c,
                                          enum MHD_CONNECTION_OPTION option, ...)
{
    (void)c;
    (void)option;
    return MHD_YES;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *c, unsigned status,
                                   struct MHD_Response *response)
{
    const char *ttl = MHD_get_response_header(response, "TTL");

    snprintf(c->ttl, sizeof c->ttl, "%s", ttl ? ttl : "");
    c->status = status;
    fake_body[0] = 0;
    for (unsigned i = 0; i < 8; i++) /* one made anew has its place; older ones are gone */
        if (fake_answers[(fake_answers_made + i) % 8].response == response)
            memcpy(fake_body, fake_answers[(fake_answers_made + i) % 8].body,
                   sizeof fake_body);
    return MHD_YES;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer,
                                                     enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *(*real)(size_t, void *, enum MHD_ResponseMemoryMode);

    *(void **)&real = dlsym(RTLD_NEXT, __func__);
    return fake_made(real(size, buffer, mode), size, buffer);
}

#if MHD_VERSION >= 0x01000000
typedef const void response_bytes;
#else
typedef void response_bytes;
#endif

struct MHD_Response *MHD_create_response_from_buffer_with_free_callback_cls(
    size_t size, response_bytes *buffer, MHD_ContentReaderFreeCallback done, void *arg)
{
    struct MHD_Response *(*real)(size_t, response_bytes *, MHD_ContentReaderFreeCallback,
                                 void *);

    *(void **)&real = dlsym(RTLD_NEXT, __func__);
    return fake_made(real(size, buffer, done, arg), size, buffer);
}

#endif
