/* Collects the bodies of requests in memory, within a limit for each and a budget for all of
 * them, or discards them. */

#include "server/http/http_parts.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"

#define FIRST_BODY_BYTES (64 * ADL_KIB)

void adl_http_release_body(struct adl_http_request *request)
{
    atomic_fetch_sub(&request->http->body_bytes, request->body_capacity);
    adl_free(request->body);
    request->body = NULL;
    request->body_capacity = 0;
}

void adl_http_take_body(struct adl_http_request *request, size_t limit)
{
    request->body_limit = limit;
    request->discard = false;
}

/* Enlarges the buffer to hold `needed` bytes. The capacity doubles, but does not exceed an
 * announced Content-Length. The additional bytes are reserved in the budget of all
 * bodies first, so that many simultaneous uploads cannot exhaust the memory. Returns -1 if
 * the budget or the memory does not suffice. */
static int http_grow_body(struct adl_http_request *request, size_t needed)
{
    struct adl_http *http = request->http;
    size_t capacity = ADL_MAX(request->body_capacity, FIRST_BODY_BYTES);
    size_t more;
    char *body;

    while (capacity < needed)
        capacity *= 2;
    if (request->content_length > 0)
        capacity = ADL_MAX(ADL_MIN(capacity, (size_t)request->content_length), needed);
    more = capacity - request->body_capacity;
    if (atomic_fetch_add(&http->body_bytes, more) + more > http->config.bodies_bytes) {
        atomic_fetch_sub(&http->body_bytes, more);
        return -1;
    }
    body = adl_realloc(request->body, capacity, 1);
    if (!body) {
        atomic_fetch_sub(&http->body_bytes, more);
        return -1;
    }
    request->body = body;
    request->body_capacity = capacity;
    return 0;
}

/* Refuses a request in the middle of its body. No response can be queued now, so the
 * rest of the body is read and discarded, and the reply is sent at its end. */
static void http_refuse(struct adl_http_request *request, enum adl_http_refusal why)
{
    adl_http_release_body(request);
    request->discard = true;
    request->http->config.hooks.refuse(request, why);
}

/* Stores or discards one piece of the body. At most 1 MiB beyond the limit is read in order
 * to discard it; after that the connection is closed. */
enum MHD_Result adl_http_receive(struct adl_http_request *request, const char *bytes,
                                 size_t *length)
{
    struct adl_http *http = request->http;

    request->body_bytes += *length;
    if (adl_http_elapsed(request->start_ns, http->config.request_s))
        return adl_http_cut_off(request, ADL_HTTP_TOO_SLOW);
    if (!request->discard && request->body_length + *length > request->body_limit)
        http_refuse(request, ADL_HTTP_TOO_LARGE);
    if (request->discard && request->body_bytes > request->body_limit + ADL_MIB)
        return adl_http_cut_off(request, ADL_HTTP_TOO_LARGE);
    if (!request->discard && request->body_length + *length > request->body_capacity &&
        http_grow_body(request, request->body_length + *length) < 0)
        http_refuse(request, ADL_HTTP_NO_MEMORY);
    if (!request->discard) {
        memcpy(request->body + request->body_length, bytes, *length);
        request->body_length += *length;
    }
    *length = 0;
    return MHD_YES;
}
