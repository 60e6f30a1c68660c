/*
 * form - what a publisher says: an application/x-www-form-urlencoded body, decoded
 * where it stands.
 *
 *   topic=https%3A%2F%2Fexample.com%2Fbooks%2F1&data=a+b&private=on
 *
 * Fields come in any order, a name may be encoded as well, a field without `=` is
 * empty. Of a field that comes again the first one counts, of `topic` each one; fields
 * that we do not know are passed over, however many. Values are bytes: whether they are
 * text is for others to ask.
 *
 * Pure: no allocation, time in proportion to the text. Threads: any.
 */
#ifndef SLUICE_MERCURE_FORM_H
#define SLUICE_MERCURE_FORM_H

#include "base/bytes.h"
#include "base/err.h"
#include "mercure/update.h"

struct mercure_form { /* views into the text; a field that is not there is empty */
    struct bytes id, type, retry, data;
    bool is_private;    /* the field is there, whatever it says */
    size_t topic_count; /* all that came, also those beyond the room for them */
    struct bytes topics[MERCURE_MOST_TOPICS];
};

/* Writes over the text. ERR_BAD_INPUT: a % that two hexadecimal digits do not follow;
 * *f is not to be used then. */
MUST_CHECK enum err mercure_form_read(uint8_t *text, size_t len,
                                      struct mercure_form *f);

#endif
