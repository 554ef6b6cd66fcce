/* Runs the HTTP daemon and takes each request through its hooks, on top of libmicrohttpd
 * 0.9.75.
 *
 * DESIGN
 *
 * Threads. accept.c has a thread for each listening socket, which accepts its connections. The
 * library runs a few I/O threads, each with an epoll set and a part of the connections. They
 * read headers and bodies, call the hooks, and write replies; they never do the computation
 * that a request needs, because a thread that computes for 20 ms delays every connection it
 * serves. A hook that needs such computation suspends its request; the thread that finishes it
 * fills in the reply and resumes the request, after which the I/O thread sends the reply. One
 * more thread (the main thread, which also waits for signals) calls
 * adl_http_enforce_deadlines() from time to time, and linger.c has one that reads from
 * connections that are closing.
 *
 * Ownership and locks. A request has one owner at a time: its I/O thread, or, between
 * adl_http_suspend() and adl_http_resume(), the thread that will resume it. Its fields
 * therefore need no lock. `http->lock` protects only the list of requests that are still
 * arriving, with their `late` flags, and the list of open connections with their fields. The
 * I/O threads hold it for a few instructions, adl_http_enforce_deadlines() and
 * adl_http_unsettled() while they go through the lists (one system call that does not block
 * for each entry); no thread holds it during a hook. The totals (requests in flight, body
 * bytes held, connections not yet in the list) are atomics.
 *
 * Order. For each request the hooks run in the order begin, complete (or refuse), done,
 * and `done` runs exactly once, even if the client disappears. A request leaves the
 * list of arriving requests before its socket is closed, so a descriptor that is found
 * in a list under the lock belongs to that connection.
 *
 * Why not a server without the library. One written directly over epoll would avoid every
 * trap below, but would have to parse HTTP from hostile clients; the library is used for its
 * parser. A body is collected in memory before any of it is parsed: bodies are bounded, and
 * the decoders need them complete.
 *
 * The traps of the library, and how each is avoided:
 *
 * - Stopping the library shuts its listening socket down for every process that has it open,
 *   so it gets none: accept.c accepts the connections and passes them to the library. At its
 *   connection limit the library would close a further connection at once, so its limit is
 *   set higher than that of the acceptor.
 * - A response may be queued in the first call of the handler for a request or in the
 *   last, never while the body arrives. So every refusal that is possible from the headers
 *   alone happens in the first call (`begin`); a refusal in the middle of a body is
 *   kept until the end, and the rest of the body is read and discarded up to a limit.
 * - If a request is complete and is neither answered nor suspended, the handler is called
 *   again at once: a busy loop. http_handle() leaves a request in this state only once (see
 *   the next trap); after that it answers or suspends it, and it suspends it before the
 *   request is passed to another thread.
 * - A client may close its writing side after the request, as `nc -N` does, and must still get
 *   the answer (RFC 9112, 9.6). If the library was reading from a connection when the request
 *   was suspended, it reads again after the resume, before it calls the handler for the reply,
 *   and then takes the end of the input for the end of the connection. In the second call of
 *   the handler the library is no longer reading, so a request is suspended in that call.
 * - A suspended connection does not time out, and a client that disconnects is not
 *   noticed. Every thread that works for a suspended request has a deadline and checks
 *   adl_http_client_gone(). That function cannot distinguish a client that has closed its
 *   socket from one that still reads, until the client's kernel answers something with a reset.
 * - A connection that times out is closed without a response. adl_http_write_reply() writes
 *   the 408 to the socket directly, in the last callback before the close.
 * - The library's timeout restarts with each received byte, including bytes of headers
 *   and the framing of chunks, about which no callback is made: a client that sends one
 *   byte a second is never timed out. adl_http_receive() and adl_http_enforce_deadlines()
 *   therefore apply a deadline to the whole request.
 * - Closing a socket with unread input makes the kernel reset the connection, and the
 *   client may lose a response that was sent before. Early replies go through linger.c.
 * - %00 in a target would truncate the path, so http_unescape() leaves it encoded.
 * - The library takes a blank before the colon for a part of the name, cuts a line at a
 *   NUL, reads only the first of several Content-Length or Host headers, and treats an
 *   unknown Transfer-Encoding as a body that ends with the connection. A proxy may read
 *   such a request differently, and take bytes for a part of the body that are a second
 *   request here (request smuggling). framing.c detects such requests, `begin` refuses them,
 *   and the connection is closed.
 * - It takes a line that begins with a NUL for one of the empty lines that may precede a request,
 *   without a sign of it. connection.c refuses the first line of a connection, if it is there by
 *   then; any other has the time of --header-timeout for the request that should follow.
 * - A request without Host, or whose Content-Length is not a number, is refused by the
 *   library itself, which writes the head of its reply twice. The check of Host is turned
 *   off by MHD_OPTION_STRICT_FOR_CLIENT and made here. The check of Content-Length cannot
 *   be turned off, and the only sign of a refusal is a message to the log. http_log() answers
 *   when it gets this message, and closes the writing side, so that the library's reply is
 *   not sent. The same is done for the line of a chunk's size that does not fit into its buffer,
 *   which it answers with 500. */

#include "server/http/http.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "server/http/http_parts.h"
#include "server/http/tls.h"

void *adl_http_context(const struct adl_http_request *request)
{
    return request->http->config.context;
}

const char *adl_http_header(const struct adl_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
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
    request->bucket = adl_crowd_bucket_of(&request->http->crowd, request->remote);
}

/* Sets request->host. A client that takes the server for a proxy sends an absolute URL as the
 * target; the host in that URL takes precedence over the Host header (RFC 9112, 3.2.2). */
static void http_find_host(struct adl_http_request *request)
{
    const char *url = request->path;
    size_t scheme = !strncasecmp(url, "http://", 7) ? 7 : !strncasecmp(url, "https://", 8) ? 8 : 0;
    size_t length = strcspn(url + scheme, "/");

    request->host = adl_http_header(request, "Host");
    if (scheme == 0 || length == 0 || length >= sizeof request->target_host)
        return;
    snprintf(request->target_host, sizeof request->target_host, "%.*s", (int)length, url + scheme);
    request->host = request->target_host;
    request->path = url[scheme + length] ? url + scheme + length : "/";
}

static struct adl_http_request *http_begin(struct adl_http *http, struct MHD_Connection *connection,
                                           const char *path, const char *method,
                                           const char *version)
{
    struct adl_http_peer *peer = adl_http_peer_of(connection);
    struct adl_http_request *request = peer ? adl_calloc(1, sizeof *request) : NULL;
    const char *length, *coding;

    if (!request)
        return NULL;
    request->peer = peer;
    request->http = http;
    request->connection = connection;
    request->method = method;
    request->path = path;
    request->version = version;
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
    adl_http_set_busy(request, true);
    adl_http_add_arriving(request);
    http->config.hooks.begin(request);
    return request;
}

/* A body that is read only to keep the connection: reading it takes less time than the client's
 * next connection would. */
#define SKIPPED_BODY_BYTES ADL_MIB

/* Returns whether a request that was refused for want of capacity, or for its rate, keeps its
 * connection: its body is discarded, and the reply is sent after it. Such clients come again, and
 * all at once. */
static bool http_skips_body(const struct adl_http_request *request)
{
    return (request->status == 503 || request->status == 429) &&
           request->framing == ADL_HTTP_FRAMING_CLEAR && request->content_length > 0 &&
           (size_t)request->content_length <= SKIPPED_BODY_BYTES &&
           !adl_http_header(request, "Expect");
}

/* Holds the refusal of a request back, if it is one for want of capacity that was not held yet: its
 * client will come again at once, whether the request was refused from its head, when its body was
 * there, or when another took its place. The body is not needed any more. */
static bool http_hold(struct adl_http_request *request)
{
    if (request->held || !request->has_body || (request->status != 503 && request->status != 429))
        return false;
    request->held = true;
    adl_http_release_body(request);
    adl_http_suspend(request);
    if (!adl_delay_add(request->http->delay, request))
        adl_http_resume(request);
    return true;
}

/* Handles a request. The library calls this once with the headers, then for each piece of the
 * body, then with *upload_data_size == 0 until the request is answered or suspended, and once
 * more after a resume. */
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
        if (http_skips_body(request))
            return MHD_YES;
        /* The bytes that follow an ambiguous request may belong to its body. */
        if (request->status && (request->has_body || request->framing != ADL_HTTP_FRAMING_CLEAR)) {
            request->early = true;
            return adl_http_queue_reply(request);
        }
        return MHD_YES;
    }
    if (*upload_data_size > 0)
        return adl_http_receive(request, upload_data, upload_data_size);
    if (!request->received) {
        request->received = true;
        adl_http_remove_arriving(request);
        if (!request->status && !request->late)
            return MHD_YES; /* the library calls again at once */
    }
    if (!request->completed) {
        request->completed = true;
        if (request->late)
            return adl_http_cut_off(request, ADL_HTTP_TOO_SLOW);
        if (!request->status)
            http->config.hooks.complete(request);
        if (request->suspended)
            return MHD_YES; /* another thread may own the request already */
    }
    if (http_hold(request))
        return MHD_YES;
    return request->status ? adl_http_queue_reply(request) : MHD_NO;
}

/* Ends and frees a request. */
static void http_end(struct adl_http_request *request, bool sent)
{
    struct adl_http *http = request->http;

    if (sent && request->has_body && request->status / 100 == 2)
        atomic_fetch_add(&http->served, 1);
    http->config.hooks.done(request, sent);
    adl_http_release_reply(request);
    adl_http_release_body(request);
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
    adl_http_remove_arriving(request);
    adl_http_set_busy(request, false);
    adl_http_wake_at_end(adl_http_socket(request));
    if ((why == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED || request->late) && !request->completed &&
        !request->queued)
        adl_http_cut_off(request, ADL_HTTP_TOO_SLOW);
    if (request->early && why == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        adl_linger_add(http->linger, adl_http_socket(request));
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

/* Decodes percent-encoding in place as the library does by default, except that %00 stays
 * encoded: a NUL would truncate the path or the value. */
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

/* Answers a request whose Content-Length the library is about to refuse. */
static void http_refuse_length(struct adl_http *http)
{
    struct adl_http_peer *peer = adl_http_peer_checked(http);
    struct adl_http_request *request;

    if (!peer || !peer->target.text)
        return;
    request = http_begin(http, peer->connection, peer->target.text, "", peer->target.end + 1);
    if (!request)
        return;
    adl_http_remove_arriving(request);
    adl_http_set_busy(request, false);
    if (request->status)
        adl_http_write_reply(request);
    http_end(request, request->queued);
}

/* Answers a request in which the line of a chunk's size does not fit into the library's buffer,
 * which it takes for an error of its own. It does not say which request it is; if several in
 * chunks are arriving on this thread, its reply is sent. */
static void http_refuse_chunk(struct adl_http *http)
{
    struct adl_http_request *found = NULL;
    bool several = false;

    pthread_mutex_lock(&http->lock);
    for (struct adl_http_request *r = http->arriving; r; r = r->next)
        if (r->has_body && r->content_length < 0 && !r->late && !r->status &&
            pthread_equal(r->peer->thread, pthread_self())) {
            several |= found != NULL;
            found = r;
        }
    pthread_mutex_unlock(&http->lock);
    if (found && !several)
        adl_http_cut_off(found, ADL_HTTP_MALFORMED);
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
    /* Its line of the request, or of a header, makes no sense. Real clients never do this. */
    if (!strncmp(text, "Error processing request (HTTP response code is 400", 51) ||
        !strncmp(text, "Received malformed line", 23))
        adl_http_report_stranger(http, false);
    if (!strncmp(text, "Error processing request (HTTP response code is 500", 51))
        http_refuse_chunk(http);
}

/* Writes the options for TLS; returns whether there are any. */
static bool http_tls_options(const struct adl_tls *tls, struct MHD_OptionItem options[4])
{
    const char *client_ca = tls ? adl_tls_client_ca(tls) : NULL;
    size_t count = 0;

    if (tls) {
        options[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, adl_tls_callback()};
        options[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                                   (void *)(uintptr_t)ADL_TLS_PRIORITIES};
    }
    if (client_ca)
        options[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)(uintptr_t)client_ca};
    options[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return tls != NULL;
}

struct adl_http *adl_http_start(const struct adl_http_config *config, struct adl_error *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET;
    struct adl_http *http = adl_calloc(1, sizeof *http);
    struct MHD_OptionItem tls[4];

    if (!http) {
        adl_fail_nomem(err, "the server");
        return NULL;
    }
    if (http_tls_options(config->tls, tls))
        flags |= MHD_USE_TLS;
    http->config = *config;
    pthread_mutex_init(&http->lock, NULL);
    if (getrandom(&http->crowd.seed, sizeof http->crowd.seed, 0) < 0)
        http->crowd.seed = 0;
    http->linger = adl_linger_create(err);
    if (!http->linger)
        goto out;
    http->delay = adl_delay_create(adl_http_resume, err);
    if (!http->delay)
        goto out;
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, http_handle, http, MHD_OPTION_EXTERNAL_LOGGER, http_log, http,
        MHD_OPTION_THREAD_POOL_SIZE, config->io_threads, MHD_OPTION_CONNECTION_LIMIT,
        config->connections * (config->io_threads + 1), MHD_OPTION_CONNECTION_TIMEOUT,
        config->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, ADL_LIMIT_CONNECTION_BYTES,
        MHD_OPTION_NOTIFY_CONNECTION, adl_http_on_connection, http, MHD_OPTION_NOTIFY_COMPLETED,
        http_completed, http, MHD_OPTION_UNESCAPE_CALLBACK, http_unescape, NULL,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_URI_LOG_CALLBACK, adl_http_on_target, http,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!http->daemon) {
        adl_fail(err, ADL_ERR_IO,
                 "cannot start the HTTP server; check the limits on memory, threads and file "
                 "descriptors");
        goto out;
    }
    return http;
out:
    adl_delay_free(http->delay);
    adl_linger_free(http->linger);
    pthread_mutex_destroy(&http->lock);
    adl_free(http);
    return NULL;
}

/* Passes an accepted connection to the library, which closes it if it cannot add it. */
static void http_take(void *context, int fd, const struct sockaddr *address, socklen_t length)
{
    struct adl_http *http = context;

    if (!adl_http_enter(http, address)) {
        close(fd);
        return;
    }
    atomic_fetch_add(&http->unstarted, 1);
    if (MHD_add_connection(http->daemon, fd, address, length) != MHD_YES) {
        atomic_fetch_sub(&http->unstarted, 1);
        adl_http_leave(http, address);
    }
}

static bool http_is_full(void *context)
{
    struct adl_http *http = context;
    return adl_http_is_full(http, adl_http_connections(http) + atomic_load(&http->unstarted));
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

/* Returns whether a connection has taken too long: to begin a request, to send its head, or to read
 * a long reply. */
static bool is_overdue(const struct adl_http_config *config, const struct adl_http_peer *peer,
                       uint64_t now)
{
    const bool waits_for_head = !peer->used || peer->in_headers;
    const unsigned idle_s = config->idle_s + (waits_for_head ? 0 : config->request_s);

    if (peer->busy)
        return peer->send_by_ns > 0 && now > peer->send_by_ns;
    return adl_http_elapsed(peer->since_ns,
                            waits_for_head ? ADL_MIN(config->header_s, idle_s) : idle_s);
}

/* Once a second, tells how many requests are served, by which refusals are measured. */
static void http_rate_refusals(struct adl_http *http, uint64_t now)
{
    const double seconds = adl_clock_ms(http->rated_ns, now) / 1e3;

    if (http->rated_ns > 0 && seconds < 1)
        return;
    size_t served = atomic_exchange(&http->served, 0);
    if (http->rated_ns > 0 && served > 0)
        adl_delay_set_rate(http->delay, (double)served / seconds);
    http->rated_ns = now;
}

/* Shutting down a socket's reading side wakes the library, which then finds the end of the
 * connection. */
void adl_http_enforce_deadlines(struct adl_http *http)
{
    unsigned request_s = http->config.request_s;
    size_t gave_way = 0, refused = 0;
    uint64_t now = adl_clock_ns();

    pthread_mutex_lock(&http->lock);
    for (struct adl_http_request *r = http->arriving; r; r = r->next) {
        if (r->late)
            continue;
        r->late = adl_http_elapsed(r->start_ns, request_s);
        /* The writing side stays open for the 408, or for a reply that is being sent. */
        if (r->late)
            shutdown(adl_http_socket(r), SHUT_RD);
        else
            adl_http_wake_at_end(adl_http_socket(r));
    }
    for (struct adl_http_peer *p = http->peers; p; p = p->next) {
        if (is_overdue(&http->config, p, now))
            shutdown(p->fd, SHUT_RDWR);
        else if (!p->busy)
            adl_http_wake_at_end(p->fd);
    }
    if (now - http->reported_ns > 1000000000) {
        gave_way = http->gave_way;
        refused = http->refused;
        http->gave_way = http->refused = 0;
        http->reported_ns = now;
    }
    pthread_mutex_unlock(&http->lock);
    http_rate_refusals(http, now);
    if (gave_way + refused > 0 && http->config.hooks.crowded)
        http->config.hooks.crowded(gave_way, refused);
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

void adl_http_hurry(struct adl_http *http)
{
    adl_delay_hurry(http->delay);
}

void adl_http_stop(struct adl_http *http)
{
    adl_http_stop_accepting(http, false);
    adl_http_hurry(http);
    MHD_stop_daemon(http->daemon);
    adl_delay_free(http->delay);
    adl_linger_free(http->linger);
    pthread_mutex_destroy(&http->lock);
    adl_free(http);
}
