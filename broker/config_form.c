#include "config_form.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

/* ---- keys ---- */

__attribute__((format(printf, 2, 3))) static enum err refuse(char *why, const char *form,
                                                             ...)
{
    va_list args;

    va_start(args, form);
    if (why)
        vsnprintf(why, CONFIG_WHY_SIZE, form, args);
    va_end(args);
    return ERR_BAD_INPUT;
}

static enum err read_key(const char *path, char key[CONFIG_SECRET_SIZE], char *why)
{
    FILE *in = fopen(path, "re");
    enum err e = ERR_OK;
    size_t len;

    if (!in)
        return refuse(why, "the file %s cannot be opened: %s", path, strerror(errno));
    len = fread(key, 1, CONFIG_SECRET_SIZE, in);
    if (ferror(in))
        e = refuse(why, "the file %s cannot be read: %s", path, strerror(errno));
    else if (len == CONFIG_SECRET_SIZE)
        e = refuse(why, "the file %s is larger than the %d bytes a key may have", path,
                   CONFIG_SECRET_SIZE - 1);
    else if (memchr(key, 0, len))
        e = refuse(why, "the file %s has a zero byte: a key is text", path);
    fclose(in);
    if (e)
        return e;
    if (len && key[len - 1] == '\n')
        len--;
    if (len && key[len - 1] == '\r')
        len--;
    key[len] = '\0';
    return len ? ERR_OK : refuse(why, "the file %s is empty", path);
}

/* A variable or a line of a file has no line ends; PEM needs them. */
static void unfold_pem(char *key)
{
    char *to = key;

    if (strncmp(key, "-----BEGIN ", 11) != 0)
        return;
    for (const char *from = key; *from; to++) {
        bool is_end = from[0] == '\\' && from[1] == 'n';

        *to = is_end ? '\n' : *from;
        from += is_end ? 2 : 1;
    }
    *to = '\0';
}

enum err config_form_secret(const char *text, char field[CONFIG_SECRET_SIZE], char *why)
{
    char key[CONFIG_SECRET_SIZE] = "";
    size_t len = strlen(text);
    enum err e = ERR_OK;

    if (!len || !strcmp(text, "set"))
        return refuse(why, "expected unset, a key, or @FILE that has one");
    if (text[0] == '"' || text[0] == '\'')
        return refuse(why, "expected a key without quotes: they would become part of it");
    if (len >= sizeof key)
        return refuse(why, "expected a key of at most %d bytes", CONFIG_SECRET_SIZE - 1);
    if (text[0] == '@')
        e = read_key(text + 1, key, why);
    else if (strcmp(text, "unset") != 0)
        memcpy(key, text, len + 1);
    if (e)
        return e;
    unfold_pem(key);
    memcpy(field, key, sizeof key);
    return ERR_OK;
}

/* ---- names ---- */

enum err config_form_topic(const char *text, char field[CONFIG_NAME_SIZE])
{
    struct bytes name = bytes_str(text);

    if (!name.len || name.len > STORE_TOPIC_NAME_MAX || !text_is_plain(name) ||
        text[0] == '"' || text[0] == '\'')
        return ERR_BAD_INPUT;
    memcpy(field, text, name.len + 1);
    return ERR_OK;
}

enum err config_form_cookie(const char *text, char field[CONFIG_NAME_SIZE])
{
    size_t len = strlen(text);

    /* A token of RFC 9110. */
    if (!len || len >= CONFIG_NAME_SIZE ||
        strspn(text, LETTERS DIGITS "!#$%&'*+-.^_`|~") != len || text[0] == '\'')
        return ERR_BAD_INPUT;
    memcpy(field, text, len + 1);
    return ERR_OK;
}

/* ---- origins ---- */

bool config_form_next_origin(const char **list, struct bytes *origin)
{
    const char *from = *list + strspn(*list, ", \t");
    size_t len = strcspn(from, ", \t");

    *list = from + len;
    *origin = bytes_of(from, len);
    return len > 0;
}

/* HOST or HOST:PORT, where HOST may be [an IPv6 address]. */
static bool is_authority(const char *text, size_t len)
{
    bool six = len && text[0] == '[';
    size_t host = strspn(text, six ? LETTERS DIGITS ":.[" : LETTERS DIGITS "-._*");
    size_t port;

    if (host > len) /* the next origin's bytes are of the same kind */
        host = len;
    if (!host)
        return false;
    if (six && text[host++] != ']')
        return false;
    if (host == len)
        return true;
    port = strspn(text + host + 1, DIGITS "*");
    return text[host] == ':' && port && host + 1 + port == len;
}

static bool is_origin(struct bytes origin)
{
    const char *text = (const char *)origin.data;
    size_t scheme = strspn(text, LETTERS DIGITS "+-.");
    const char *wild = memchr(text, '*', origin.len);

    if (bytes_eq(origin, bytes_str("*")))
        return true;
    if (wild && memchr(wild + 1, '*', (size_t)(text + origin.len - wild - 1)))
        return false;
    return scheme > 0 && scheme + 3 < origin.len && !memcmp(text + scheme, "://", 3) &&
           is_authority(text + scheme + 3, origin.len - scheme - 3);
}

enum err config_form_origins(const char *text, char field[CONFIG_PATH_SIZE])
{
    const char *list = text;
    size_t len = strlen(text);
    struct bytes origin;

    if (!len || !strcmp(text, "none")) {
        memset(field, 0, CONFIG_PATH_SIZE);
        return ERR_OK;
    }
    if (len >= CONFIG_PATH_SIZE)
        return ERR_BAD_INPUT;
    while (config_form_next_origin(&list, &origin))
        if (!is_origin(origin))
            return ERR_BAD_INPUT;
    memcpy(field, text, len + 1);
    return ERR_OK;
}
