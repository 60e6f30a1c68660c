/*
 * script - what a client does, step by step; read from a file, played many times.
 *
 *   open             a new connection; a send without one opens it as well
 *   send TEXT        \r \n \\ \xHH; {n} is the number of the turn, {c} of the connection
 *   fill BYTES       letters; 64KiB is a number
 *   pause MS
 *   answer S,S,...   one answer with one of these statuses; `eof` among them: or the end
 *   eof              until the peer closes, whatever comes before
 *   shut             closes the sending side
 *   close, reset     ends the connection, with FIN or with RST
 *
 * An empty line or one that begins with # says nothing.
 */
#ifndef PLAY_SCRIPT_H
#define PLAY_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_kind {
    STEP_OPEN, STEP_SEND, STEP_FILL, STEP_PAUSE, STEP_ANSWER, STEP_EOF, STEP_SHUT,
    STEP_CLOSE, STEP_RESET, STEP_KINDS
};

enum { SCRIPT_STEPS = 64, STEP_STATUSES = 8 };

struct step {
    enum step_kind kind;
    char *text;             /* SEND: owned */
    size_t len;
    bool has_numbers;       /* ... and {n} or {c} in it */
    uint64_t number;        /* FILL: bytes. PAUSE: milliseconds */
    int status[STEP_STATUSES]; /* ANSWER; 0 ends */
    bool or_eof;
};

struct script {
    struct step steps[SCRIPT_STEPS];
    size_t count;
    size_t longest_fill;
};

/* Ends the program with status 2 when the file is not a script. */
void script_read(struct script *s, const char *path);

/* The text of a SEND step with its numbers in place, into a buffer that is kept and grown;
 * the length. */
size_t script_text(const struct step *s, uint64_t turn, unsigned conn, char **buf, size_t *cap);

void script_free(struct script *s);

#endif
