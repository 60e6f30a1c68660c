/*
 * linger - lets a client read an early answer although it is still sending.
 *
 * Closing a socket with unread data makes the kernel reset the connection, and the reset
 * can overtake the answer. So the descriptor is kept (a duplicate: the library closes its
 * own), what the client still sends is read and thrown away, and the socket is closed when
 * the client closes, or after LINGER_MS, or after LINGER_BYTES.
 *
 * Memory:   LINGER_MAX entries a loop; beyond that connections are closed at once.
 * Threads:  the loop that owns it.
 */
#ifndef SLUICE_LINGER_H
#define SLUICE_LINGER_H

#include <stddef.h>
#include <stdint.h>

#define LINGER_MAX   128
#define LINGER_MS    2000
#define LINGER_BYTES (64u << 20)

struct lingering {
    unsigned count;
    struct linger_entry {
        int fd;
        int64_t until_ms;
        size_t bytes;
    } entries[LINGER_MAX];
};

/* Takes a connection whose answer was given early. The caller goes on to close `fd`. */
void linger_take(struct lingering *l, int fd, int64_t now_ms);

/* Takes the descriptor of one that was told that it is not let in, and closes it. These
 * have half of the entries at most: a flood of them must not cost others their answers. */
void linger_keep(struct lingering *l, int fd, int64_t now_ms);

/* Reads and discards what came; call it every LINGER_TICK_MS while count > 0. */
#define LINGER_TICK_MS 20
void linger_tick(struct lingering *l, int64_t now_ms);

/* Closes all. */
void linger_fini(struct lingering *l);

#endif
