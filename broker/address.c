#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool split(const char *text, char *host, size_t size, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t len, digits;
    unsigned long number;

    if (!colon)
        return false;
    len = (size_t)(colon - text);
    digits = strspn(colon + 1, "0123456789");
    if (len >= size || digits == 0 || digits > 5 || colon[1 + digits])
        return false;
    number = strtoul(colon + 1, NULL, 10);
    if (number > 65535)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = (uint16_t)number;
    return true;
}

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool put_ipv6(struct sockaddr_storage *out, socklen_t *len, char *host,
                     uint16_t port)
{
    struct sockaddr_in6 *to = (struct sockaddr_in6 *)out;
    size_t end = strlen(host) - 1;

    if (host[end] != ']')
        return false;
    host[end] = '\0';
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(port);
    *len = sizeof *to;
    return inet_pton(AF_INET6, host + 1, &to->sin6_addr) == 1;
}

static bool put_ipv4(struct sockaddr_storage *out, socklen_t *len, const char *host,
                     uint16_t port)
{
    struct sockaddr_in *to = (struct sockaddr_in *)out;

    to->sin_family = AF_INET;
    to->sin_port = htons(port);
    *len = sizeof *to;
    return inet_pton(AF_INET, host, &to->sin_addr) == 1;
}

enum err address_parse(const char *text, struct sockaddr_storage *out, socklen_t *len)
{
    char host[ADDRESS_TEXT_SIZE];
    uint16_t port;
    bool ok;

    memset(out, 0, sizeof *out);
    if (!split(text, host, sizeof host, &port))
        return ERR_BAD_INPUT;
    if (host[0] == '\0')
        snprintf(host, sizeof host, "%s", has_ipv6() ? "[::]" : "0.0.0.0");
    else if (!strcmp(host, "localhost"))
        snprintf(host, sizeof host, "127.0.0.1");
    if (host[0] == '[')
        ok = put_ipv6(out, len, host, port);
    else
        ok = put_ipv4(out, len, host, port);
    return ok ? ERR_OK : ERR_BAD_INPUT;
}
