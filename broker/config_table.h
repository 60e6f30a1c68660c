/*
 * config_table - the one table of settings, and a row's way to and from text.
 *
 * Flags, environment, file, --help, check-config and /v1/limits all walk this table; a new
 * setting is a field in struct config, a row here and a line in deploy/sluice.conf.
 *
 * Threads:  the table is constant; any thread.
 */
#ifndef SLUICE_CONFIG_TABLE_H
#define SLUICE_CONFIG_TABLE_H

#include "config.h"

enum config_type {
    CONFIG_SIZE,     /* uint64_t, bytes */
    CONFIG_DURATION, /* uint64_t, milliseconds */
    CONFIG_COUNT,    /* uint64_t */
    CONFIG_BOOL,     /* bool */
    CONFIG_CHOICE,   /* an enum: the place in `choices` */
    CONFIG_PATH,     /* char[CONFIG_PATH_SIZE] */
    CONFIG_ADDRESS,  /* char[ADDRESS_TEXT_SIZE], checked by address_parse */
    CONFIG_SECRET,   /* char[CONFIG_SECRET_SIZE]; shown as `set` or `unset`, nowhere as it is */
    CONFIG_TOPIC,    /* char[CONFIG_NAME_SIZE], a topic's name */
    CONFIG_COOKIE,   /* char[CONFIG_NAME_SIZE], a cookie's name */
    CONFIG_ORIGINS,  /* char[CONFIG_PATH_SIZE], a list; `none`: "" */
};

struct config_setting { /* a row */
    const char *name;   /* publish_buffer */
    const char *group;  /* the heading it stands under in --help */
    enum config_type type;
    size_t field;           /* offset in struct config */
    uint64_t least, most;   /* of numbers */
    const char *preset;     /* the default as text; NULL: derived */
    const char *derived;    /* how, in words, when preset is NULL */
    const char *choices[10]; /* CONFIG_CHOICE: the words, NULL after the last */
    bool live;              /* an _Atomic uint64_t, which tune.h changes while running */
    const char *help;       /* what it is, without range and default; one line */
};

/* In the order of --help. */
extern const struct config_setting config_table[CONFIG_SETTINGS];

/* NULL: there is no such setting. */
const struct config_setting *config_find(const char *name);

/* Parses `text` into the setting's field. ERR_BAD_INPUT: not the form config_expected
 * describes; nothing is changed. `auto` gives a derived setting back its 0. */
MUST_CHECK enum err config_put(struct config *c, const struct config_setting *s,
                               const char *text);

/* One log line for each setting in force, at level info: its name, config_value and
 * config_origin. */
void config_log(const struct config *c);

/* All below fill `out` with a closing 0 and cut what is longer than `size`. */

/* The value in force in the form that config_put accepts: "16MiB". Of a secret only whether
 * there is one: `unset`, or `set`, which config_put refuses. */
void config_value(const struct config *c, const struct config_setting *s, char *out,
                  size_t size);
/* Where it came from: "default", "derived: memory_limit / 4",
 * "/etc/sluice/sluice.conf:12", "SLUICE_LISTEN", "--listen", "PATCH /v1/limits". */
void config_origin(const struct config *c, const struct config_setting *s, char *out,
                   size_t size);
/* What is accepted, in short: "4KiB to 64KiB", "fsync or relaxed". */
void config_range(const struct config_setting *s, char *out, size_t size);
/* The same with its form, for people who got it wrong: "auto or a size from 4KiB to 64KiB:
 * bytes, or such as 512KiB, 16MiB, 2GiB". */
void config_expected(const struct config_setting *s, char *out, size_t size);
/* "--publish-buffer" */
void config_flag(const struct config_setting *s, char *out, size_t size);
/* "SLUICE_PUBLISH_BUFFER" */
void config_variable(const struct config_setting *s, char *out, size_t size);

#endif
