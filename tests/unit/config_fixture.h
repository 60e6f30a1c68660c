/*
 * config_fixture - a folder of its own for each story, with or without a settings file, and what
 * came of loading it.
 */
#ifndef SLUICE_CONFIG_FIXTURE_H
#define SLUICE_CONFIG_FIXTURE_H

#include "config.h"
#include "config_table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

#define LIST(...) ((char *[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })
#define NONE      LIST()
#define UNUSED    __attribute__((unused))

static struct config c;
static char error[CONFIG_ERROR_SIZE];
static char folder[] = "/tmp/sluice-config-XXXXXX";

UNUSED static enum err load(char **flags, char **env)
{
    int count = 0;

    while (flags[count])
        count++;
    return config_load(&c, count, flags, env, "default.conf", error);
}

UNUSED static void write_file(const char *name, const char *text, size_t len)
{
    FILE *f = fopen(name, "w");

    cr_assert(ne(ptr, f, NULL));
    cr_assert(eq(sz, fwrite(text, 1, len, f), len));
    cr_assert(eq(int, fclose(f), 0));
}

/* The file that is read where nothing else is named. */
UNUSED static void given_file(const char *text)
{
    write_file("default.conf", text, strlen(text));
}

UNUSED static void enter_folder(void)
{
    if (!mkdtemp(folder) || chdir(folder))
        abort();
}

UNUSED static void leave_folder(void)
{
    unlink("default.conf");
    unlink("other.conf");
    if (chdir("/") == 0)
        rmdir(folder);
}

#define REFUSED(flags, env, text)                                                      \
    do {                                                                               \
        cr_assert(eq(int, load(flags, env), ERR_BAD_INPUT));                           \
        cr_assert(eq(str, error, (char *)(text)));                                     \
    } while (0)

UNUSED static const char *origin(const char *name)
{
    static char text[CONFIG_PATH_SIZE];

    config_origin(&c, config_find(name), text, sizeof text);
    return text;
}

UNUSED static const char *value(const char *name)
{
    static char text[CONFIG_VALUE_SIZE];

    config_value(&c, config_find(name), text, sizeof text);
    return text;
}

#define IS(got, wanted) cr_assert(eq(str, (char *)(got), (char *)(wanted)))

#endif
