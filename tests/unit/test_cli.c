#include "cli.h"
#include "config_table.h"
#include "healthcheck.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLI(...) run((char *[]){ "sluice", __VA_ARGS__ __VA_OPT__(, ) NULL })

static char said[1 << 16]; /* what a test made the program print */
static int served;
static struct config served_config;
static uint64_t served_memory;

static int note_serving(struct config *c, struct limits *l)
{
    served++;
    served_config = *c;
    served_memory = l->memory_bytes;
    return 7;
}

static char *nothing[] = { NULL };
static char **environment = nothing;

static int run(char **argv)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    return cli_main(argc, argv, environment, note_serving);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* ---- which command ---- */

Test(cli, serves_without_arguments)
{
    cr_assert(eq(int, CLI(), 7));
    cr_assert(eq(int, served, 1));
    cr_assert(eq(str, served_config.listen, "127.0.0.1:7070"));
}

Test(cli, serves_with_planned_settings)
{
    cr_assert(eq(int, CLI("--memory-limit", "64MiB"), 7));
    cr_assert(eq(u64, served_memory, (uint64_t)64 << 20));
    cr_assert(gt(u64, served_config.publish_buffer_bytes, 0));
    cr_assert(gt(u64, served_config.max_connections, 0));
}

Test(cli, serves_by_name)
{
    cr_assert(eq(int, CLI("serve", "--listen", ":80"), 7));
    cr_assert(eq(str, served_config.listen, ":80"));
}

Test(cli, does_not_serve_with_a_bad_setting, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, CLI("--listen", "nowhere"), 2));
    cr_assert(eq(int, served, 0));
    cr_assert_stderr_eq_str("sluice: --listen nowhere: expected ADDRESS:PORT, such as "
                            "127.0.0.1:7070, [::1]:7070 or :7070\n");
}

Test(cli, names_the_commands_it_knows, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, CLI("start"), 2));
    cr_assert(eq(int, served, 0));
    cr_assert_stderr_eq_str(
        "sluice: start: no such command; known are serve, check-config, "
        "healthcheck, --help, -h, --version\n");
}

Test(cli, helps_after_a_command_too, .init = cr_redirect_stdout)
{
    cr_assert(eq(int, CLI("check-config", "--help"), 0));
    cr_assert(eq(int, CLI("--help"), 0));
    cr_assert(eq(int, served, 0));
}

Test(cli, says_its_version, .init = cr_redirect_stdout)
{
    cr_assert(eq(int, CLI("--version"), 0));
    fflush(stdout);
    cr_assert_stdout_eq_str("sluice " SLUICE_VERSION "\n");
}

/* ---- what the log says of the settings ---- */

/* All that was written to the redirected stderr. */
static const char *logged(void)
{
    FILE *from = cr_get_redirected_stderr();
    size_t len;

    close(STDERR_FILENO); /* the last writer, so that there is an end */
    len = fread(said, 1, sizeof said - 1, from);
    said[len] = '\0';
    return said;
}

Test(cli, logs_every_setting_in_force_when_it_serves, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, CLI(), 7));
    logged();
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        char value[CONFIG_VALUE_SIZE], line[CONFIG_VALUE_SIZE + 128];

        config_value(&served_config, &config_table[i], value, sizeof value);
        snprintf(line, sizeof line, " level=info module=config event=setting name=%s value=%s from=",
                 config_table[i].name, value);
        cr_expect(has(said, line), "%s", line);
    }
}

Test(cli, logs_where_a_setting_came_from, .init = cr_redirect_stderr)
{
    char name[] = "/tmp/sluice-cli-XXXXXX", line[128];
    FILE *to = fdopen(mkstemp(name), "w");

    environment = (char *[]){ "SLUICE_READ_BUFFER=3145728", NULL };
    fputs("\nidle_timeout = 90\n", to);
    fclose(to);
    cr_assert(eq(int, CLI("--config", name, "--publish-buffer", "auto", "--loops", "1"), 7));
    unlink(name);
    logged();
    cr_assert(has(said, " name=durability value=fsync from=default\n"));
    cr_assert(has(said, " name=read_buffer value=3MiB from=SLUICE_READ_BUFFER\n"));
    cr_assert(has(said, " name=loops value=1 from=--loops\n"));
    cr_assert(has(said, " from=\"derived: memory_limit / 4, less where it does not fit\"\n"));
    snprintf(line, sizeof line, " name=idle_timeout value=90s from=%s:2\n", name);
    cr_assert(has(said, line), "%s", said);
}

Test(cli, logs_no_setting_below_its_log_level, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, CLI("--log-level", "warn"), 7));
    cr_assert(eq(str, (char *)logged(), ""));
}

/* ---- keys ---- */

static char *text_of(void (*print)(FILE *to))
{
    FILE *to = fmemopen(said, sizeof said, "w");

    print(to);
    fclose(to);
    return said;
}

Test(cli, does_not_log_a_key, .init = cr_redirect_stderr)
{
    environment = (char *[]){ "SLUICE_MERCURE_PUBLISHER_JWT_KEY=geheim", NULL };
    cr_assert(eq(int, CLI(), 7));
    cr_assert(eq(str, served_config.mercure_publisher_jwt_key, "geheim"));
    logged();
    cr_assert(has(said, " name=mercure_publisher_jwt_key value=set "
                        "from=SLUICE_MERCURE_PUBLISHER_JWT_KEY\n"));
    cr_assert(has(said, " name=mercure_subscriber_jwt_key value=unset from=default\n"));
    cr_assert(not(has(said, "geheim")));
}

static void print_with_a_key(FILE *to)
{
    struct config c;
    char error[CONFIG_ERROR_SIZE], *none[] = { NULL };
    char *env[] = { "SLUICE_MERCURE_PUBLISHER_JWT_KEY=geheim", NULL };

    cr_assert(eq(int, config_load(&c, 0, none, env, NULL, error), ERR_OK));
    cli_settings(&c, to);
}

Test(cli, does_not_print_a_key)
{
    char *text = text_of(print_with_a_key);

    cr_assert(has(text, "mercure_publisher_jwt_key = set "));
    cr_assert(not(has(text, "geheim")));
}

/* ---- help and check-config ---- */

Test(cli, mentions_every_setting_in_its_help)
{
    char *help = text_of(cli_help), flag[64], line[80];

    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        config_flag(&config_table[i], flag, sizeof flag);
        snprintf(line, sizeof line, "\n  %s", flag);
        cr_expect(has(help, line), "%s", flag);
    }
}

Test(cli, says_in_its_help_what_is_derived_and_from_what)
{
    char *help = text_of(cli_help);

    cr_assert(has(help, "[auto: memory_limit / 4, less where it does not fit; "
                        "256KiB to"));
    cr_assert(has(help, "[fsync; fsync or relaxed]"));
}

Test(cli, keeps_its_help_within_100_columns)
{
    char *help = text_of(cli_help);

    for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n"))
        cr_expect(le(sz, strlen(line), 100), "%s", line);
}

static void print_small(FILE *to)
{
    struct config c;
    char error[CONFIG_ERROR_SIZE];
    char *flags[] = { "--loops", "2", NULL }, *env[] = { "SLUICE_LISTEN=:80", NULL };

    cr_assert(eq(int, config_load(&c, 2, flags, env, NULL, error), ERR_OK));
    cli_settings(&c, to);
}

Test(cli, prints_each_value_and_where_it_came_from)
{
    char *text = text_of(print_small);

    cr_assert(has(text, "listen             = :80                # SLUICE_LISTEN\n"));
    cr_assert(has(text, "loops              = 2                  # --loops\n"));
    cr_assert(has(text, "durability         = fsync              # default\n"));
}

/* What check-config prints is a file that says the same. */
Test(cli, prints_settings_that_can_be_read_as_a_file)
{
    char name[] = "/tmp/sluice-cli-XXXXXX", error[CONFIG_ERROR_SIZE];
    char *none[] = { NULL };
    struct config c;
    struct limits l;
    struct limits_machine m = { 0, 20000, 2 };
    FILE *to = fdopen(mkstemp(name), "w");

    cr_assert(eq(int, config_load(&c, 0, none, none, NULL, error), ERR_OK));
    cr_assert(eq(int, limits_plan(&l, &c, &m, error), ERR_OK));
    cli_settings(&c, to);
    fclose(to);

    char *flags[] = { "--config", name, NULL };
    struct config again;
    enum err e = config_load(&again, 2, flags, none, NULL, error);

    unlink(name);
    cr_assert(eq(int, e, ERR_OK), "%s", error);
    cr_assert(eq(int, memcmp(&again, &c, offsetof(struct config, origins)), 0));
}

Test(cli, fails_a_check_of_settings_that_do_not_add_up, .init = cr_redirect_stderr)
{
    cr_assert(
        eq(int,
           CLI("check-config", "--memory-limit", "32MiB", "--publish-buffer", "64MiB"),
           1));
    cr_assert(eq(int, served, 0));
}

Test(cli, passes_a_check_of_settings_that_add_up, .init = cr_redirect_stdout)
{
    cr_assert(eq(int, CLI("check-config", "--memory-limit", "32MiB"), 0));
    cr_assert(eq(int, served, 0));
}

/* ---- healthcheck ---- */

static int listener;
static char listen_text[32];
static char request[512];
static const char *answer; /* NULL: none */

static void *answer_one(void *arg)
{
    int fd = accept(listener, NULL, NULL);
    size_t len = 0;
    ssize_t n;

    while (!strstr(request, "\r\n\r\n") &&
           (n = recv(fd, request + len, sizeof request - 1 - len, 0)) > 0)
        len += (size_t)n;
    if (answer)
        send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    else
        recv(fd, request, 1, 0); /* until the other side gives up */
    close(fd);
    return arg;
}

static void open_listener(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&at, &len))
        abort();
    snprintf(listen_text, sizeof listen_text, "0.0.0.0:%d", ntohs(at.sin_port));
}

static enum err check_against(const char *text, int timeout_ms, char *why)
{
    pthread_t peer;
    enum err e;

    open_listener();
    answer = text;
    if (pthread_create(&peer, NULL, answer_one, NULL))
        abort();
    e = healthcheck(listen_text, timeout_ms, why, 128);
    pthread_join(peer, NULL);
    return e;
}

Test(healthcheck, is_content_with_200)
{
    char why[128];

    cr_assert(eq(int, check_against("HTTP/1.1 200 OK\r\n\r\n", 5000, why), ERR_OK),
              "%s", why);
    cr_assert(eq(int, strncmp(request, "GET /readyz HTTP/1.1\r\nHost: ", 28), 0));
}

Test(healthcheck, tells_not_ready)
{
    char why[128];

    cr_assert(
        eq(int, check_against("HTTP/1.1 503 Draining\r\n\r\n", 5000, why), ERR_BUSY));
    cr_assert(eq(str, why, "not ready: it answers 503"));
}

Test(healthcheck, gives_up_on_a_broker_that_hangs)
{
    char why[128];

    cr_assert(eq(int, check_against(NULL, 50, why), ERR_CLOSED));
    cr_assert(eq(str, why, "no answer in time"));
}

Test(healthcheck, is_not_fooled_by_another_protocol)
{
    char why[128];

    cr_assert(eq(int, check_against("220 mail 200 ready\r\n", 5000, why), ERR_CLOSED));
    cr_assert(eq(str, why, "the answer is not HTTP"));
}

Test(healthcheck, tells_when_the_answer_is_cut_off)
{
    char why[128];

    cr_assert(eq(int, check_against("", 5000, why), ERR_CLOSED));
    cr_assert(eq(str, why, "closed unanswered"));
}

Test(healthcheck, tells_when_nobody_listens)
{
    char why[128];

    open_listener();
    close(listener);
    cr_assert(eq(int, healthcheck(listen_text, 5000, why, sizeof why), ERR_CLOSED));
    cr_assert(eq(str, why, "Connection refused"));
}

Test(healthcheck, cannot_ask_a_port_it_does_not_know)
{
    char why[128];

    cr_assert(
        eq(int, healthcheck("127.0.0.1:0", 5000, why, sizeof why), ERR_BAD_INPUT));
}

Test(cli, exits_1_and_says_why_in_one_line_when_not_ready, .init = cr_redirect_stderr)
{
    open_listener();
    close(listener);
    cr_assert(eq(int, CLI("healthcheck", "--listen", listen_text), 1));

    char expected[128];

    snprintf(expected, sizeof expected,
             "sluice: healthcheck of %s: Connection refused\n", listen_text);
    cr_assert_stderr_eq_str(expected);
}
