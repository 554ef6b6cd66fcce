/* The HTTP daemon and the life of a request, on top of libmicrohttpd 0.9.75.
 *
 * DESIGN
 *
 * Threads. accept.c has a thread that accepts connections. The library runs a few I/O
 * threads, each with its own epoll set and its own share of the connections. They read headers and
 * bodies, call the hooks, and write replies; they never do the work that a request asks for,
 * because a thread that computes for 20 ms delays every connection it serves. A hook with such work
 * suspends its request; the thread that finishes the work fills in the reply and resumes the
 * request, after which the I/O thread sends it. One more thread calls adl_http_tend()
 * from time to time (the main thread, which also waits for signals), and linger.c has
 * one that reads from connections that are closing.
 *
 * Ownership and locks. A request has one owner at a time: its I/O thread, or, between
 * adl_http_suspend() and adl_http_resume(), whoever will resume it. Its fields
 * therefore need no lock. `http->lock` protects only what adl_http_tend() looks at: the
 * list of requests that are still arriving with their `late` flags, and the list of
 * open connections with `busy` and `since_ns`. I/O threads hold it for a few
 * instructions, adl_http_tend() while it walks the lists (one recv() that does not block
 * for each entry); nobody holds it during a hook. The two totals (requests in flight,
 * body bytes held) are atomics.
 *
 * Order. For each request the hooks run in the order begin, complete (or refuse), done,
 * and `done` runs exactly once, even if the client disappears. A request leaves the
 * list of arriving requests before its socket is closed, so a descriptor that is found
 * in a list under the lock belongs to that connection.
 *
 * Why nothing cleverer. A server of our own over epoll would avoid every trap below,
 * but would have to parse HTTP from hostile clients; that parser is what the library is
 * used for. A body is collected in memory before anybody looks at it: bodies are bounded,
 * and those who read them need them complete.
 *
 * The traps of the library, and how each is avoided:
 *
 * - Stopping the library shuts its listening socket down for every process that has it,
 *   so it gets none: accept.c accepts, and hands the connections over. Where the library
 *   has as many as it may, it would close a further one, so its own limit is not reached.
 * - A response may be queued in the first call of the handler for a request or in the
 *   last, never while the body arrives. So whatever can be refused is refused in the
 *   first call, from the headers alone (`begin`); a refusal in the middle of a body is
 *   kept until the end, and the rest of the body is read and discarded up to a limit.
 * - If a request is complete and is neither answered nor suspended, the handler is
 *   called again at once: a busy loop. http_handle() does so once (see the next trap), then
 *   one of the two, and suspends before the request is handed to another thread.
 * - A client may close its writing side after the request, as `nc -N` does, and is owed the
 *   answer all the same (RFC 9112, 9.6). The library reads from a resumed connection before
 *   it asks for the reply, if it was reading when the request was suspended, and then takes
 *   the end of the input for the end of the connection. A second call of the handler finds
 *   it no longer reading, so a request is suspended in that one.
 * - A suspended connection does not time out, and a client that disconnects is not
 *   noticed. Whoever works for a suspended request has a deadline of its own and
 *   checks adl_http_client_gone(), which cannot tell a client that has closed its socket
 *   from one that still reads, until it answers something with a reset.
 * - A connection that times out is closed without a response. http_write_reply() writes
 *   the 408 to the socket directly, in the last callback before the close.
 * - The library's timeout restarts with each received byte, including bytes of headers
 *   and the framing of chunks, about which no callback is made: a client that sends one
 *   byte a second is never timed out. http_receive() and adl_http_tend() hold the
 *   request against a total deadline instead.
 * - Closing a socket with unread input makes the kernel reset the connection, and the
 *   client may lose a response that was sent before. Early replies go through linger.c.
 * - %00 in a target would truncate the path, so http_unescape() leaves it encoded.
 * - The library takes a blank before the colon for a part of the name, cuts a line at a
 *   NUL, reads only the first of several Content-Length or Host headers, and treats an
 *   unknown Transfer-Encoding as a body that ends with the connection. A proxy may read
 *   such a request differently, and take for a body what is a second request here
 *   (request smuggling). framing.c finds them, `begin` refuses them, and the connection is
 *   closed.
 * - A request without Host, or whose Content-Length is not a number, is refused by the
 *   library itself, which writes the head of its reply twice. The check of Host is turned
 *   off by MHD_OPTION_STRICT_FOR_CLIENT and made here. The check of Content-Length cannot
 *   be turned off, and its only trace is a message to the log. http_log() answers there
 *   and then, and closes the writing side, so that the library's reply goes nowhere. */

#include "server/http/http.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "server/http/accept.h"
#include "server/http/linger.h"

#define FIRST_BODY_BYTES (64 * ADL_KIB)

/* An open connection; the library keeps it as the connection's socket context. All
 * fields are under the lock. */
struct adl_http_peer {
    int fd;
    struct MHD_Connection *connection;
    uint64_t since_ns; /* time of the last change of `busy`, or of the connect */
    bool busy;         /* a request is being handled */
    bool in_headers;   /* a request line has arrived, and the handler was not called yet */
    pthread_t thread;  /* the I/O thread, once `in_headers` was set */
    struct adl_http_target target; /* of the latest request; only the I/O thread reads it */
    struct adl_http_peer *next, **link;
};

struct adl_http {
    struct adl_http_config config;
    struct MHD_Daemon *daemon;
    struct adl_acceptor *acceptors[ADL_LIMIT_LISTENERS]; /* NULL: not yet, or not any more */
    struct adl_linger *linger;
    _Atomic size_t in_flight;
    _Atomic size_t unstarted;          /* connections handed to the library, not yet in `peers` */
    _Atomic size_t body_bytes;         /* capacity of the bodies of all requests together */
    pthread_mutex_t lock;              /* protects the two lists and their members' links */
    struct adl_http_request *arriving; /* requests whose body is not complete yet */
    struct adl_http_peer *peers;       /* open connections */
};

void *adl_http_context(const struct adl_http_request *request)
{
    return request->http->config.context;
}

const char *adl_http_header(const struct adl_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static bool http_has_elapsed(uint64_t since_ns, unsigned limit_s)
{
    return adl_clock_ms(since_ns, adl_clock_ns()) > limit_s * 1e3;
}

static int http_socket(const struct adl_http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* Whether no more bytes will arrive: the other side has closed its writing side, and all
 * its bytes have been read. Peeking never blocks and consumes nothing. */
static bool http_is_at_end(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* Makes the library see the end of the input, which it misses if it arrived together with
 * the last bytes: shutting down the reading side as well is an event of its own. */
static void http_wake_at_end(int fd)
{
    if (http_is_at_end(fd))
        shutdown(fd, SHUT_RD);
}

bool adl_http_client_gone(const struct adl_http_request *request)
{
    /* Without being asked for, poll() reports a reset and that both sides are closed. */
    struct pollfd state = {.fd = http_socket(request)};
    return poll(&state, 1, 0) > 0;
}

/* --- replies ---------------------------------------------------------------- */

static void http_release_reply(struct adl_http_request *request)
{
    if (request->reply.release)
        request->reply.release((void *)(uintptr_t)request->reply.data);
    request->reply = (struct adl_http_body){0};
}

void adl_http_reply(struct adl_http_request *request, int status, const char *content_type,
                    struct adl_http_body body)
{
    http_release_reply(request);
    request->status = status;
    request->content_type = content_type;
    request->reply = body;
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

static enum MHD_Result http_queue_reply(struct adl_http_request *request)
{
    struct adl_http_body body = request->reply;
    void *data = (void *)(uintptr_t)body.data;
    struct MHD_Response *response =
        body.release
            ? MHD_create_response_from_buffer_with_free_callback(body.length, data, body.release)
            : MHD_create_response_from_buffer(body.length, data, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    /* The response owns the bytes now; the length is still needed for the log. */
    request->reply.data = NULL;
    request->reply.release = NULL;
    if (request->content_type)
        MHD_add_response_header(response, "Content-Type", request->content_type);
    for (size_t i = 0; i < request->header_count; i++)
        MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
    result = MHD_queue_response(request->connection, (unsigned)request->status, response);
    MHD_destroy_response(response);
    request->queued = result == MHD_YES;
    return result;
}

/* Writes the reply to the socket directly, where the library would only close the
 * connection. One non-blocking send: what does not fit into the socket's buffer is lost,
 * which is acceptable for a short problem document. */
static void http_write_reply(struct adl_http_request *request)
{
    struct adl_str text = {0};
    int fd = http_socket(request);

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
    if (!text.failed && fd >= 0 &&
        send(fd, text.data, text.length, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        request->queued = true;
        adl_linger_add(request->http->linger, fd);
    }
    adl_str_release(&text);
}

/* Ends a request whose body is incomplete: a reply, then the connection is closed. */
static enum MHD_Result http_cut_off(struct adl_http_request *request, enum adl_http_refusal why)
{
    if (!request->status)
        request->http->config.hooks.refuse(request, why);
    http_write_reply(request);
    return MHD_NO;
}

/* --- bodies ----------------------------------------------------------------- */

static void http_release_body(struct adl_http_request *request)
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

/* Makes the buffer hold `needed` bytes. The capacity doubles, but does not exceed an
 * announced Content-Length. The additional bytes are reserved in the budget of all
 * bodies first, so that many uploads at once cannot exhaust the memory. Returns -1 if
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
    http_release_body(request);
    request->discard = true;
    request->http->config.hooks.refuse(request, why);
}

/* Takes one piece of the body. At most 1 MiB beyond the limit is read in order to
 * discard it; after that the connection is cut. */
static enum MHD_Result http_receive(struct adl_http_request *request, const char *bytes,
                                    size_t *length)
{
    struct adl_http *http = request->http;

    request->body_bytes += *length;
    if (http_has_elapsed(request->start_ns, http->config.request_s))
        return http_cut_off(request, ADL_HTTP_TOO_SLOW);
    if (!request->discard && request->body_length + *length > request->body_limit)
        http_refuse(request, ADL_HTTP_TOO_LARGE);
    if (request->discard && request->body_bytes > request->body_limit + ADL_MIB)
        return http_cut_off(request, ADL_HTTP_TOO_LARGE);
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

/* --- connections ------------------------------------------------------------ */

static void http_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode what)
{
    struct adl_http *http = cls;
    struct adl_http_peer *peer = *socket_context;
    const union MHD_ConnectionInfo *info;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        atomic_fetch_sub(&http->unstarted, 1);
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        peer = info ? adl_calloc(1, sizeof *peer) : NULL;
        if (!peer)
            return;
        *socket_context = peer;
        peer->fd = info->connect_fd;
        peer->connection = connection;
        peer->since_ns = adl_clock_ns();
        pthread_mutex_lock(&http->lock);
        peer->next = http->peers;
        peer->link = &http->peers;
        if (peer->next)
            peer->next->link = &peer->next;
        http->peers = peer;
        pthread_mutex_unlock(&http->lock);
    } else if (peer) {
        pthread_mutex_lock(&http->lock);
        *peer->link = peer->next;
        if (peer->next)
            peer->next->link = peer->link;
        pthread_mutex_unlock(&http->lock);
        adl_free(peer);
        *socket_context = NULL;
    }
}

static struct adl_http_peer *http_peer(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* Begins (busy) or ends the handling of a request on its connection. */
static void http_set_busy(struct adl_http_request *request, bool busy)
{
    pthread_mutex_lock(&request->http->lock);
    request->peer->busy = busy;
    request->peer->in_headers = false;
    request->peer->since_ns = adl_clock_ns();
    pthread_mutex_unlock(&request->http->lock);
}

/* Called with the target of each request, as it arrived, before its headers are parsed.
 * The result is the initial context of the request. */
static void *http_on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct adl_http *http = cls;
    struct adl_http_peer *peer = http_peer(connection);

    if (!peer)
        return NULL;
    peer->target = adl_http_target_read(target);
    pthread_mutex_lock(&http->lock);
    peer->in_headers = true;
    peer->thread = pthread_self();
    pthread_mutex_unlock(&http->lock);
    return NULL;
}

/* --- the life of a request ---------------------------------------------------- */

/* The last of the X-Forwarded-For headers, in their order. */
struct forwarded {
    const char *values[8];
    size_t count;
};

static enum MHD_Result http_collect_forwarded(void *cls, enum MHD_ValueKind kind, const char *name,
                                              const char *value)
{
    struct forwarded *forwarded = cls;

    (void)kind;
    if (!value || strcasecmp(name, "X-Forwarded-For") != 0)
        return MHD_YES;
    if (forwarded->count == ADL_COUNT(forwarded->values))
        memmove(forwarded->values, forwarded->values + 1,
                --forwarded->count * sizeof forwarded->values[0]);
    forwarded->values[forwarded->count++] = value;
    return MHD_YES;
}

static void http_find_remote(struct adl_http_request *request)
{
    const struct adl_proxies *proxies = request->http->config.proxies;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct forwarded forwarded = {.count = 0};

    if (proxies)
        MHD_get_connection_values(request->connection, MHD_HEADER_KIND, http_collect_forwarded,
                                  &forwarded);
    adl_proxies_client(proxies, info ? info->client_addr : NULL, forwarded.values, forwarded.count,
                       request->remote);
}

static void http_add_arriving(struct adl_http_request *request)
{
    struct adl_http *http = request->http;

    pthread_mutex_lock(&http->lock);
    request->next = http->arriving;
    request->link = &http->arriving;
    if (request->next)
        request->next->link = &request->next;
    http->arriving = request;
    pthread_mutex_unlock(&http->lock);
}

static void http_remove_arriving(struct adl_http_request *request)
{
    pthread_mutex_lock(&request->http->lock);
    if (request->link) {
        *request->link = request->next;
        if (request->next)
            request->next->link = request->link;
        request->link = NULL;
    }
    pthread_mutex_unlock(&request->http->lock);
}

/* Finds the host that the client asks for. A client that takes the server for a proxy
 * sends an absolute URL as the target; its host takes precedence over the Host header
 * (RFC 9112, 3.2.2). */
static void http_find_host(struct adl_http_request *request)
{
    const char *at = request->path;
    size_t scheme = !strncasecmp(at, "http://", 7) ? 7 : !strncasecmp(at, "https://", 8) ? 8 : 0;
    size_t length = strcspn(at + scheme, "/");

    request->host = adl_http_header(request, "Host");
    if (scheme == 0 || length == 0 || length >= sizeof request->target_host)
        return;
    snprintf(request->target_host, sizeof request->target_host, "%.*s", (int)length, at + scheme);
    request->host = request->target_host;
    request->path = at[scheme + length] ? at + scheme + length : "/";
}

static struct adl_http_request *http_begin(struct adl_http *http, struct MHD_Connection *connection,
                                           const char *path, const char *method,
                                           const char *version)
{
    struct adl_http_peer *peer = http_peer(connection);
    struct adl_http_request *request = peer ? adl_calloc(1, sizeof *request) : NULL;
    const char *length, *coding;

    if (!request)
        return NULL;
    request->peer = peer;
    request->http = http;
    request->connection = connection;
    request->method = method;
    request->path = path;
    request->start_ns = adl_clock_ns();
    request->discard = true;
    request->content_length = -1;
    http_find_remote(request);
    http_find_host(request);
    request->framing = adl_http_framing_of(connection, &peer->target, method, version);
    length = adl_http_header(request, "Content-Length");
    coding = adl_http_header(request, "Transfer-Encoding");
    if (length && !coding)
        request->content_length = strtoll(length, NULL, 10);
    request->has_body = coding || request->content_length > 0;
    atomic_fetch_add(&http->in_flight, 1);
    http_set_busy(request, true);
    http_add_arriving(request);
    http->config.hooks.begin(request);
    return request;
}

/* The library's handler. It is called once with the headers, then for each piece of the
 * body, then with *upload_data_size == 0, and once more after a resume. */
static enum MHD_Result http_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **con_cls)
{
    struct adl_http *http = cls;
    struct adl_http_request *request = *con_cls;

    if (!request) {
        *con_cls = request = http_begin(http, connection, url, method, version);
        if (!request)
            return MHD_NO;
        /* After an ambiguous request, what follows may belong to its body. */
        if (request->status && (request->has_body || request->framing != ADL_HTTP_FRAMING_CLEAR)) {
            request->early = true;
            return http_queue_reply(request);
        }
        return MHD_YES;
    }
    if (*upload_data_size > 0)
        return http_receive(request, upload_data, upload_data_size);
    if (!request->received) {
        request->received = true;
        http_remove_arriving(request);
        if (!request->status && !request->late)
            return MHD_YES; /* the library calls again at once */
    }
    if (!request->completed) {
        request->completed = true;
        if (request->late)
            return http_cut_off(request, ADL_HTTP_TOO_SLOW);
        if (!request->status)
            http->config.hooks.complete(request);
        if (request->suspended)
            return MHD_YES; /* another thread may own the request already */
    }
    return request->status ? http_queue_reply(request) : MHD_NO;
}

/* Ends and frees a request. */
static void http_end(struct adl_http_request *request, bool sent)
{
    struct adl_http *http = request->http;

    http->config.hooks.done(request, sent);
    http_release_reply(request);
    http_release_body(request);
    adl_free(request);
    atomic_fetch_sub(&http->in_flight, 1);
}

static void http_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                           enum MHD_RequestTerminationCode why)
{
    struct adl_http *http = cls;
    struct adl_http_request *request = *con_cls;

    (void)connection;
    if (!request)
        return;
    *con_cls = NULL;
    http_remove_arriving(request);
    http_set_busy(request, false);
    http_wake_at_end(http_socket(request));
    if ((why == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED || request->late) && !request->completed &&
        !request->queued)
        http_cut_off(request, ADL_HTTP_TOO_SLOW);
    if (request->early && why == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        adl_linger_add(http->linger, http_socket(request));
    http_end(request, request->queued && why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

void adl_http_suspend(struct adl_http_request *request)
{
    request->suspended = true;
    MHD_suspend_connection(request->connection);
}

void adl_http_resume(struct adl_http_request *request)
{
    struct MHD_Connection *connection = request->connection;
    MHD_resume_connection(connection);
}

/* Percent-decoding in place, like the library's own, except that %00 stays encoded: a
 * NUL would truncate the path or the value. */
static size_t http_unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    char *out = text;

    (void)cls;
    (void)connection;
    for (const char *in = text; *in; in++) {
        char digits[3] = {0}, *end;
        unsigned long byte = 0;
        if (*in == '%' && in[1] && in[2]) {
            memcpy(digits, in + 1, 2);
            byte = strtoul(digits, &end, 16);
            if (end != digits + 2 || !isxdigit((unsigned char)digits[0]))
                byte = 0;
        }
        *out++ = byte ? (char)byte : *in;
        in += byte ? 2 : 0;
    }
    *out = '\0';
    return (size_t)(out - text);
}

/* --- the daemon --------------------------------------------------------------- */

/* The connection of this I/O thread whose headers the library is checking now: those of
 * others are not complete, or are refused already, or their handler was called. */
static struct adl_http_peer *http_find_checked(struct adl_http *http)
{
    struct adl_http_peer *peer;

    pthread_mutex_lock(&http->lock);
    for (peer = http->peers; peer; peer = peer->next)
        if (peer->in_headers && pthread_equal(peer->thread, pthread_self()) &&
            MHD_get_connection_info(peer->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) &&
            !MHD_get_connection_info(peer->connection, MHD_CONNECTION_INFO_HTTP_STATUS))
            break;
    pthread_mutex_unlock(&http->lock);
    return peer;
}

/* Answers a request whose Content-Length the library is about to refuse. */
static void http_refuse_length(struct adl_http *http)
{
    struct adl_http_peer *peer = http_find_checked(http);
    struct adl_http_request *request;

    if (!peer || !peer->target.text)
        return;
    request = http_begin(http, peer->connection, peer->target.text, "", peer->target.end + 1);
    if (!request)
        return;
    http_remove_arriving(request);
    http_set_busy(request, false);
    if (request->status)
        http_write_reply(request);
    http_end(request, request->queued);
}

static void http_log(void *cls, const char *fmt, va_list args)
{
    struct adl_http *http = cls;
    char text[500];
    size_t length;

    vsnprintf(text, sizeof text, fmt, args);
    length = strlen(text);
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    http->config.hooks.log(text);
    if (!strncmp(text, "Failed to parse `Content-Length'", 32) ||
        !strncmp(text, "Too large value of 'Content-Length'", 35))
        http_refuse_length(http);
}

struct adl_http *adl_http_start(const struct adl_http_config *config, struct adl_error *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET;
    struct adl_http *http = adl_calloc(1, sizeof *http);

    if (!http) {
        adl_fail_nomem(err, "the server");
        return NULL;
    }
    http->config = *config;
    pthread_mutex_init(&http->lock, NULL);
    http->linger = adl_linger_create(err);
    if (!http->linger)
        goto out;
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, http_handle, http, MHD_OPTION_EXTERNAL_LOGGER, http_log, http,
        MHD_OPTION_THREAD_POOL_SIZE, config->io_threads, MHD_OPTION_CONNECTION_LIMIT,
        config->connections * (config->io_threads + 1), MHD_OPTION_CONNECTION_TIMEOUT,
        config->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, ADL_LIMIT_CONNECTION_BYTES,
        MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, http, MHD_OPTION_NOTIFY_COMPLETED,
        http_completed, http, MHD_OPTION_UNESCAPE_CALLBACK, http_unescape, NULL,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_URI_LOG_CALLBACK, http_on_target, http,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (!http->daemon) {
        adl_fail(err, ADL_ERR_IO,
                 "cannot start the HTTP server; check the limits on memory, threads and file "
                 "descriptors");
        goto out;
    }
    return http;
out:
    adl_linger_free(http->linger);
    pthread_mutex_destroy(&http->lock);
    adl_free(http);
    return NULL;
}

/* Hands an accepted connection to the library, which closes it if that fails. */
static void http_take(void *context, int fd, const struct sockaddr *address, socklen_t length)
{
    struct adl_http *http = context;

    atomic_fetch_add(&http->unstarted, 1);
    if (MHD_add_connection(http->daemon, fd, address, length) != MHD_YES)
        atomic_fetch_sub(&http->unstarted, 1);
}

static bool http_is_full(void *context)
{
    struct adl_http *http = context;
    return adl_http_connections(http) + atomic_load(&http->unstarted) >= http->config.connections;
}

int adl_http_accept(struct adl_http *http, struct adl_error *err)
{
    struct adl_acceptor_config config = {.take = http_take, .full = http_is_full, .context = http};

    for (size_t i = 0; i < http->config.listen_count; i++) {
        config.fd = http->config.listen_fds[i];
        http->acceptors[i] = adl_acceptor_start(&config, err);
        if (!http->acceptors[i])
            return -1;
        http->config.listen_fds[i] = -1;
    }
    return 0;
}

void adl_http_stop_accepting(struct adl_http *http, bool rest)
{
    for (size_t i = 0; i < http->config.listen_count; i++) {
        adl_acceptor_stop(http->acceptors[i], rest);
        http->acceptors[i] = NULL;
        if (http->config.listen_fds[i] >= 0)
            close(http->config.listen_fds[i]);
        http->config.listen_fds[i] = -1;
    }
}

/* Shutting down a socket's reading side wakes the library, which then sees the end of
 * the connection. */
void adl_http_tend(struct adl_http *http)
{
    unsigned request_s = http->config.request_s;

    pthread_mutex_lock(&http->lock);
    for (struct adl_http_request *r = http->arriving; r; r = r->next) {
        if (r->late)
            continue;
        r->late = http_has_elapsed(r->start_ns, request_s);
        /* The writing side stays open for the 408, or for a reply that is being sent. */
        if (r->late)
            shutdown(http_socket(r), SHUT_RD);
        else
            http_wake_at_end(http_socket(r));
    }
    for (struct adl_http_peer *p = http->peers; p; p = p->next) {
        if (!p->busy && http_has_elapsed(p->since_ns, http->config.idle_s + request_s))
            shutdown(p->fd, SHUT_RDWR);
        else if (!p->busy)
            http_wake_at_end(p->fd);
    }
    pthread_mutex_unlock(&http->lock);
}

size_t adl_http_in_flight(const struct adl_http *http)
{
    return atomic_load(&http->in_flight);
}

size_t adl_http_connections(const struct adl_http *http)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? info->num_connections : 0;
}

size_t adl_http_unsettled(struct adl_http *http, unsigned recent_ms)
{
    size_t count = atomic_load(&http->unstarted);
    uint64_t now = adl_clock_ns();
    int unread;

    pthread_mutex_lock(&http->lock);
    for (struct adl_http_peer *p = http->peers; p; p = p->next)
        if (p->busy || adl_clock_ms(p->since_ns, now) < recent_ms ||
            (ioctl(p->fd, FIONREAD, &unread) == 0 && unread > 0))
            count++;
    pthread_mutex_unlock(&http->lock);
    return count;
}

void adl_http_stop(struct adl_http *http)
{
    adl_http_stop_accepting(http, false);
    MHD_stop_daemon(http->daemon);
    adl_linger_free(http->linger);
    pthread_mutex_destroy(&http->lock);
    adl_free(http);
}
