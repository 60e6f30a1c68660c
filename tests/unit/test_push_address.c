#include "push/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const char *wrong4(const char *text)
{
    struct in_addr a;

    cr_assert(inet_pton(AF_INET, text, &a) == 1, "%s", text);
    return push_address_wrong4(a);
}

static const char *wrong6(const char *text)
{
    struct in6_addr a;

    cr_assert(inet_pton(AF_INET6, text, &a) == 1, "%s", text);
    return push_address_wrong6(&a);
}

static bool is_public(const char *found)
{
    return !found;
}

static void is(const char *found, const char *expected, const char *text)
{
    cr_assert(found && strstr(found, expected), "%s is %s", text, found ? found : "public");
}

Test(push_address, passes_public_addresses)
{
    static const char *const four[] = { "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0",
                                        "100.63.255.255", "100.128.0.0", "126.255.255.255",
                                        "128.0.0.0", "169.253.255.255", "169.255.0.0",
                                        "172.15.255.255", "172.32.0.0", "192.167.255.255",
                                        "192.169.0.0", "198.17.255.255", "198.20.0.0",
                                        "223.255.255.255" };
    static const char *const six[] = { "2606:4700::1111", "2a00::1", "2400:cb00::1",
                                       "2001:200::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8" };

    for (size_t i = 0; i < sizeof four / sizeof *four; i++)
        cr_assert(is_public(wrong4(four[i])), "%s", four[i]);
    for (size_t i = 0; i < sizeof six / sizeof *six; i++)
        cr_assert(is_public(wrong6(six[i])), "%s", six[i]);
}

Test(push_address, names_what_is_not_public)
{
    is(wrong4("0.0.0.0"), "unspecified", "0.0.0.0");
    is(wrong4("0.1.2.3"), "unspecified", "0.1.2.3");
    is(wrong4("10.0.0.1"), "private", "10.0.0.1");
    is(wrong4("10.255.255.255"), "private", "10.255.255.255");
    is(wrong4("100.64.0.0"), "carrier", "100.64.0.0");
    is(wrong4("100.127.255.255"), "carrier", "100.127.255.255");
    is(wrong4("127.0.0.1"), "loopback", "127.0.0.1");
    is(wrong4("127.255.255.254"), "loopback", "127.255.255.254");
    is(wrong4("169.254.169.254"), "link-local", "169.254.169.254");
    is(wrong4("172.16.0.1"), "private", "172.16.0.1");
    is(wrong4("172.31.255.255"), "private", "172.31.255.255");
    is(wrong4("192.168.1.1"), "private", "192.168.1.1");
    is(wrong4("192.0.2.1"), "reserved", "192.0.2.1");
    is(wrong4("198.19.255.255"), "reserved", "198.19.255.255");
    is(wrong4("224.0.0.1"), "multicast", "224.0.0.1");
    is(wrong4("239.255.255.255"), "multicast", "239.255.255.255");
    is(wrong4("240.0.0.1"), "reserved", "240.0.0.1");
    is(wrong4("255.255.255.255"), "reserved", "255.255.255.255");
}

Test(push_address, names_what_is_not_public_in_ipv6)
{
    is(wrong6("::"), "unspecified", "::");
    is(wrong6("::1"), "loopback", "::1");
    is(wrong6("::2"), "reserved", "::2");
    is(wrong6("::127.0.0.1"), "reserved", "::127.0.0.1");
    is(wrong6("fe80::1"), "link-local", "fe80::1");
    is(wrong6("febf::1"), "link-local", "febf::1");
    is(wrong6("fec0::1"), "private", "fec0::1");
    is(wrong6("fc00::1"), "private", "fc00::1");
    is(wrong6("fdff::1"), "private", "fdff::1");
    is(wrong6("ff02::1"), "multicast", "ff02::1");
    is(wrong6("2001::1"), "reserved", "2001::1");
    is(wrong6("2001:db8::1"), "reserved", "2001:db8::1");
    is(wrong6("2002:7f00:1::"), "reserved", "2002:7f00:1::");
    is(wrong6("3fff:fff::1"), "reserved", "3fff:fff::1");
    is(wrong6("4000::1"), "reserved", "4000::1");
    is(wrong6("100::1"), "reserved", "100::1");
}

Test(push_address, looks_at_the_ipv4_address_inside)
{
    is(wrong6("::ffff:127.0.0.1"), "loopback", "::ffff:127.0.0.1");
    is(wrong6("::ffff:169.254.169.254"), "link-local", "::ffff:169.254.169.254");
    is(wrong6("64:ff9b::10.0.0.1"), "private", "64:ff9b::10.0.0.1");
    is(wrong6("64:ff9b:1::8.8.8.8"), "reserved", "64:ff9b:1::8.8.8.8");
}

Test(push_address, knows_no_other_families)
{
    struct sockaddr local = { .sa_family = AF_UNIX };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr.s6_addr[15] = 1 };

    is(push_address_wrong(&local), "another kind", "AF_UNIX");
    is(push_address_wrong((struct sockaddr *)&four), "loopback", "127.0.0.1");
    is(push_address_wrong((struct sockaddr *)&six), "loopback", "::1");
}
