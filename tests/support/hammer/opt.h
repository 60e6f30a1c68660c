/*
 * opt - command line options from one table: parsed, checked, and printed as --help.
 *
 * Errors: a wrong option prints what was expected and ends the program with status 2.
 */
#ifndef HAMMER_OPT_H
#define HAMMER_OPT_H

enum opt_kind {
    OPT_NUMBER,  /* uint64_t; 4096, 64KiB, 5MiB, 2GiB */
    OPT_SECONDS, /* double */
    OPT_TEXT,    /* const char *; lent, points into argv */
    OPT_FLAG,    /* bool; takes no value */
};

struct opt { /* a table ends with an entry whose name is NULL */
    const char *name;
    enum opt_kind kind;
    void *to;
    const char *help;
};

/* Fills the table's targets from argv[1..]; `--name value` and `--name=value`. Returns the
 * index of the first argument that is no option. */
int opt_parse(const char *command, const struct opt *table, int argc, char **argv);

/* "1KiB" to 1024; false when it is not a size. */
int opt_size(const char *text, unsigned long long *out);

#endif
