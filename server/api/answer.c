/* Answers exchanges: with problem documents, JSON, text or bytes. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/json_text.h"
#include "server/api/server.h"
#include "server/http/coding.h"
#include "server/tasks/reply_json.h"

static void no_store(struct adl_exchange *exchange)
{
    adl_http_add_header(exchange->http, "Cache-Control", "no-store");
}

/* Returns the JSON as text with a newline (and no NUL), to be freed with adl_free; NULL if
 * there is not enough memory. Takes ownership of the JSON. */
static char *dump(json_t *json, size_t *length)
{
    struct adl_error none = {0};
    char *text = adl_json_to_text(json, ADL_REPLY_JSON_FLAGS, length, &none);

    if (text)
        text[(*length)++] = '\n'; /* in place of the NUL */
    json_decref(json);
    return text;
}

size_t adl_exchange_bytes_out(const struct adl_exchange *exchange)
{
    const bool none = exchange->method == ADL_METHOD_HEAD || exchange->http->status == 304;
    return none ? 0 : exchange->http->reply.length;
}

bool adl_exchange_is_inference(const struct adl_http_request *http)
{
    return http->path && !strncmp(http->path, "/v2", 3) && (!http->path[3] || http->path[3] == '/');
}

void adl_answer_no_memory(struct adl_http_request *http)
{
    static const char plain[] = "{\"error\":\"there is not enough memory for the reply\"}\n";
    static const char text[] = "{\"type\":\"/problems/out-of-memory\",\"title\":\"The server is "
                               "out of memory\",\"status\":503,\"detail\":\"there is not enough "
                               "memory for the reply\"}\n";

    adl_http_add_header(http, "Retry-After", "1");
    adl_http_add_header(http, "Cache-Control", "no-store");
    if (adl_exchange_is_inference(http)) {
        adl_http_reply(http, 503, "application/json",
                       (struct adl_http_body){plain, sizeof plain - 1, NULL});
        return;
    }
    adl_http_reply(http, 503, "application/problem+json",
                   (struct adl_http_body){text, sizeof text - 1, NULL});
}

void adl_answer_problem(struct adl_exchange *exchange, enum adl_problem problem,
                        unsigned retry_after_s, const char *fmt, ...)
{
    struct adl_http_body body = {.release = adl_free};
    char detail[sizeof((struct adl_error *)0)->message];
    const bool inference = adl_exchange_is_inference(exchange->http);
    va_list args;

    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    exchange->problem = problem;
    body.data = dump(inference ? json_pack("{s:o}", "error", adl_json_from_text(detail))
                               : adl_problem_json(problem, detail, exchange->request_id),
                     &body.length);
    if (!body.data) {
        exchange->problem = ADL_PROBLEM_OUT_OF_MEMORY;
        adl_answer_no_memory(exchange->http);
        return;
    }
    if (retry_after_s > 0)
        adl_http_add_header(exchange->http, "Retry-After", "%u", retry_after_s);
    no_store(exchange);
    adl_http_reply(exchange->http, adl_problem_row(problem)->status,
                   inference ? "application/json" : "application/problem+json", body);
}

void adl_answer_bytes(struct adl_exchange *exchange, const char *type, void *bytes, size_t length)
{
    no_store(exchange);
    adl_http_reply(exchange->http, 200, type, (struct adl_http_body){bytes, length, adl_free});
}

void adl_answer_json(struct adl_exchange *exchange, json_t *json)
{
    size_t length;
    char *text = dump(json, &length);

    if (!text)
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1,
                           "there is not enough memory for the reply");
    else
        adl_answer_bytes(exchange, "application/json", text, length);
}

void adl_answer_text(struct adl_exchange *exchange, int status, const char *type,
                     struct adl_str *text)
{
    struct adl_error err = {0};
    size_t length;
    char *bytes = adl_str_take(text, &length, &err);

    if (!bytes) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1,
                           "there is not enough memory for the reply");
        return;
    }
    no_store(exchange);
    adl_http_reply(exchange->http, status, type, (struct adl_http_body){bytes, length, adl_free});
}

/* Below this, the headers of a compressed answer and a packet's size leave nothing to gain; above,
 * compressing would hold the thread that answers everybody for too long. */
#define LEAST_PACKED 1024
#define MOST_PACKED (1 << 20)

void adl_answer_packed(struct adl_exchange *exchange, int status, const char *type,
                       struct adl_str *text)
{
    const char *accept = adl_http_header(exchange->http, "Accept-Encoding");
    /* Any length below that of the text: which it is will be known afterwards. */
    const size_t lengths[ADL_CODINGS] = {text->length, 1, 0};
    size_t length = 0;
    void *packed = NULL;

    if (!text->failed && text->length >= LEAST_PACKED && text->length <= MOST_PACKED) {
        adl_http_add_header(exchange->http, "Vary", "Accept-Encoding");
        if (adl_coding_choose(accept, lengths) == ADL_CODING_GZIP)
            packed = adl_coding_gzip(text->data, text->length, &length);
    }
    if (!packed) {
        adl_answer_text(exchange, status, type, text);
        return;
    }
    adl_str_release(text);
    no_store(exchange);
    adl_http_add_header(exchange->http, "Content-Encoding", "gzip");
    adl_http_reply(exchange->http, status, type, (struct adl_http_body){packed, length, adl_free});
}
