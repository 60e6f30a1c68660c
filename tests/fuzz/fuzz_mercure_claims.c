/* Whatever a token says: read in peace, within its block, and the payload is the same JSON. */
#include "mercure/claims.h"

#include "span.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_inside(const struct mercure_claims *c, struct bytes view)
{
    const char *from = (const char *)c, *at = view.data;

    check(at >= from && at + view.len <= from + c->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mercure_claims *c = NULL;
    const char *why = NULL;

    if (mercure_claims_read(bytes_of(data, len), &c, &why)) {
        check(!c && why);
        return 0;
    }
    check(c->publish_count <= MERCURE_SELECTORS_MAX);
    for (size_t i = 0; i < c->publish_count; i++)
        check_inside(c, c->publish[i]);
    for (size_t i = 0; i < c->subscribe_count; i++)
        check_inside(c, c->subscribe[i]);
    check_inside(c, c->payload);
    check(!c->payload.len || span_is_json(c->payload));
    check(c->bytes <= sizeof *c + len * (1 + sizeof(struct bytes)));
    free(c);
    return 0;
}
