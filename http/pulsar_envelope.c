#include "pulsar_envelope.h"

#include "base/text.h"
#include "pulsar_json.h"

#include <stdio.h>

enum { MESSAGES, PRODUCER, VERSION, VALUE_SCHEMA, KEY_SCHEMA, MEMBERS };

enum schema { SCHEMA_STRING, SCHEMA_BYTES, SCHEMA_OTHER, SCHEMA_BAD };

static enum err refuse(char reason[PULSAR_REASON_ROOM], const char *why)
{
    snprintf(reason, PULSAR_REASON_ROOM, "%s", why);
    return ERR_BAD_INPUT;
}

/* A schema info, {"name":"","schema":"","type":"STRING","properties":{}}, of which only
 * the type matters. */
static enum schema read_schema(const struct pulsar_member *m)
{
    struct pulsar_member type = { .name = "type" };
    struct bytes at;

    if (m->kind == SPAN_NULL)
        return SCHEMA_STRING;
    if (!pulsar_text(m, &at))
        return SCHEMA_BAD;
    if (!at.len)
        return SCHEMA_STRING;
    if (pulsar_pick(&at, &type, 1) || span_end(&at) || type.kind != SPAN_STRING)
        return SCHEMA_BAD;
    if (span_string_is(type.raw, "STRING"))
        return SCHEMA_STRING;
    return span_string_is(type.raw, "BYTES") ? SCHEMA_BYTES : SCHEMA_OTHER;
}

static enum err check_schemas(const struct pulsar_member *m, struct pulsar_envelope *e,
                              char reason[PULSAR_REASON_ROOM])
{
    enum schema value = read_schema(&m[VALUE_SCHEMA]), key = read_schema(&m[KEY_SCHEMA]);
    int64_t version = -1;

    if (m[VERSION].kind != SPAN_NULL && !pulsar_integer(&m[VERSION], &version))
        return refuse(reason, "schemaVersion must be a whole number");
    if (version != -1 && version != 0)
        return refuse(reason, "unsupported schema: there are no registered schemas, so "
                              "schemaVersion is -1 or 0");
    if (value == SCHEMA_BAD || key == SCHEMA_BAD)
        return refuse(reason, "a schema must be a string that holds a JSON object with a "
                              "type");
    if (value == SCHEMA_OTHER)
        return refuse(reason, "unsupported schema: valueSchema can be STRING or BYTES");
    if (key != SCHEMA_STRING)
        return refuse(reason, "unsupported schema: keySchema can only be STRING");
    e->is_bytes = value == SCHEMA_BYTES;
    return ERR_OK;
}

static enum err read_producer(const struct pulsar_member *m, struct pulsar_envelope *e,
                              char reason[PULSAR_REASON_ROOM])
{
    if (m->kind == SPAN_NULL)
        return ERR_OK;
    if (!pulsar_text(m, &e->producer) || e->producer.len > PULSAR_PRODUCER_MAX ||
        !text_is_plain(e->producer))
        return refuse(reason, "producerName must be a string of at most 255 bytes without "
                              "control characters");
    return ERR_OK;
}

enum err pulsar_open_envelope(uint8_t *text, size_t len, struct pulsar_envelope *e,
                              char reason[PULSAR_REASON_ROOM])
{
    struct pulsar_member m[MEMBERS] = {
        [MESSAGES] = { "messages" },         [PRODUCER] = { "producerName" },
        [VERSION] = { "schemaVersion" },     [VALUE_SCHEMA] = { "valueSchema" },
        [KEY_SCHEMA] = { "keySchema" },
    };
    struct bytes at = bytes_of(text ? (const void *)text : "", len);
    const char *why = pulsar_pick(&at, m, MEMBERS);
    enum err err;

    *e = (struct pulsar_envelope){ 0 };
    if (!why)
        why = span_end(&at);
    if (why) {
        snprintf(reason, PULSAR_REASON_ROOM, "the body is not as expected: %s, at byte %zu",
                 why, len - at.len);
        return ERR_BAD_INPUT;
    }
    if (m[MESSAGES].kind != SPAN_ARRAY)
        return refuse(reason, "messages is missing, or not an array");
    e->messages = m[MESSAGES].raw;
    err = read_producer(&m[PRODUCER], e, reason);
    return err ? err : check_schemas(m, e, reason);
}
