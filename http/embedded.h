/*
 * embedded - files that are part of the program.
 *
 * The build makes C arrays of them (page/embed.cmake). They are answered from there, without
 * a copy, and need no grant. They are the same until the program is another one, so a client
 * asks by the file's tag and is told 304.
 *
 * Threads:  the request's loop; the tables are constant.
 */
#ifndef SLUICE_EMBEDDED_H
#define SLUICE_EMBEDDED_H

#include "request.h"

struct embedded_file {
    const char *name;         /* "main.js" */
    const char *content_type;
    const char *etag;         /* with its quotes */
    const unsigned char *data;
    size_t len;
};

/* Each ends with name NULL. */
extern const struct embedded_file page_files[]; /* the first is index.html */
extern const struct embedded_file openapi_files[]; /* openapi.json */

/* True: with the file. False: 304, the client has it. */
bool embedded_reply(struct request *r, const struct embedded_file *f);

#endif
