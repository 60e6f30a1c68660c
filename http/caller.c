#include "caller.h"

#include "addresses.h"
#include "request.h"
#include "waiters.h"

static struct address_key address_of(const struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    return info && info->client_addr ? address_key_of(info->client_addr)
                                     : (struct address_key){ 0 };
}

struct bytes caller_of(const struct request *r, uint8_t out[CALLER_BYTES])
{
    struct address_key key = address_of(r);

    memcpy(out, &key.bits, 8);
    out[8] = key.kind;
    return bytes_of(out, CALLER_BYTES);
}

struct fair_flow caller_flow(const struct request *r)
{
    struct address_key key = address_of(r);
    uint64_t mixed = (key.bits ^ key.kind) * UINT64_C(0x9e3779b97f4a7c15);

    return (struct fair_flow){ .caller = (uint32_t)(mixed >> 32),
                               .topic = waiters_slot(request_topic(r)) };
}
