#include "mercure/answer.h"

#include "mercure/cors.h"
#include "request.h"

void mercure_answer_headers(struct request *r)
{
    reply_header(r, "X-Content-Type-Options", "nosniff");
    reply_header(r, "X-Frame-Options", "DENY");
    reply_header(r, "X-XSS-Protection", "1; mode=block");
    reply_header(r, "Content-Security-Policy", "default-src 'self'");
    mercure_cors_headers(r);
}

static void write_message(struct out *o, const struct problem_view *v)
{
    out_text(o, v->detail);
    out_text(o, "\n");
}

const struct dialect dialect_mercure = { .content_type = "text/plain; charset=utf-8",
                                         .write = write_message,
                                         .headers = mercure_answer_headers,
                                         .preflight = mercure_cors_preflight };
