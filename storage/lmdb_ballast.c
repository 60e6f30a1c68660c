/*
 * Space on the disk that is held back for taking messages out. LMDB copies every page
 * it changes, deletions too, so on a full disk nothing could ever be freed again.
 *
 *   held --a write finds the disk full--> given up --the disk has room again--> held
 *
 * While it is given up, appends only get what pages inside the file are free for them
 * (see lmdb_txn_room); the ballast's space is left to expiry and removal.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

static uint64_t disk_left(const struct store *s)
{
    struct statvfs fs;

    return statvfs(s->path, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

/* LMDB calls a write cut short by a full disk EIO. */
bool lmdb_is_disk_full(const struct store *s, int rc)
{
    return rc == ENOSPC || rc == EDQUOT ||
           (rc == EIO && disk_left(s) < BALLAST_BYTES / 4);
}

static int allocate(struct store *s)
{
    int rc = posix_fallocate(s->ballast_fd, 0, BALLAST_BYTES);

    if (rc && ftruncate(s->ballast_fd, 0) != 0)
        rc = errno;
    return rc;
}

/* A file system that cannot do it costs the promise, not the store. */
void lmdb_ballast_open(struct store *s)
{
    char name[4096];
    int rc;

    snprintf(name, sizeof name, "%s/ballast", s->path);
    s->ballast_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    rc = s->ballast_fd < 0 ? errno : allocate(s);
    s->disk_full = rc && lmdb_is_disk_full(s, rc);
    if (rc)
        LOG_WARN("storage", "no_ballast", LOG_S("data_dir", s->path),
                 LOG_S("reason", strerror(rc)));
}

void lmdb_ballast_close(struct store *s)
{
    if (s->ballast_fd >= 0)
        close(s->ballast_fd);
}

void lmdb_ballast_give_up(struct store *s)
{
    if (s->disk_full)
        return;
    s->disk_full = true;
    LOG_WARN("storage", "disk_full", LOG_S("data_dir", s->path));
    if (s->ballast_fd >= 0 && ftruncate(s->ballast_fd, 0) != 0)
        LOG_WARN("storage", "ballast_kept", LOG_S("reason", strerror(errno)));
}

/* Twice as much, so that one commit more does not take it away again. */
void lmdb_ballast_take_back(struct store *s)
{
    if (!s->disk_full || disk_left(s) < 2 * (uint64_t)BALLAST_BYTES || allocate(s))
        return;
    s->disk_full = false;
    LOG_INFO("storage", "disk_has_room_again", LOG_S("data_dir", s->path));
}
