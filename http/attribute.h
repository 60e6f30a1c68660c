/*
 * attribute - what may be the name of a message's attribute, whichever door it comes by.
 *
 * Attributes come back as headers, Message-<name>: <value>. So a name is a token of HTTP,
 * knows no case, and those of the broker's own headers are out of reach: key, offset, time
 * and expires-at.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_ATTRIBUTE_H
#define SLUICE_ATTRIBUTE_H

#include "base/bytes.h"

#define ATTRIBUTE_NAME_MAX 128
#define ATTRIBUTES_MAX     64 /* of one message of a batch */

#define ATTRIBUTE_HEADER_ROOM (ATTRIBUTE_NAME_MAX + sizeof "Message-")

/* The name as a header, with its NUL: till-no is shown as Message-Till-No,
 * traceparent as it is. False: too long. */
bool attribute_header(struct bytes name, char to[ATTRIBUTE_HEADER_ROOM]);

bool attribute_name_is_fine(struct bytes name);

/* The broker's own, whatever its case. */
bool attribute_is_reserved(struct bytes name);

/* Is the name, in any case, among those of a packed run (packed.h)? */
bool attribute_is_packed(struct bytes run, struct bytes name);

#endif
