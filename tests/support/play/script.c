#include "script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opt.h"

static const char *const names[STEP_KINDS] = {
    [STEP_OPEN] = "open",     [STEP_SEND] = "send", [STEP_FILL] = "fill",
    [STEP_PAUSE] = "pause",   [STEP_ANSWER] = "answer", [STEP_EOF] = "eof",
    [STEP_SHUT] = "shut",     [STEP_CLOSE] = "close", [STEP_RESET] = "reset",
};

static void refuse(const char *path, unsigned line, const char *what)
{
    fprintf(stderr, "play: %s:%u: %s\n", path, line, what);
    exit(2);
}

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* In place; the length. */
static size_t unescape(char *text)
{
    char *to = text;

    for (const char *at = text; *at; at++) {
        if (*at != '\\') {
            *to++ = *at;
        } else if (at[1] == 'x' && isxdigit((unsigned char)at[2]) &&
                   isxdigit((unsigned char)at[3])) {
            *to++ = (char)(hex(at[2]) * 16 + hex(at[3]));
            at += 3;
        } else if (at[1]) {
            at++;
            *to++ = *at == 'r' ? '\r' : *at == 'n' ? '\n' : *at;
        }
    }
    return (size_t)(to - text);
}

static bool read_statuses(struct step *s, char *text)
{
    char *save = NULL;
    int n = 0;

    for (char *word = strtok_r(text, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
        if (strcmp(word, "eof") == 0)
            s->or_eof = true;
        else if (n + 1 == STEP_STATUSES || (s->status[n++] = atoi(word)) < 200)
            return false;
    }
    return n || s->or_eof;
}

static bool read_argument(struct step *s, char *text)
{
    unsigned long long n = 0;

    switch (s->kind) {
    case STEP_SEND:
        s->text = strdup(text);
        s->len = unescape(s->text);
        s->has_numbers = strstr(text, "{n}") || strstr(text, "{c}");
        return true;
    case STEP_FILL:
    case STEP_PAUSE:
        if (!opt_size(text, &n))
            return false;
        s->number = n;
        return true;
    case STEP_ANSWER:
        return read_statuses(s, text);
    default:
        return !*text;
    }
}

static void read_line(struct script *s, char *line, const char *path, unsigned number)
{
    struct step *step = &s->steps[s->count];
    size_t word = strcspn(line, " ");
    char *argument = line + word + (line[word] != 0);

    if (s->count == SCRIPT_STEPS)
        refuse(path, number, "too many steps");
    for (step->kind = 0; step->kind < STEP_KINDS; step->kind++)
        if (strlen(names[step->kind]) == word && strncmp(line, names[step->kind], word) == 0)
            break;
    if (step->kind == STEP_KINDS || !read_argument(step, argument))
        refuse(path, number, "not a step");
    if (step->kind == STEP_FILL && step->number > s->longest_fill)
        s->longest_fill = step->number;
    s->count++;
}

void script_read(struct script *s, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    unsigned number = 0;

    if (!f)
        refuse(path, 0, "cannot be read");
    while (getline(&line, &cap, f) >= 0) {
        number++;
        line[strcspn(line, "\n")] = 0;
        if (line[0] && line[0] != '#')
            read_line(s, line, path, number);
    }
    free(line);
    fclose(f);
    if (!s->count)
        refuse(path, number, "no step");
}

size_t script_text(const struct step *s, uint64_t turn, unsigned conn, char **buf, size_t *cap)
{
    size_t len = 0;

    if (*cap < s->len + 400) {
        *cap = s->len + 400;
        *buf = realloc(*buf, *cap);
        if (!*buf)
            abort();
    }
    for (size_t i = 0; i < s->len && len + 24 < *cap;) {
        bool number = s->has_numbers && i + 2 < s->len && s->text[i] == '{' && s->text[i + 2] == '}';

        if (number && s->text[i + 1] == 'n')
            len += (size_t)sprintf(*buf + len, "%lu", turn);
        else if (number && s->text[i + 1] == 'c')
            len += (size_t)sprintf(*buf + len, "%u", conn);
        else
            (*buf)[len++] = s->text[i];
        i += number ? 3 : 1;
    }
    return len;
}

void script_free(struct script *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->steps[i].text);
    *s = (struct script){ 0 };
}
