/*
 * batch_fields - the members of one batch element, each to its packed field.
 *
 * The inside of batch.c: what is in the text of a member, checked against the limits,
 * and where it goes. That it fits there is proved on top of batch.c.
 */
#ifndef SLUICE_BATCH_FIELDS_H
#define SLUICE_BATCH_FIELDS_H

#include "batch.h"
#include "packed.h"
#include "span.h"

struct batch_packer {
    const struct batch_limits *limits;
    struct batch_result *result;
    const uint8_t *text; /* where the whole body begins */
    struct bytes at;     /* what is not read yet */
    uint8_t *out;        /* where packing goes on; never past at.data */

    /* Of the element at hand. */
    const uint8_t *element;    /* where its text begins */
    uint8_t *message;          /* its packing */
    uint8_t *body_tag;         /* NULL: no body yet */
    enum packed_tag body_kind; /* what *body_tag becomes unless typed */
    bool typed;                /* it says its content type */
    bool delayed;              /* it says when it is to be delivered */
    unsigned seen;             /* its members so far, as batch_field counts them */
};

/* Fills in the result: `where` is the place in the text. Gives back `e`. */
__attribute__((format(printf, 4, 5))) enum err batch_refuse(struct batch_packer *p,
                                                            enum err e,
                                                            const void *where,
                                                            const char *format, ...);

/* The same for trouble with what one element says. */
enum err batch_bad(struct batch_packer *p, const void *where, const char *why);

/* Packs one member. Precondition: p->at is past it and what follows it. */
MUST_CHECK enum err batch_field(struct batch_packer *p, struct bytes name,
                                struct bytes raw, enum span_kind kind);

#endif
