#include "etag.h"

#include "request.h"

bool etag_is_known(const struct request *r, const char *tag)
{
    const char *known = request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH);

    return known && (strstr(known, tag) || !strcmp(known, "*"));
}

bool etag_part_fits(const struct request *r, const char *tag)
{
    const char *of = request_header(r, MHD_HTTP_HEADER_IF_RANGE);

    return !of || !strcmp(of, tag);
}
