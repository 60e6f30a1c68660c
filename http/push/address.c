#include "push/address.h"

#include <arpa/inet.h>
#include <string.h>

struct block {
    uint8_t first[16];
    uint8_t bits;
    const char *what;
};

/* IANA's registry of special addresses, and multicast (RFC 6890 and later). */
static const struct block blocks4[] = {
    { { 0 }, 8, "an unspecified address" },
    { { 10 }, 8, "a private address" },
    { { 100, 64 }, 10, "an address shared by a carrier's NAT" },
    { { 127 }, 8, "a loopback address" },
    { { 169, 254 }, 16, "a link-local address" },
    { { 172, 16 }, 12, "a private address" },
    { { 192, 0, 0 }, 24, "a reserved address" },
    { { 192, 0, 2 }, 24, "a reserved address" },
    { { 192, 88, 99 }, 24, "a reserved address" },
    { { 192, 168 }, 16, "a private address" },
    { { 198, 18 }, 15, "a reserved address" },
    { { 198, 51, 100 }, 24, "a reserved address" },
    { { 203, 0, 113 }, 24, "a reserved address" },
    { { 224 }, 4, "a multicast address" },
    { { 240 }, 4, "a reserved address" },
};

/* Those outside of 2000::/3 are here for their names only: all of it is refused. */
static const struct block blocks6[] = {
    { { [15] = 1 }, 128, "a loopback address" },
    { { 0 }, 128, "an unspecified address" },
    { { 0xfc }, 7, "a private address" },
    { { 0xfe, 0x80 }, 10, "a link-local address" },
    { { 0xfe, 0xc0 }, 10, "a private address" },
    { { 0xff }, 8, "a multicast address" },
    { { 0x20, 0x01 }, 23, "a reserved address" }, /* Teredo and others */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, "a reserved address" },
    { { 0x20, 0x02 }, 16, "a reserved address" }, /* 6to4: IPv4 through a relay */
    { { 0x3f, 0xff }, 20, "a reserved address" },
};

static const struct block global6 = { { 0x20 }, 3, NULL };
static const struct block mapped6 = { { [10] = 0xff, [11] = 0xff }, 96, NULL };
static const struct block nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96, NULL };

static int is_in(const struct block *b, const uint8_t *address)
{
    unsigned whole = b->bits / 8, rest = b->bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);

    return !memcmp(b->first, address, whole) &&
           (!rest || (address[whole] & mask) == b->first[whole]);
}

static const char *find(const struct block *blocks, size_t count, const uint8_t *address)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(&blocks[i], address))
            return blocks[i].what;
    return NULL;
}

static const char *wrong4(const uint8_t address[4])
{
    return find(blocks4, sizeof blocks4 / sizeof *blocks4, address);
}

const char *push_address_wrong4(struct in_addr address)
{
    return wrong4((const uint8_t *)&address);
}

const char *push_address_wrong6(const struct in6_addr *address)
{
    const uint8_t *a = address->s6_addr;
    const char *what;

    if (is_in(&mapped6, a) || is_in(&nat64, a))
        return wrong4(a + 12);
    what = find(blocks6, sizeof blocks6 / sizeof *blocks6, a);
    return what || is_in(&global6, a) ? what : "a reserved address";
}

const char *push_address_wrong(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return push_address_wrong4(((const struct sockaddr_in *)address)->sin_addr);
    if (address->sa_family == AF_INET6)
        return push_address_wrong6(&((const struct sockaddr_in6 *)address)->sin6_addr);
    return "an address of another kind than IP";
}
