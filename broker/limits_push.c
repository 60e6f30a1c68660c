/* What push may take of the memory, and whether there is enough for it. */
#include "limits_internal.h"

#define PUSH_FROM         (64 * MIB)
#define FOR_ONE           (16 * MIB) /* of memory_limit: a connection */
#define CONNECTIONS_LEAST 4u
#define CONNECTIONS_MOST  16u

uint64_t limits_push_bytes(const struct config *c)
{
    if (!c->push_connections)
        return 0;
    return LIMITS_PUSH_LIBRARY_BYTES + c->push_connections * LIMITS_PUSH_CONNECTION_BYTES +
           c->max_push_subscriptions * LIMITS_PUSH_TARGET_BYTES;
}

/* Where memory is scarce it is for connections, unless the operator says otherwise. */
uint64_t limits_auto_push_connections(const struct config *c)
{
    if (c->memory_limit_bytes < PUSH_FROM)
        return 0;
    return within(c->memory_limit_bytes / FOR_ONE, CONNECTIONS_LEAST, CONNECTIONS_MOST);
}
