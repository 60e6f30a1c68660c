/*
 * err - what went wrong, said as what the caller can do about it.
 *
 * The line that knows the detail logs it once; everyone above passes the code on.
 * Only http/response.c turns a code into an HTTP status.
 */
#ifndef SLUICE_ERR_H
#define SLUICE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum err {
    ERR_OK = 0,        /* so that `if (e)` reads "if it failed" */
    ERR_BUSY,          /* no room now; the same call may succeed later */
    ERR_TOO_BIG,       /* can never succeed at this size */
    ERR_BAD_INPUT,     /* the client's fault */
    ERR_NOT_FOUND,     /* no such topic, message, blob */
    ERR_EXISTS,        /* it is there already, and different */
    ERR_FULL,          /* disk, map or quota full; frees up by expiry or an operator */
    ERR_IO,            /* the storage engine failed; already logged */
    ERR_NO_MEMORY,     /* the allocator refused; nothing was changed */
    ERR_CLOSED,        /* shutting down; no new work */
    ERR_UNSUPPORTED,   /* this engine declines the operation */
    ERR_CORRUPT,       /* bytes on disk are not what the format says */
};

/* A short fixed name for logs ("busy", "too_big"); never NULL. */
const char *err_name(enum err e);

#endif
