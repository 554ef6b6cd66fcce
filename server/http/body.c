/* Collects the bodies of requests in memory, within a limit for each and a budget for all of
 * them, or discards them. */

#include "server/http/http_parts.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"

#define FIRST_BODY_BYTES (64 * ADL_KIB)

/* Reserves `more` bytes for a body in the budget of all. Whose bodies (by address) would take more
 * than is left then gets no more, except for a single one, so that a client that sends slowly
 * leaves the half to others. Where no address is known, on a Unix socket, only the budget counts.
 */
static bool http_reserve_body(struct adl_http_request *request, size_t more)
{
    struct adl_http *http = request->http;
    const unsigned bucket = request->bucket;
    size_t *own = &http->crowd.bytes[bucket];

    pthread_mutex_lock(&http->lock);
    const size_t left = http->config.bodies_bytes - http->body_bytes;
    const bool fits = more <= left &&
                      (bucket == 0 || *own == request->body_capacity || *own + more <= left - more);
    if (fits) {
        *own += more;
        http->body_bytes += more;
    }
    pthread_mutex_unlock(&http->lock);
    return fits;
}

static void http_return_body(struct adl_http_request *request, size_t bytes)
{
    struct adl_http *http = request->http;

    if (bytes == 0)
        return;
    pthread_mutex_lock(&http->lock);
    http->crowd.bytes[request->bucket] -= bytes;
    http->body_bytes -= bytes;
    pthread_mutex_unlock(&http->lock);
}

void adl_http_release_body(struct adl_http_request *request)
{
    http_return_body(request, request->body_capacity);
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
    size_t capacity = ADL_MAX(request->body_capacity, FIRST_BODY_BYTES);
    size_t more;
    char *body;

    while (capacity < needed)
        capacity *= 2;
    if (request->content_length > 0)
        capacity = ADL_MAX(ADL_MIN(capacity, (size_t)request->content_length), needed);
    more = capacity - request->body_capacity;
    if (!http_reserve_body(request, more))
        return -1;
    body = adl_realloc(request->body, capacity, 1);
    if (!body) {
        http_return_body(request, more);
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
