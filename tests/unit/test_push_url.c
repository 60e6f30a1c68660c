#include "push/url.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const char *wrong(const char *url)
{
    return push_url_wrong(bytes_str(url), false);
}

static bool is_fine(struct bytes url, bool private_too)
{
    return !push_url_wrong(url, private_too);
}

static void says(const char *url, const char *word)
{
    const char *found = wrong(url);

    cr_assert(found && strstr(found, word), "%s: %s", url, found ? found : "fine");
}

Test(push_url, takes_what_a_url_of_the_web_looks_like)
{
    static const char *const fine[] = {
        "http://example.com",
        "https://example.com/",
        "HTTPS://EXAMPLE.COM:8443/hook?a=b&c=%20d",
        "http://a-b_c.example./x/y;z?w=@:",
        "http://8.8.8.8:80/",
        "http://[2606:4700::1111]:8080/x",
        "http://xn--mller-kva.example/",
        "http://localhost:8080/", /* a name: its address is looked at later */
        "http://example.com?q",
        "http://1.example/",
    };

    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        cr_assert(is_fine(bytes_str(fine[i]), false), "%s: %s", fine[i], wrong(fine[i]));
}

Test(push_url, says_what_is_wrong)
{
    says("", "http://");
    says("example.com", "http://");
    says("ftp://example.com/", "http://");
    says("file:///etc/passwd", "http://");
    says("http://", "http://");
    says("http:///path", "host");
    says("http://?q", "host");
    says("http://:80/", "host");
    says("http://./", "host");
    says("http://user@example.com/", "user");
    says("http://user:secret@example.com/", "user");
    says("http://example.com/#top", "fragment");
    says("http://example.com:/", "port");
    says("http://example.com:0/", "port");
    says("http://example.com:65536/", "port");
    says("http://example.com:80x/", "port");
    says("http://[::1", "port");
    says("http://[2606:4700::1111]x/", "port");
    says("http://[example.com]/", "IPv6");
    says("http://[fe80::1%25eth0]/", "IPv6");
    says("http://exa%6dple.com/", "host");
    says("http://example.com\\@other/", "%XX");
    says("http://example.com/a b", "%XX");
    says("http://example.com/\r\nX: y", "%XX");
    says("http://m\xc3\xbcller.example/", "%XX");
    says("http://1.2.3.4.5/", "IPv4");
    says("http://256.1.1.1/", "IPv4");
    says("http://0x/", "IPv4");
}

Test(push_url, refuses_addresses_that_are_not_public_however_they_are_written)
{
    static const char *const inside[] = { "http://127.0.0.1/",  "http://127.1/",
                                          "http://2130706433/", "http://0x7f000001/",
                                          "http://0177.0.0.1/", "http://127.0.0.1./",
                                          "http://10.0.0.1:1/", "http://169.254.169.254/latest",
                                          "http://[::1]/",      "http://[::ffff:10.0.0.1]/",
                                          "http://0/",          "http://[fd00::1]:80/" };

    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        says(inside[i], "push_private");
        cr_assert(is_fine(bytes_str(inside[i]), true), "%s", inside[i]);
    }
}

Test(push_url, has_at_most_1024_bytes)
{
    char url[PUSH_URL_MAX + 2];

    memset(url, 'x', sizeof url);
    memcpy(url, "http://a/", 9);
    cr_assert(is_fine(bytes_of(url, PUSH_URL_MAX), false));
    cr_assert(not(is_fine(bytes_of(url, PUSH_URL_MAX + 1), false)));
}

Test(push_url, is_shown_without_its_query)
{
    char out[PUSH_URL_SHOWN], text[300];

    push_url_show(bytes_str("http://a/b?token=secret"), out);
    cr_assert(eq(str, out, "http://a/b"));
    memset(text, 'x', sizeof text);
    push_url_show(bytes_of(text, sizeof text), out);
    cr_assert(eq(sz, strlen(out), PUSH_URL_SHOWN - 1));
}
