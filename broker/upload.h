/*
 * upload - a large body on its way into the store, a chunk at a time.
 *
 * The bytes pass through a window of two chunks, paid by one grant that is held from the
 * first byte to the last: while one chunk is being written the next one fills. Nothing of
 * it is visible until a publish names the blob. An upload that is given up leaves
 * nothing: what was written is dropped, and a crash's leftovers are dropped at start.
 *
 * Once admitted an upload waits for nothing but the disk, so uploads cannot block each
 * other.
 *
 * Threads:  all calls on one HTTP loop; chunks are written by the writer.
 * Owner:    upload_free may be called at any time; memory and grant go when the last chunk
 *           has come home.
 */
#ifndef SLUICE_UPLOAD_H
#define SLUICE_UPLOAD_H

#include "ledger.h"
#include "writer.h"

/* What an upload reserves: both buffers and its state. */
#define UPLOAD_WINDOW (2 * 131072u + 2048u)
/* What a new upload takes at once, whatever the disk does. */
#define UPLOAD_HOLDS (2 * STORE_CHUNK_BYTES)

struct upload;

/* Its chunks belong to `flow`. Takes over the grant, whatever it returns. `ready` runs on the loop of `home` when a
 * chunk has come home: there is room again, or the upload failed, or it is complete. */
MUST_CHECK enum err upload_new(struct writer *w, struct mailbox *home, struct fair_flow flow,
                               struct grant *grant, void (*ready)(void *arg), void *arg,
                               struct upload **out);

/* Copies in what fits now; 0 when both chunks are full or the upload has failed. */
size_t upload_feed(struct upload *u, const void *data, size_t len);

/* No more bytes: writes the last chunk. */
void upload_end(struct upload *u);

/* After upload_end: nothing is on its way to the writer any more. */
bool upload_complete(const struct upload *u);

enum err upload_error(const struct upload *u);
uint64_t upload_size(const struct upload *u);

/* Hands the finished blob over: a publish is about to name it, and owns it from now on.
 * If that publish fails, give the id to upload_drop_blob. */
uint64_t upload_take_blob(struct upload *u);

void upload_drop_blob(struct writer *w, uint64_t blob_id);

/* Ends it; what is not taken is dropped from the store. NULL is fine. */
void upload_free(struct upload *u);

#endif
