/*
 * trace - traceparent: by whom a message was sent, in the terms of W3C Trace Context.
 *
 * It is an attribute of the message's, called traceparent, and a header wherever attributes
 * are headers. One that is ill-formed is ignored, as the recommendation says: no message is
 * refused for it.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_TRACE_H
#define SLUICE_TRACE_H

#include "base/bytes.h"

#define TRACE_PARENT "traceparent"

bool trace_parent_is_fine(struct bytes value);

/* Is this the attribute's name, in any case? */
bool trace_is_parent(struct bytes name);

#endif
