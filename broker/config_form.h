/*
 * config_form - settings that are more than a number or a word: keys, names, origins.
 *
 * A key is the text itself, or @FILE: then the file's whole content without the end of its
 * last line. In a PEM text that was given in one line the two characters \n are line ends.
 * The words `unset` (no key) and `set` (an error: it is what we show instead of a key) are
 * no keys.
 *
 * Origins are separated by blanks or commas. Each is `*`, which is any, or SCHEME://HOST or
 * SCHEME://HOST:PORT where one * may stand for any text: https://app-*.example.com.
 *
 * Threads:  any; no state. config_form_secret reads a file.
 */
#ifndef SLUICE_CONFIG_FORM_H
#define SLUICE_CONFIG_FORM_H

#include "base/bytes.h"
#include "config.h"

#define CONFIG_WHY_SIZE (CONFIG_PATH_SIZE + 128)

/*
 * All check `text` and take it into the field. ERR_BAD_INPUT: not of the form, and the field
 * is unchanged. A secret's `why` (CONFIG_WHY_SIZE bytes, or NULL) then says what is wrong,
 * naming the file but never the key.
 */
MUST_CHECK enum err config_form_secret(const char *text, char field[CONFIG_SECRET_SIZE],
                                       char *why);
MUST_CHECK enum err config_form_topic(const char *text, char field[CONFIG_NAME_SIZE]);
MUST_CHECK enum err config_form_cookie(const char *text, char field[CONFIG_NAME_SIZE]);
MUST_CHECK enum err config_form_origins(const char *text, char field[CONFIG_PATH_SIZE]);

/* Takes the next origin off `*list`; false: there is none. */
bool config_form_next_origin(const char **list, struct bytes *origin);

#endif
