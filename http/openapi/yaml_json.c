/*
 * yaml_json - the YAML of http/openapi.yaml as JSON, for the build.
 *
 *   yaml_json openapi.yaml openapi.json
 *
 * Not all of YAML: block and flow mappings and sequences, plain, quoted and block scalars
 * (| and >), comments. What is beside that is an error with its line, never a guess; the
 * tests of the documents compare what came out with what a whole YAML parser reads. It
 * writes while it reads, and keeps nothing but the text.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX_BYTES (1u << 20)

static char text[TEXT_MAX_BYTES + 1];
static const char *p = text; /* what comes next */
static FILE *out;

static void value(int parent);
static void block(int column);
static void flow(void);

static _Noreturn void fail(const char *why)
{
    int line = 1;

    for (const char *c = text; c < p; c++)
        line += *c == '\n';
    fprintf(stderr, "yaml_json: line %d: %s\n", line, why);
    exit(EXIT_FAILURE);
}

/* ---- places ---- */

static int column_of(const char *at)
{
    const char *start = at;

    while (start > text && start[-1] != '\n')
        start--;
    return *at ? (int)(at - start) : -1;
}

static void skip_blanks(void)
{
    while (*p == ' ')
        p++;
}

static bool at_line_end(void)
{
    return !*p || *p == '\n' || (*p == '#' && (p == text || p[-1] == ' ' || p[-1] == '\n'));
}

/* To the next token, on whichever line it is. */
static void skip(void)
{
    for (;;) {
        skip_blanks();
        if (!*p || !at_line_end())
            return;
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
}

static bool is_item(const char *at)
{
    return at[0] == '-' && (at[1] == ' ' || at[1] == '\n');
}

static bool ends_key(const char *at)
{
    return at[0] == ':' && (at[1] == ' ' || at[1] == '\n' || !at[1]);
}

/* Behind the quoted text that begins at `at`. */
static const char *behind_quotes(const char *at)
{
    char quote = *at++;

    for (; *at && *at != '\n'; at++) {
        if (*at == '\\' && quote == '"' && at[1])
            at++;
        else if (*at == quote && quote == '\'' && at[1] == quote)
            at++;
        else if (*at == quote)
            return at + 1;
    }
    fail("a quoted text without its end");
}

/* Is what comes a key of a block mapping? */
static bool is_key(void)
{
    const char *at = p;

    if (*at == '"' || *at == '\'')
        return ends_key(behind_quotes(at));
    if (*at == '{' || *at == '[')
        return false;
    while (*at && *at != '\n' && !ends_key(at))
        at++;
    return ends_key(at);
}

/* ---- scalars ---- */

static void put_char(char c)
{
    if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else if (c == '\n')
        fputs("\\n", out);
    else if ((unsigned char)c < ' ')
        fail("a control character");
    else
        fputc(c, out);
}

static void put_quoted(void)
{
    const char *end = behind_quotes(p);

    if (*p == '"') { /* the escapes that we use are JSON's, too */
        fwrite(p, 1, (size_t)(end - p), out);
    } else {
        fputc('"', out);
        for (const char *c = p + 1; c < end - 1; c++) {
            put_char(*c);
            c += *c == '\'';
        }
        fputc('"', out);
    }
    p = end;
}

static bool is_number(const char *s, size_t len)
{
    size_t sign = len > 1 && *s == '-';

    if (len - sign > 1 && s[sign] == '0')
        return false;
    for (size_t i = sign; i < len; i++)
        if (!isdigit((unsigned char)s[i]))
            return false;
    return len > 0;
}

static bool is_word(const char *s, size_t len, const char *word)
{
    return len == strlen(word) && !strncmp(s, word, len);
}

static void put_plain(size_t len, bool key)
{
    const char *s = p;

    p += len;
    while (len && s[len - 1] == ' ')
        len--;
    if (!len || strchr("&*!%@`", *s))
        fail("a form of YAML that is not used here");
    if (!key && (is_number(s, len) || is_word(s, len, "true") || is_word(s, len, "false") ||
                 is_word(s, len, "null"))) {
        fwrite(s, 1, len, out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < len; i++)
        put_char(s[i]);
    fputc('"', out);
}

/* Up to the line's end, or a comment. */
static size_t plain_len(void)
{
    size_t len = 0;

    while (p[len] && p[len] != '\n' && !(p[len] == ' ' && p[len + 1] == '#'))
        len++;
    return len;
}

/* Line breaks stay with |; with > they are spaces, and an empty line is a line break. */
static void put_lines(int parent)
{
    bool folded = *p++ == '>', strip = *p == '-';
    int indent = -1, breaks = 0;

    p += strip;
    if (*p != '\n')
        fail("a block scalar of a form that is not used here");
    fputc('"', out);
    for (p++; *p; p += *p == '\n') {
        int blanks = (int)strspn(p, " ");

        if (p[blanks] == '\n') {
            p += blanks;
            breaks++;
            continue;
        }
        if (blanks <= parent)
            break;
        if (indent >= 0 && folded && breaks == 1)
            fputc(' ', out);
        else
            for (int i = folded ? 1 : 0; indent >= 0 && i < breaks; i++)
                fputs("\\n", out);
        indent = indent < 0 ? blanks : indent;
        for (p += indent; *p && *p != '\n'; p++)
            put_char(*p);
        breaks = 1;
    }
    fputs(strip ? "\"" : "\\n\"", out);
}

/* ---- flow: { } and [ ], over any number of lines ---- */

static void flow_scalar(bool key)
{
    size_t len = 0;

    if (*p == '"' || *p == '\'') {
        put_quoted();
        return;
    }
    while (p[len] && !strchr(",{}[]\n", p[len]) && !ends_key(p + len))
        len++;
    put_plain(len, key);
}

static void flow_pair(void)
{
    flow_scalar(true);
    skip();
    if (*p++ != ':')
        fail("a key without its value");
    fputc(':', out);
    skip();
    flow();
}

static void flow(void)
{
    char open = *p, close = open == '{' ? '}' : ']';

    if (open != '{' && open != '[') {
        flow_scalar(false);
        return;
    }
    fputc(open, out);
    p++;
    for (skip(); *p != close; skip()) {
        if (open == '{')
            flow_pair();
        else
            flow();
        skip();
        if (*p == ',')
            p++;
        else if (*p != close)
            fail("a comma or the end of { } or [ ] is missing");
        skip();
        if (*p != close)
            fputc(',', out);
    }
    p++;
    fputc(close, out);
}

/* ---- blocks, by their columns ---- */

static void mapping(int column)
{
    fputc('{', out);
    for (const char *first = p; column_of(p) == column && !is_item(p); skip()) {
        if (p > first)
            fputc(',', out);
        if (!is_key())
            fail("a key is missing");
        if (*p == '"' || *p == '\'') {
            put_quoted();
        } else {
            size_t len = 0;

            while (!ends_key(p + len))
                len++;
            put_plain(len, true);
        }
        p++;
        fputc(':', out);
        value(column);
    }
    fputc('}', out);
}

static void sequence(int column)
{
    fputc('[', out);
    for (const char *first = p; column_of(p) == column && is_item(p); skip()) {
        if (p > first)
            fputc(',', out);
        p++;
        skip_blanks();
        if (!at_line_end() && is_key())
            mapping(column_of(p));
        else
            value(column);
    }
    fputc(']', out);
}

static void block(int column)
{
    if (is_item(p))
        sequence(column);
    else if (is_key())
        mapping(column);
    else
        fail("neither a key nor an item");
    if (column_of(p) > column)
        fail("this is further to the right than what it belongs to");
}

/* Of a key or an item in column `parent`. */
static void value(int parent)
{
    skip_blanks();
    if (at_line_end()) {
        skip();
        if (column_of(p) < parent || (column_of(p) == parent && !is_item(p))) {
            fputs("null", out);
            return;
        }
        if (*p != '{' && *p != '[') {
            block(column_of(p));
            return;
        }
    }
    if (*p == '|' || *p == '>') {
        put_lines(parent);
        return;
    }
    if (*p == '{' || *p == '[')
        flow();
    else if (*p == '"' || *p == '\'')
        put_quoted();
    else
        put_plain(plain_len(), false);
    skip_blanks();
    if (!at_line_end())
        fail("something behind a value");
}

static bool load(const char *path)
{
    FILE *in = fopen(path, "rb");
    size_t len;

    if (!in)
        return false;
    len = fread(text, 1, TEXT_MAX_BYTES, in);
    fclose(in);
    return len < TEXT_MAX_BYTES && !memchr(text, '\t', len) && !memchr(text, 0, len);
}

int main(int argc, char **argv)
{
    if (argc != 3 || !load(argv[1]) || !(out = fopen(argv[2], "wb"))) {
        fprintf(stderr, "usage: yaml_json IN OUT; IN up to 1 MiB, without tabs\n");
        return EXIT_FAILURE;
    }
    skip();
    block(column_of(p));
    if (*p)
        fail("something behind the end");
    fputc('\n', out);
    return fclose(out) ? EXIT_FAILURE : EXIT_SUCCESS;
}
