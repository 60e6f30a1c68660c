#include "config.h"
#include "config_form.h"
#include "config_table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX   "SLUICE_"
#define FILE_VAR "SLUICE_CONFIG"

struct load { /* one call of config_load */
    struct config *c;
    char *error;
    bool flag_given[CONFIG_SETTINGS];
    unsigned file_line[CONFIG_SETTINGS]; /* where the file has it; 0: nowhere */
};

__attribute__((format(printf, 2, 3))) static enum err fail(struct load *l,
                                                           const char *form, ...)
{
    va_list args;

    va_start(args, form);
    vsnprintf(l->error, CONFIG_ERROR_SIZE, form, args);
    va_end(args);
    return ERR_BAD_INPUT;
}

/* A value as an error may show it. */
static const char *shown(const struct config_setting *s, const char *value)
{
    return s->type == CONFIG_SECRET ? "..." : value;
}

/* Takes over one value; `place` reads in front of ": expected ...", and has no secret. */
static enum err set(struct load *l, const struct config_setting *s, const char *value,
                    enum config_place from, unsigned line, const char *place)
{
    struct config_origin *o = &l->c->origins[s - config_table];
    char expected[256], why[CONFIG_WHY_SIZE];

    if (s->type == CONFIG_SECRET) {
        if (config_form_secret(value, (char *)l->c + s->field, why))
            return fail(l, "%s: %s", place, why);
    } else if (config_put(l->c, s, value)) {
        config_expected(s, expected, sizeof expected);
        return fail(l, "%s: expected %s", place, expected);
    }
    *o = (struct config_origin){ from, line };
    if (s->derived && !strcmp(value, "auto"))
        *o = (struct config_origin){ CONFIG_DERIVED, 0 };
    return ERR_OK;
}

static void set_defaults(struct config *c)
{
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *s = &config_table[i];

        if (s->derived) {
            c->origins[i].place = CONFIG_DERIVED;
        } else if (config_put(c, s, s->preset)) {
            assert(!"a default in the table is not of its own form");
            abort();
        }
    }
}

/* ---- the file ---- */

/* Cuts blanks on both sides, in place. */
static char *trim(char *text)
{
    size_t len;

    text += strspn(text, " \t");
    len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

/* A # opens a comment at the start of the line or after a blank. */
static void cut_comment(char *line)
{
    for (char *p = line; *p; p++) {
        if (*p == '#' && (p == line || p[-1] == ' ' || p[-1] == '\t')) {
            *p = '\0';
            return;
        }
    }
}

static enum err read_line(struct load *l, char *line, unsigned number)
{
    const char *file = l->c->file;
    const struct config_setting *s;
    char place[2 * CONFIG_VALUE_SIZE];
    char *name, *value;
    size_t row;

    cut_comment(line);
    name = trim(line);
    if (!*name)
        return ERR_OK;
    value = strchr(name, '=');
    if (!value) /* of the line no more than its first word: a secret may follow */
        return fail(l, "%s:%u: %.*s: expected `name = value`", file, number,
                    (int)strcspn(name, " \t"), name);
    *value++ = '\0';
    name = trim(name);
    value = trim(value);
    s = config_find(name);
    if (!s)
        return fail(l, "%s:%u: %s: no such setting; `sluice --help` lists them", file,
                    number, name);
    row = (size_t)(s - config_table);
    if (l->file_line[row])
        return fail(l, "%s:%u: %s is there twice: it was set in line %u already", file,
                    number, name, l->file_line[row]);
    l->file_line[row] = number;
    snprintf(place, sizeof place, "%s:%u: %s = %s", file, number, name,
             shown(s, value));
    return set(l, s, value, CONFIG_FROM_FILE, number, place);
}

static enum err read_lines(struct load *l, FILE *in)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    enum err e = ERR_OK;

    for (unsigned number = 1; !e && (len = getline(&line, &room, in)) >= 0; number++) {
        if (strlen(line) != (size_t)len)
            e = fail(l, "%s:%u: a zero byte: this is not a text file", l->c->file,
                     number);
        else if (len >= CONFIG_VALUE_SIZE)
            e = fail(l, "%s:%u: a line of %zd bytes; expected less than %d", l->c->file,
                     number, len, CONFIG_VALUE_SIZE);
        else
            e = read_line(l, line, number);
    }
    if (!e && ferror(in))
        e = fail(l, "%s: cannot be read: %s", l->c->file, strerror(errno));
    free(line);
    return e;
}

/* `named_by` is NULL for the default file, which may be missing. */
static enum err read_file(struct load *l, const char *path, const char *named_by)
{
    FILE *in;
    enum err e;

    if (strlen(path) >= sizeof l->c->file || !*path)
        return fail(l, "%s: expected the path of a file, below %d bytes", named_by,
                    CONFIG_PATH_SIZE);
    in = fopen(path, "re");
    if (!in && !named_by && (errno == ENOENT || errno == ENOTDIR))
        return ERR_OK;
    if (!in)
        return fail(l, "%s%s%s: cannot be opened: %s", named_by ? named_by : "",
                    named_by ? " " : "", path, strerror(errno));
    snprintf(l->c->file, sizeof l->c->file, "%s", path);
    e = read_lines(l, in);
    fclose(in);
    return e;
}

/* ---- the environment ---- */

/*
 * Kubernetes and docker links describe a service called `sluice` to its neighbours as
 * SLUICE_SERVICE_HOST, SLUICE_PORT=tcp://..., SLUICE_PORT_7070_TCP_ADDR, and one called
 * `sluice-a` as SLUICE_A_SERVICE_HOST: not ours, and not the operator's mistake.
 */
static bool is_service_link(const char *name, const char *value)
{
    const char *port = strstr(name, "_PORT");

    if (strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT"))
        return true;
    if (!port)
        return false;
    if (port[5] == '\0')
        return !strncmp(value, "tcp://", 6) || !strncmp(value, "udp://", 6);
    return port[5] == '_' && port[6] >= '0' && port[6] <= '9';
}

static const struct config_setting *find_variable(const char *name)
{
    char variable[64];

    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        config_variable(&config_table[i], variable, sizeof variable);
        if (!strcmp(variable, name))
            return &config_table[i];
    }
    return NULL;
}

static enum err read_variable(struct load *l, const char *entry)
{
    const char *equals = strchr(entry, '=');
    const struct config_setting *s;
    char name[128];
    size_t len;

    if (strncmp(entry, PREFIX, sizeof PREFIX - 1) != 0 || !equals)
        return ERR_OK;
    len = (size_t)(equals - entry);
    snprintf(name, sizeof name, "%.*s", (int)len, entry);
    if (!strcmp(name, FILE_VAR) || is_service_link(name, equals + 1))
        return ERR_OK;
    s = len < sizeof name ? find_variable(name) : NULL;
    if (!s)
        return fail(l,
                    "%.*s: the environment names no such setting; `sluice --help` "
                    "lists them",
                    (int)len, entry);
    if (s->type == CONFIG_SECRET) /* its entry shows it */
        return set(l, s, equals + 1, CONFIG_FROM_ENV, 0, name);
    return set(l, s, equals + 1, CONFIG_FROM_ENV, 0, entry);
}

static enum err read_environment(struct load *l, char *const *envp)
{
    enum err e = ERR_OK;

    while (!e && *envp)
        e = read_variable(l, *envp++);
    return e;
}

static const char *variable_value(char *const *envp, const char *name)
{
    size_t len = strlen(name);

    for (; *envp; envp++)
        if (!strncmp(*envp, name, len) && (*envp)[len] == '=')
            return *envp + len + 1;
    return NULL;
}

/* ---- the flags ---- */

struct flag { /* --name value, or --name=value */
    char name[64];
    const char *value;
};

/* Takes one flag off the arguments. */
static enum err next_flag(struct load *l, int *count, char *const **args,
                          struct flag *f)
{
    const char *arg = **args;
    size_t len = strcspn(arg, "=");

    if (strncmp(arg, "--", 2) != 0 || len == 2 || len >= sizeof f->name)
        return fail(
            l, "%s: expected `--name value`; `sluice --help` lists the settings", arg);
    snprintf(f->name, sizeof f->name, "%.*s", (int)len, arg);
    ++*args;
    --*count;
    if (arg[len]) {
        f->value = arg + len + 1;
        return ERR_OK;
    }
    if (*count == 0)
        return fail(l, "%s: expected a value after it", f->name);
    f->value = **args;
    ++*args;
    --*count;
    return ERR_OK;
}

static const struct config_setting *find_flag(const char *name)
{
    char flag[64];

    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        config_flag(&config_table[i], flag, sizeof flag);
        if (!strcmp(flag, name))
            return &config_table[i];
    }
    return NULL;
}

static enum err read_flag(struct load *l, const struct flag *f)
{
    const struct config_setting *s = find_flag(f->name);
    char place[2 * CONFIG_VALUE_SIZE];
    size_t row;

    if (!s)
        return fail(l, "%s: no such setting; `sluice --help` lists them", f->name);
    row = (size_t)(s - config_table);
    if (l->flag_given[row])
        return fail(l, "%s: is there twice; expected once", f->name);
    l->flag_given[row] = true;
    snprintf(place, sizeof place, "%s %s", f->name, shown(s, f->value));
    return set(l, s, f->value, CONFIG_FROM_FLAG, 0, place);
}

/* Finds --config only: the file it names is weaker than the flags around it. */
static enum err find_file_flag(struct load *l, int count, char *const *args,
                               const char **path)
{
    struct flag f = { 0 };
    enum err e = ERR_OK;

    while (!e && count > 0) {
        e = next_flag(l, &count, &args, &f);
        if (e || strcmp(f.name, "--config") != 0)
            continue;
        if (*path)
            e = fail(l, "--config: is there twice; expected once");
        *path = f.value;
    }
    return e;
}

static enum err read_flags(struct load *l, int count, char *const *args)
{
    struct flag f = { 0 };
    enum err e = ERR_OK;

    while (!e && count > 0) {
        e = next_flag(l, &count, &args, &f);
        if (!e && strcmp(f.name, "--config") != 0)
            e = read_flag(l, &f);
    }
    return e;
}

enum err config_load(struct config *c, int count, char *const *args, char *const *envp,
                     const char *default_file, char *error)
{
    struct load l = { .c = c, .error = error };
    const char *from_flag = NULL;
    const char *from_env = variable_value(envp, FILE_VAR);
    enum err e;

    error[0] = '\0';
    set_defaults(c);
    e = find_file_flag(&l, count, args, &from_flag);
    if (e)
        return e;
    if (from_flag)
        e = read_file(&l, from_flag, "--config");
    else if (from_env)
        e = read_file(&l, from_env, FILE_VAR);
    else if (default_file)
        e = read_file(&l, default_file, NULL);
    if (!e)
        e = read_environment(&l, envp);
    if (!e)
        e = read_flags(&l, count, args);
    return e;
}

/* ---- a loaded config ---- */

static struct config_origin *origin_of(const struct config *c, const void *field)
{
    size_t at = (size_t)((const char *)field - (const char *)c);

    for (size_t i = 0; i < CONFIG_SETTINGS; i++)
        if (config_table[i].field == at)
            return (struct config_origin *)&c->origins[i];
    assert(!"not a field of a setting");
    abort();
}

bool config_given(const struct config *c, const void *field)
{
    return origin_of(c, field)->place > CONFIG_DERIVED;
}

void config_log(const struct config *c)
{
    char value[CONFIG_VALUE_SIZE], origin[CONFIG_VALUE_SIZE];

    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        config_value(c, &config_table[i], value, sizeof value);
        config_origin(c, &config_table[i], origin, sizeof origin);
        LOG_INFO("config", "setting", LOG_S("name", config_table[i].name),
                 LOG_S("value", value), LOG_S("from", origin));
    }
}

void config_derive(struct config *c, uint64_t *field, uint64_t value)
{
    struct config_origin *o = origin_of(c, field);

    assert(o->place <= CONFIG_DERIVED);
    o->place = CONFIG_DERIVED;
    *field = value;
}
