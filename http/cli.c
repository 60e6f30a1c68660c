#include "cli.h"

#include "config_table.h"
#include "healthcheck.h"
#include "mercure/key.h"

#include <stdlib.h>
#include <string.h>

#define HELP_COLUMNS     96
#define NAME_COLUMNS     24
#define HEALTHCHECK_MS   2000
#define STATUS_BAD_USAGE 2

struct command {
    const char *name;
    int (*run)(int count, char **args, char **envp, cli_serve_fn serve);
};

/* ---- help ---- */

/* Writes words in the help's right column, where the cursor stands. */
static void wrap(FILE *to, const char *text)
{
    size_t column = NAME_COLUMNS;

    while (*text) {
        size_t len = strcspn(text, " ");

        if (column > NAME_COLUMNS && column + 1 + len > HELP_COLUMNS) {
            fprintf(to, "\n%*s", NAME_COLUMNS, "");
            column = NAME_COLUMNS;
        } else if (column > NAME_COLUMNS) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)len, text);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
}

static void print_setting(FILE *to, const struct config_setting *s)
{
    char flag[64], range[128], rest[512];

    config_flag(s, flag, sizeof flag);
    config_range(s, range, sizeof range);
    if (strlen(flag) > NAME_COLUMNS - 3)
        fprintf(to, "  %s\n%*s", flag, NAME_COLUMNS, "");
    else
        fprintf(to, "  %-*s ", NAME_COLUMNS - 3, flag);
    wrap(to, s->help);
    fprintf(to, "\n%*s", NAME_COLUMNS, "");
    if (s->derived)
        snprintf(rest, sizeof rest, "[auto: %s; %s]", s->derived, range);
    else if (s->type == CONFIG_PATH || s->type == CONFIG_ADDRESS || s->type == CONFIG_TOPIC ||
             s->type == CONFIG_COOKIE)
        snprintf(rest, sizeof rest, "[%s]", s->preset);
    else
        snprintf(rest, sizeof rest, "[%s; %s]", s->preset, range);
    wrap(to, rest);
    fputc('\n', to);
}

void cli_help(FILE *to)
{
    const char *group = "";

    fprintf(
        to,
        "Sluice " SLUICE_VERSION ", a message broker over HTTP that keeps to the memory "
        "it is given.\n\n"
        "  sluice [SETTINGS]              serve until SIGTERM\n"
        "  sluice check-config [SETTINGS] print the values in force, their origin, the "
        "memory budget\n"
        "  sluice healthcheck [SETTINGS]  exit 0 when the broker at --listen is ready\n"
        "  sluice --help, --version\n\n"
        "A setting publish_buffer is --publish-buffer 16MiB, SLUICE_PUBLISH_BUFFER=16MiB "
        "and the line\n"
        "`publish_buffer = 16MiB` in the file. A flag beats the environment, which beats "
        "the file.\n"
        "In brackets: the default; the values accepted. A size is in bytes or like 64KiB, "
        "16MiB, 2GiB;\n"
        "a duration in seconds or like 500ms, 30s, 5m, 2h, 7d. auto: derived when the "
        "broker starts.\n\n"
        "  %-*s The file; also SLUICE_CONFIG. Else " CONFIG_DEFAULT_FILE
        " is read\n%*sif it exists.\n",
        NAME_COLUMNS - 3, "--config FILE", NAME_COLUMNS, "");
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *s = &config_table[i];

        if (strcmp(s->group, group) != 0)
            fprintf(to, "\n%s\n", s->group);
        group = s->group;
        print_setting(to, s);
    }
}

/* ---- the commands ---- */

void cli_settings(const struct config *c, FILE *to)
{
    char value[CONFIG_VALUE_SIZE], origin[CONFIG_PATH_SIZE + 16];

    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        config_value(c, &config_table[i], value, sizeof value);
        config_origin(c, &config_table[i], origin, sizeof origin);
        fprintf(to, "%-18s = %-18s # %s\n", config_table[i].name, value, origin);
    }
}

static int load(struct config *c, int count, char **args, char **envp)
{
    char error[CONFIG_ERROR_SIZE];

    if (config_load(c, count, args, envp, CONFIG_DEFAULT_FILE, error) ||
        mercure_keys_check(c, error)) {
        fprintf(stderr, "sluice: %s\n", error);
        return STATUS_BAD_USAGE;
    }
    return EXIT_SUCCESS;
}

static int plan(struct limits *l, struct config *c)
{
    struct limits_machine machine;
    char error[CONFIG_ERROR_SIZE];

    limits_machine_read(&machine, "");
    if (limits_plan(l, c, &machine, error)) {
        limits_print(l, stderr);
        fprintf(stderr, "sluice: %s\n", error);
        return STATUS_BAD_USAGE;
    }
    return EXIT_SUCCESS;
}

static struct { /* what run_serve was given */
    int count;
    char **args, **envp;
} served;

enum err cli_reload(struct config *fresh, char *error)
{
    static struct limits scratch;
    struct limits_machine machine;
    enum err e = config_load(fresh, served.count, served.args, served.envp,
                             CONFIG_DEFAULT_FILE, error);

    if (e)
        return e;
    limits_machine_read(&machine, "");
    return limits_plan(&scratch, fresh, &machine, error);
}

static int run_serve(int count, char **args, char **envp, cli_serve_fn serve)
{
    static struct limits limits; /* outlives every thread that counts in it */
    static struct config config;
    int status = load(&config, count, args, envp);

    served.count = count;
    served.args = args;
    served.envp = envp;
    if (!status)
        status = plan(&limits, &config);
    if (status)
        return status;
    log_setup(config.log_level, config.log_format == CONFIG_LOG_JSON);
    config_log(&config);
    limits_log(&limits);
    mercure_keys_warn(&config);
    return serve(&config, &limits);
}

static int run_check_config(int count, char **args, char **envp, cli_serve_fn serve)
{
    struct limits limits;
    struct config config;
    int status = load(&config, count, args, envp);

    (void)serve;
    if (!status)
        status = plan(&limits, &config);
    if (status)
        return EXIT_FAILURE;
    cli_settings(&config, stdout);
    fputc('\n', stdout);
    limits_print(&limits, stdout);
    return EXIT_SUCCESS;
}

static int run_healthcheck(int count, char **args, char **envp, cli_serve_fn serve)
{
    struct config config;
    char error[256];
    int status = load(&config, count, args, envp);

    (void)serve;
    if (status)
        return EXIT_FAILURE;
    if (healthcheck(config.listen, HEALTHCHECK_MS, error, sizeof error)) {
        fprintf(stderr, "sluice: healthcheck of %s: %s\n", config.listen, error);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int run_help(int count, char **args, char **envp, cli_serve_fn serve)
{
    (void)count, (void)args, (void)envp, (void)serve;
    cli_help(stdout);
    return EXIT_SUCCESS;
}

static int run_version(int count, char **args, char **envp, cli_serve_fn serve)
{
    (void)count, (void)args, (void)envp, (void)serve;
    puts("sluice " SLUICE_VERSION);
    return EXIT_SUCCESS;
}

static const struct command commands[] = {
    { "serve", run_serve },
    { "check-config", run_check_config },
    { "healthcheck", run_healthcheck },
    { "--help", run_help },
    { "-h", run_help },
    { "--version", run_version },
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static int unknown_command(const char *name)
{
    fprintf(stderr, "sluice: %s: no such command; known are", name);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stderr, "%s %s", i ? "," : "", commands[i].name);
    fprintf(stderr, "\n");
    return STATUS_BAD_USAGE;
}

int cli_main(int argc, char **argv, char **envp, cli_serve_fn serve)
{
    if (argc < 2)
        return run_serve(0, argv, envp, serve);
    if (!strcmp(argv[argc - 1], "--help")) /* after a command or settings as well */
        return run_help(0, argv, envp, serve);
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 2, argv + 2, envp, serve);
    if (argv[1][0] == '-')
        return run_serve(argc - 1, argv + 1, envp, serve);
    return unknown_command(argv[1]);
}
