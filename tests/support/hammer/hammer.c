/* hammer - a load client for the broker: publishes, parks readers, verifies, misbehaves. */
#include "hammer.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "publish", hammer_publish, "connections that publish in a closed loop" },
    { "park", hammer_park, "connections that wait in a long-poll" },
    { "slow", hammer_slow, "connections that send or read slowly, stop, or break off" },
    { "verify", hammer_verify, "compare topic logs with what publish wrote down" },
    { "consume", hammer_consume, "workers that receive from a subscription and ack, or read a log" },
};

static int usage(FILE *to)
{
    fprintf(to, "usage: hammer COMMAND [options] HOST:PORT; hammer COMMAND --help\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nEach prints one line of JSON at the end. Status 0: no protocol error;\n"
                "1: there were some; 2: wrong use.\n");
    return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout);
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return usage(stderr);
}
