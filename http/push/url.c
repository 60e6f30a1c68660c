#include "push/url.h"

#include "base/text.h"
#include "push/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 253 /* of a name in DNS */

static const char not_public[] =
    "points to an address that is loopback, private or reserved; the setting push_private "
    "allows it";

struct parts { /* of a URL */
    struct bytes host; /* without the brackets of an IPv6 address */
    bool bracketed;
    struct bytes port; /* empty: none */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_character(char c)
{
    char lower = (char)(c | 0x20);

    return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_' || c == '.';
}

/* All that RFC 3986 knows; %XX is not looked into. */
static bool is_plain(struct bytes url)
{
    const char *p = url.data;

    for (size_t i = 0; i < url.len; i++)
        if (p[i] <= 0x20 || p[i] >= 0x7f || strchr("\"<>\\^`{|}", p[i]))
            return false;
    return true;
}

/* What stands between the scheme and the path; empty: no such scheme. */
static struct bytes authority_of(struct bytes url)
{
    const char *p = url.data, *end = p + url.len, *stop;

    if (url.len > 7 && !strncasecmp(p, "http://", 7))
        p += 7;
    else if (url.len > 8 && !strncasecmp(p, "https://", 8))
        p += 8;
    else
        return bytes_of(p, 0);
    for (stop = p; stop < end && !strchr("/?#", *stop); stop++)
        ;
    return bytes_of(p, (size_t)(stop - p));
}

static bool split(struct bytes authority, struct parts *out)
{
    const char *p = authority.data, *end = p + authority.len, *stop;

    *out = (struct parts){ .bracketed = authority.len && *p == '[' };
    if (out->bracketed) {
        stop = memchr(p, ']', authority.len);
        if (!stop)
            return false;
        out->host = bytes_of(p + 1, (size_t)(stop - p - 1));
        stop++;
    } else {
        stop = memchr(p, ':', authority.len);
        if (!stop)
            stop = end;
        out->host = bytes_of(p, (size_t)(stop - p));
    }
    if (stop == end)
        return true;
    out->port = bytes_of(stop + 1, (size_t)(end - stop - 1));
    return *stop == ':' && out->port.len;
}

/* Its last label is a number: then all of it is an IPv4 address in one of its old forms,
 * such as 127.1 or 0x7f000001, or nothing. */
static bool is_numeric(const char *host)
{
    const char *last = strrchr(host, '.');

    last = last ? last + 1 : host;
    return is_digit(*last) &&
           (strspn(last, "0123456789") == strlen(last) ||
            (!strncasecmp(last, "0x", 2) &&
             strspn(last + 2, "0123456789abcdefABCDEF") == strlen(last + 2)));
}

static const char *host_wrong(const struct parts *parts, bool private_too)
{
    char host[HOST_MAX + 1];
    struct in6_addr six;
    struct in_addr four;

    if (!parts->host.len || parts->host.len > HOST_MAX)
        return "must name a host of at most 253 characters";
    memcpy(host, parts->host.data, parts->host.len);
    host[parts->host.len] = 0;
    if (parts->bracketed) {
        if (inet_pton(AF_INET6, host, &six) != 1)
            return "has brackets without an IPv6 address in them";
        return !private_too && push_address_wrong6(&six) ? not_public : NULL;
    }
    for (const char *p = host; *p; p++)
        if (!is_name_character(*p))
            return "has a host with other characters than letters, digits and -._";
    if (host[parts->host.len - 1] == '.') /* the root's, which some resolvers take away */
        host[parts->host.len - 1] = 0;
    if (!is_numeric(host))
        return *host ? NULL : "must name a host";
    if (!inet_aton(host, &four))
        return "has a host that is no IPv4 address, and no name";
    return !private_too && push_address_wrong4(four) ? not_public : NULL;
}

const char *push_url_wrong(struct bytes url, bool private_too)
{
    struct bytes authority;
    struct parts parts;
    uint64_t port;

    if (url.len > PUSH_URL_MAX)
        return "is longer than 1024 bytes";
    if (!is_plain(url))
        return "has characters that a URL does not have; write them as %XX";
    if (memchr(url.data, '#', url.len))
        return "must not have a fragment (#)";
    authority = authority_of(url);
    if (!authority.len)
        return "must begin with http:// or https:// and a host";
    if (memchr(authority.data, '@', authority.len))
        return "must not have a user or a password in it";
    if (!split(authority, &parts) ||
        (parts.port.len && !text_parse_u64(parts.port, 1, 65535, &port)))
        return "must have a port from 1 to 65535, or none";
    return host_wrong(&parts, private_too);
}

void push_url_show(struct bytes url, char out[PUSH_URL_SHOWN])
{
    const char *query = memchr(url.data, '?', url.len);
    size_t len = query ? (size_t)(query - (const char *)url.data) : url.len;

    if (len >= PUSH_URL_SHOWN)
        len = PUSH_URL_SHOWN - 1;
    memcpy(out, url.data, len);
    out[len] = 0;
}
