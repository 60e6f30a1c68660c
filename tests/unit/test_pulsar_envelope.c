#include "pulsar_envelope.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static struct pulsar_envelope e;
static char reason[PULSAR_REASON_ROOM];
static uint8_t *text; /* on the heap, where ASan guards its end */

static enum err opened(const char *json)
{
    size_t len = strlen(json);

    free(text);
    text = malloc(len);
    memcpy(text, json, len);
    return pulsar_open_envelope(text, len, &e, reason);
}

static void is_fine(const char *json)
{
    cr_assert(eq(int, opened(json), ERR_OK), "%s: %s", json, reason);
}

static void is_refused(const char *json, const char *why)
{
    cr_assert(eq(int, opened(json), ERR_BAD_INPUT), "%s", json);
    cr_assert(eq(str, reason, (char *)why), "%s", json);
}

/* A schema info as it is sent: JSON in a string. */
static void schema_is_fine(const char *member, const char *type, bool is_bytes)
{
    char json[400];

    snprintf(json, sizeof json,
             "{\"%s\":\"{\\\"name\\\":\\\"\\\",\\\"schema\\\":\\\"\\\",\\\"type\\\":\\\"%s\\\","
             "\\\"properties\\\":{}}\",\"messages\":[]}",
             member, type);
    is_fine(json);
    cr_assert(eq(int, e.is_bytes, is_bytes));
}

static void schema_is_refused(const char *member, const char *type)
{
    char json[200];

    snprintf(json, sizeof json, "{\"messages\":[],\"%s\":\"{\\\"type\\\":\\\"%s\\\"}\"}",
             member, type);
    cr_assert(eq(int, opened(json), ERR_BAD_INPUT), "%s", json);
    cr_assert(eq(ptr, strstr(reason, "unsupported schema"), reason), "%s", reason);
}

Test(pulsar_envelope, is_an_object_with_messages)
{
    is_fine(" { \"messages\" : [ {} , 1 ] } ");
    cr_assert(bytes_eq(e.messages, bytes_str("[ {} , 1 ]")));
    cr_assert(eq(sz, e.producer.len, 0));
    cr_assert(eq(int, e.is_bytes, false));
}

Test(pulsar_envelope, without_messages_is_refused)
{
    const char *why = "messages is missing, or not an array";

    is_refused("{}", why);
    is_refused("{\"messages\":null}", why);
    is_refused("{\"messages\":{}}", why);
    is_refused("{\"message\":[]}", why);
}

Test(pulsar_envelope, that_is_no_json_is_refused_with_the_place)
{
    is_refused("", "the body is not as expected: the text ends too early, at byte 0");
    is_refused("[]", "the body is not as expected: an object is expected, at byte 0");
    is_refused("{\"messages\":[]} x",
               "the body is not as expected: there is more after the end of the value, at "
               "byte 16");
    is_refused("{\"messages\":[01]}",
               "the body is not as expected: a number may not start with 0, at byte 14");
    is_refused("{\"messages\":[{\"payload\":\"\x01\"}]}",
               "the body is not as expected: raw control character in a string, at byte 25");
    is_refused("{\"messages\":[{\"payload\":\"\xff\"}]}",
               "the body is not as expected: not UTF-8, at byte 25");
}

Test(pulsar_envelope, skips_what_it_does_not_know)
{
    is_fine("{\"context\":{\"a\":[1e999,null]},\"encryptionParam\":[[]],\"messages\":[]}");
}

Test(pulsar_envelope, of_members_with_the_same_name_takes_the_last)
{
    is_fine("{\"messages\":[1],\"producerName\":\"a\",\"producerName\":\"b\",\"messages\":[2]}");
    cr_assert(bytes_eq(e.messages, bytes_str("[2]")));
    cr_assert(bytes_eq(e.producer, bytes_str("b")));
}

Test(pulsar_envelope, names_its_producer)
{
    char json[400] = "{\"producerName\":\"";

    is_fine("{\"messages\":[],\"producerName\":\"t\\u0069ll\"}");
    cr_assert(bytes_eq(e.producer, bytes_str("till")));
    is_fine("{\"messages\":[],\"producerName\":null}");
    is_fine("{\"messages\":[],\"producerName\":\"\"}");
    cr_assert(eq(sz, e.producer.len, 0));
    memset(json + 17, 'x', 256);
    strcpy(json + 17 + 256, "\",\"messages\":[]}");
    cr_assert(eq(int, opened(json), ERR_BAD_INPUT));
    strcpy(json + 17 + 255, "\",\"messages\":[]}");
    is_fine(json);
    cr_assert(eq(int, opened("{\"messages\":[],\"producerName\":7}"), ERR_BAD_INPUT));
    cr_assert(eq(int, opened("{\"messages\":[],\"producerName\":\"\\n\"}"), ERR_BAD_INPUT));
    cr_assert(eq(int, opened("{\"messages\":[],\"producerName\":\"\\ud800\"}"), ERR_BAD_INPUT));
}

Test(pulsar_envelope, knows_two_schemas)
{
    schema_is_fine("valueSchema", "STRING", false);
    schema_is_fine("valueSchema", "BYTES", true);
    schema_is_fine("keySchema", "STRING", false);
    is_fine("{\"valueSchema\":\"\",\"keySchema\":null,\"messages\":[]}");
}

Test(pulsar_envelope, refuses_every_other_schema)
{
    schema_is_refused("valueSchema", "INT64");
    schema_is_refused("valueSchema", "JSON");
    schema_is_refused("valueSchema", "AVRO");
    schema_is_refused("valueSchema", "string");
    schema_is_refused("valueSchema", "");
    schema_is_refused("keySchema", "BYTES");
    schema_is_refused("keySchema", "INT8");
}

Test(pulsar_envelope, refuses_a_schema_that_is_none)
{
    const char *why = "a schema must be a string that holds a JSON object with a type";

    is_refused("{\"messages\":[],\"valueSchema\":{\"type\":\"STRING\"}}", why);
    is_refused("{\"messages\":[],\"valueSchema\":\"STRING\"}", why);
    is_refused("{\"messages\":[],\"valueSchema\":\"{}\"}", why);
    is_refused("{\"messages\":[],\"valueSchema\":\"{\\\"type\\\":\\\"STRING\\\"\"}", why);
    is_refused("{\"messages\":[],\"valueSchema\":\"{\\\"type\\\":\\\"STRING\\\"}}\"}", why);
    is_refused("{\"messages\":[],\"valueSchema\":\"{\\\"type\\\":1}\"}", why);
    is_refused("{\"messages\":[],\"keySchema\":\"\\ud800\"}", why);
}

Test(pulsar_envelope, knows_no_version_of_a_schema_but_the_first)
{
    is_fine("{\"schemaVersion\":-1,\"messages\":[]}");
    is_fine("{\"schemaVersion\":0,\"messages\":[]}");
    is_fine("{\"schemaVersion\":\"0\",\"messages\":[]}");
    cr_assert(eq(int, opened("{\"schemaVersion\":1,\"messages\":[]}"), ERR_BAD_INPUT));
    cr_assert(eq(ptr, strstr(reason, "unsupported schema"), reason));
    is_refused("{\"schemaVersion\":1e400,\"messages\":[]}",
               "schemaVersion must be a whole number");
    is_refused("{\"schemaVersion\":99999999999999999999,\"messages\":[]}",
               "schemaVersion must be a whole number");
}

Test(pulsar_envelope, nests_only_so_deep)
{
    char json[1000] = "{\"messages\":[],\"x\":";
    size_t at = strlen(json);

    memset(json + at, '[', 400);
    memset(json + at + 400, ']', 400);
    strcpy(json + at + 800, "}");
    cr_assert(eq(int, opened(json), ERR_BAD_INPUT));
    cr_assert(ne(ptr, strstr(reason, "nested too deep"), NULL), "%s", reason);
}
