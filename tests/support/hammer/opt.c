#include "opt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const takes[] = {
    [OPT_NUMBER] = " N", [OPT_SECONDS] = " SECONDS", [OPT_TEXT] = " TEXT", [OPT_FLAG] = "",
};

static void print_default(const struct opt *o)
{
    if (o->kind == OPT_NUMBER)
        printf(" [%llu]", (unsigned long long)*(uint64_t *)o->to);
    else if (o->kind == OPT_SECONDS)
        printf(" [%g]", *(double *)o->to);
    else if (o->kind == OPT_TEXT && *(const char **)o->to)
        printf(" [%s]", *(const char **)o->to);
}

static void print_help(const char *command, const struct opt *table)
{
    printf("hammer %s HOST:PORT [options]\n\n", command);
    for (const struct opt *o = table; o->name; o++) {
        printf("  --%s%s\n        %s", o->name, takes[o->kind], o->help);
        print_default(o);
        printf("\n");
    }
}

static void refuse(const char *what, const char *text)
{
    fprintf(stderr, "hammer: %s: %s\n", what, text);
    exit(2);
}

int opt_size(const char *text, unsigned long long *out)
{
    static const struct { const char *unit; unsigned shift; } units[] = {
        { "", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 },
    };
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    if (errno || end == text)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *out <<= units[i].shift;
            return true;
        }
    }
    return false;
}

static void set(const struct opt *o, const char *text)
{
    unsigned long long n;
    char *end;

    switch (o->kind) {
    case OPT_NUMBER:
        if (!opt_size(text, &n))
            refuse("expected a number or a size like 64KiB", text);
        *(uint64_t *)o->to = n;
        break;
    case OPT_SECONDS:
        *(double *)o->to = strtod(text, &end);
        if (end == text || *end)
            refuse("expected seconds", text);
        break;
    case OPT_TEXT:
        *(const char **)o->to = text;
        break;
    case OPT_FLAG:
        *(bool *)o->to = true;
        break;
    }
}

static const struct opt *find(const struct opt *table, const char *name, size_t len)
{
    for (const struct opt *o = table; o->name; o++)
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

int opt_parse(const char *command, const struct opt *table, int argc, char **argv)
{
    int i = 1;

    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2;
        const char *value = strchr(name, '=');
        size_t len = value ? (size_t)(value - name) : strlen(name);
        if (strcmp(name, "help") == 0) {
            print_help(command, table);
            exit(0);
        }
        const struct opt *o = find(table, name, len);
        if (!o || (o->kind == OPT_FLAG && value))
            refuse("no such option (see --help)", argv[i]);
        if (o->kind != OPT_FLAG && !value && ++i == argc)
            refuse("option needs a value", o->name);
        set(o, value ? value + 1 : argv[i]);
    }
    return i;
}
