/*
 * cli - the command line: which subcommand, and everything that is not serving.
 *
 *   sluice [settings]                serve
 *   sluice check-config [settings]   the values in force, where each came from, the budget
 *   sluice healthcheck [settings]    ask the broker of these settings whether it is ready
 *   sluice --help | --version
 *
 * Threads:  main, before any other thread; cli_reload also later.
 */
#ifndef SLUICE_CLI_H
#define SLUICE_CLI_H

#include "config.h"
#include "limits.h"

#include <stdio.h>

/* Runs the broker until it is told to stop; returns the process's exit status. The budget
 * is planned and logged; its gauges are the server's to connect. */
typedef int (*cli_serve_fn)(struct config *c, struct limits *l);

/* Does what the arguments say. Returns the exit status: 0 well, 1 failed, 2 not
 * understood: a subcommand or a setting is wrong, and nothing was started. */
int cli_main(int argc, char **argv, char **envp, cli_serve_fn serve);

/* While serving: what the same arguments and environment, and the file as it is now, come
 * to; planned like at the start. ERR_BAD_INPUT: `error` (CONFIG_ERROR_SIZE bytes) says what
 * is wrong. */
MUST_CHECK enum err cli_reload(struct config *fresh, char *error);

/* What `sluice --help` prints, from the table of settings. */
void cli_help(FILE *to);

/* What `sluice check-config` prints above the budget. */
void cli_settings(const struct config *c, FILE *to);

#endif
