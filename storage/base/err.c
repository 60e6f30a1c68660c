#include "base/err.h"

static const char *const names[] = {
    [ERR_OK] = "ok",
    [ERR_BUSY] = "busy",
    [ERR_TOO_BIG] = "too_big",
    [ERR_BAD_INPUT] = "bad_input",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_EXISTS] = "exists",
    [ERR_FULL] = "full",
    [ERR_IO] = "io",
    [ERR_NO_MEMORY] = "no_memory",
    [ERR_CLOSED] = "closed",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_CORRUPT] = "corrupt",
};

const char *err_name(enum err e)
{
    if ((unsigned)e >= sizeof names / sizeof *names)
        return "unknown";
    return names[e];
}
