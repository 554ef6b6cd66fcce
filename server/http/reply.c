/* Sends replies: through the library, or directly to the socket if the library would only
 * close the connection. */

#include "server/http/http_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "server/http/tls.h"

void adl_http_release_reply(struct adl_http_request *request)
{
    if (request->reply.release)
        request->reply.release((void *)(uintptr_t)request->reply.data);
    if (request->from_file)
        close(request->fd);
    request->from_file = false;
    request->reply = (struct adl_http_body){0};
}

void adl_http_reply(struct adl_http_request *request, int status, const char *content_type,
                    struct adl_http_body body)
{
    adl_http_release_reply(request);
    request->status = status;
    request->content_type = content_type;
    request->reply = body;
}

void adl_http_reply_file(struct adl_http_request *request, int status, const char *content_type,
                         int fd, uint64_t offset, size_t length)
{
    adl_http_reply(request, status, content_type, (struct adl_http_body){.length = length});
    request->from_file = true;
    request->fd = fd;
    request->offset = offset;
}

void adl_http_add_header(struct adl_http_request *request, const char *name, const char *fmt, ...)
{
    struct adl_http_header *header = &request->headers[request->header_count];
    va_list args;

    if (request->header_count == ADL_HTTP_HEADERS)
        return;
    header->name = name;
    va_start(args, fmt);
    vsnprintf(header->value, sizeof header->value, fmt, args);
    va_end(args);
    request->header_count++;
}

/* The least rate at which a long reply has to be read, besides the time of a request: a reply that
 * nobody reads takes memory. */
#define SEND_BYTES_PER_S (64 * ADL_KIB)

static void limit_sending(struct adl_http_request *request, size_t length)
{
    struct adl_http *http = request->http;
    uint64_t seconds = http->config.request_s + length / SEND_BYTES_PER_S;

    if (length < SEND_BYTES_PER_S)
        return;
    pthread_mutex_lock(&http->lock);
    request->peer->send_by_ns = adl_clock_ns() + seconds * 1000000000;
    pthread_mutex_unlock(&http->lock);
}

enum MHD_Result adl_http_queue_reply(struct adl_http_request *request)
{
    struct adl_http_body body = request->reply;
    void *data = (void *)(uintptr_t)body.data;
    struct MHD_Response *response =
        request->from_file
            ? MHD_create_response_from_fd_at_offset64(body.length, request->fd, request->offset)
        : body.release
            ? MHD_create_response_from_buffer_with_free_callback(body.length, data, body.release)
            : MHD_create_response_from_buffer(body.length, data, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    /* The response owns the bytes now; the length is still needed for the log. */
    request->reply.data = NULL;
    request->reply.release = NULL;
    request->from_file = false;
    if (request->content_type)
        MHD_add_response_header(response, "Content-Type", request->content_type);
    for (size_t i = 0; i < request->header_count; i++)
        MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
    result = MHD_queue_response(request->connection, (unsigned)request->status, response);
    MHD_destroy_response(response);
    request->queued = result == MHD_YES;
    limit_sending(request, body.length);
    return result;
}

static ssize_t send_now(struct adl_http_request *request, int fd, const void *bytes, size_t length)
{
    if (request->http->config.tls)
        return adl_tls_send(request->connection, bytes, length);
    return send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Writes the reply to the socket directly, because the library would only close the
 * connection. It is one send that does not block: bytes that do not fit into the socket's
 * buffer are lost, which is acceptable for a short problem document. */
void adl_http_write_reply(struct adl_http_request *request)
{
    struct adl_str text = {0};
    int fd = adl_http_socket(request);

    if (request->from_file)
        return; /* such a reply answers a request that is complete */
    adl_str_printf(&text, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
                   request->status, MHD_get_reason_phrase_for((unsigned)request->status),
                   request->reply.length);
    if (request->content_type)
        adl_str_printf(&text, "Content-Type: %s\r\n", request->content_type);
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i].name, "Connection") != 0)
            adl_str_printf(&text, "%s: %s\r\n", request->headers[i].name,
                           request->headers[i].value);
    adl_str_puts(&text, "\r\n");
    if (strcasecmp(request->method, "HEAD") != 0)
        adl_str_append(&text, request->reply.data, request->reply.length);
    if (!text.failed && fd >= 0 && send_now(request, fd, text.data, text.length) > 0) {
        request->queued = true;
        adl_linger_add(request->http->linger, fd);
    }
    adl_str_release(&text);
}

/* Ends a request whose body is incomplete: writes a reply and makes the library close the
 * connection. */
enum MHD_Result adl_http_cut_off(struct adl_http_request *request, enum adl_http_refusal why)
{
    if (!request->status)
        request->http->config.hooks.refuse(request, why);
    adl_http_write_reply(request);
    return MHD_NO;
}
