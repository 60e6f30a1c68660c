#include "embedded.h"

#include "etag.h"

bool embedded_reply(struct request *r, const struct embedded_file *f)
{
    bool known = etag_is_known(r, f->etag);

    if (known)
        reply_empty(r, MHD_HTTP_NOT_MODIFIED);
    else
        reply_static(r, MHD_HTTP_OK, f->content_type, bytes_of(f->data, f->len));
    reply_header(r, MHD_HTTP_HEADER_ETAG, f->etag);
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache"); /* kept, but asked for */
    return !known;
}
