/* Keeps the lists of open connections and of requests that are still arriving. The design is
 * in http.c. */

#include "server/http/http_parts.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"

bool adl_http_elapsed(uint64_t since_ns, unsigned limit_s)
{
    return adl_clock_ms(since_ns, adl_clock_ns()) > limit_s * 1e3;
}

int adl_http_socket(const struct adl_http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

#define STRANGER_NS (60 * (uint64_t)1000000000) /* between two reports */

void adl_http_report_stranger(struct adl_http *http, bool tls)
{
    uint64_t now = adl_clock_ns();

    if (http->config.tls || !http->config.hooks.stranger)
        return;
    pthread_mutex_lock(&http->lock);
    bool says = http->stranger_ns == 0 || now - http->stranger_ns > STRANGER_NS;
    if (says)
        http->stranger_ns = now;
    pthread_mutex_unlock(&http->lock);
    if (says)
        http->config.hooks.stranger(tls);
}

/* Looks at the first bytes of a connection, which often have not arrived yet when this is called,
 * right after it was accepted. A TLS handshake, a record of type 22 and version 3.x (RFC
 * 8446, 5.1), is reported. A NUL is answered: the library takes a line that begins with one for an
 * empty line, of which some may precede a request, and would wait for the next one until
 * --header-timeout. */
static void http_look(struct adl_http *http, int fd)
{
    static const char refusal[] =
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    unsigned char begin[2];
    ssize_t got = recv(fd, begin, sizeof begin, MSG_PEEK | MSG_DONTWAIT);

    if (got == sizeof begin && begin[0] == 22 && begin[1] == 3)
        adl_http_report_stranger(http, true);
    if (got < 1 || begin[0] != 0)
        return;
    adl_http_report_stranger(http, false);
    if (!http->config.tls && send(fd, refusal, sizeof refusal - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        adl_linger_add(http->linger, fd);
    shutdown(fd, SHUT_RD); /* the library finds the end of the connection */
}

/* Returns whether no more bytes will arrive: the client has closed its writing side, and all
 * its bytes have been read, or the connection is broken. Peeking never blocks and consumes
 * nothing. */
static bool http_is_at_end(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* The library misses an end of input that arrived together with the last bytes. Shutting down
 * the reading side causes another event, which it notices. */
void adl_http_wake_at_end(int fd)
{
    if (http_is_at_end(fd))
        shutdown(fd, SHUT_RD);
}

bool adl_http_client_gone(const struct adl_http_request *request)
{
    /* No event is requested: poll() always reports a reset and that both sides are closed. */
    struct pollfd state = {.fd = adl_http_socket(request)};
    return poll(&state, 1, 0) > 0;
}

/* --- limits ----------------------------------------------------------------------- */

static unsigned connection_bucket(const struct adl_http *http, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return adl_crowd_bucket(&http->crowd, info ? info->client_addr : NULL);
}

/* Closes a connection that carries no request: of the address with the most connections, or of
 * `bucket` if that is not negative, the one that has been so for the longest time. Returns false if
 * there is none. Called under the lock. */
static bool give_way(struct adl_http *http, int bucket)
{
    const unsigned *counts = http->crowd.counts;
    struct adl_http_peer *victim = NULL;

    for (struct adl_http_peer *p = http->peers; p; p = p->next) {
        if (p->busy || p->giving_way || (bucket >= 0 && p->bucket != (unsigned)bucket))
            continue;
        if (!victim || counts[p->bucket] > counts[victim->bucket] ||
            (counts[p->bucket] == counts[victim->bucket] && p->since_ns < victim->since_ns))
            victim = p;
    }
    if (!victim)
        return false;
    victim->giving_way = true;
    http->giving_way++;
    http->gave_way++;
    shutdown(victim->fd, SHUT_RDWR);
    return true;
}

bool adl_http_is_full(struct adl_http *http, size_t open)
{
    bool full;

    if (open < http->config.connections)
        return false;
    pthread_mutex_lock(&http->lock);
    full =
        open - ADL_MIN(open, http->giving_way) >= http->config.connections && !give_way(http, -1);
    pthread_mutex_unlock(&http->lock);
    return full;
}

bool adl_http_enter(struct adl_http *http, const struct sockaddr *address)
{
    const unsigned most = http->config.connections_each;
    unsigned bucket = adl_crowd_bucket(&http->crowd, address);
    bool enters = true;

    pthread_mutex_lock(&http->lock);
    /* Clients of a Unix socket have no address. */
    if (most > 0 && bucket > 0 && http->crowd.counts[bucket] >= most)
        enters = give_way(http, (int)bucket);
    if (enters)
        http->crowd.counts[bucket]++;
    else
        http->refused++;
    pthread_mutex_unlock(&http->lock);
    return enters;
}

void adl_http_leave(struct adl_http *http, const struct sockaddr *address)
{
    pthread_mutex_lock(&http->lock);
    http->crowd.counts[adl_crowd_bucket(&http->crowd, address)]--;
    pthread_mutex_unlock(&http->lock);
}

/* --- lists ------------------------------------------------------------------------ */

void adl_http_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode what)
{
    struct adl_http *http = cls;
    struct adl_http_peer *peer = *socket_context;
    const union MHD_ConnectionInfo *info;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        atomic_fetch_sub(&http->unstarted, 1);
        if (http->config.open)
            atomic_fetch_add(http->config.open, 1);
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        peer = info ? adl_calloc(1, sizeof *peer) : NULL;
        if (!peer) {
            pthread_mutex_lock(&http->lock);
            http->crowd.counts[connection_bucket(http, connection)]--;
            pthread_mutex_unlock(&http->lock);
            return;
        }
        *socket_context = peer;
        http_look(http, info->connect_fd);
        peer->bucket = connection_bucket(http, connection);
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
    } else {
        if (http->config.open)
            atomic_fetch_sub(http->config.open, 1);
        if (!peer)
            return;
        pthread_mutex_lock(&http->lock);
        *peer->link = peer->next;
        if (peer->next)
            peer->next->link = peer->link;
        http->crowd.counts[peer->bucket]--;
        http->giving_way -= peer->giving_way;
        pthread_mutex_unlock(&http->lock);
        adl_free(peer);
        *socket_context = NULL;
    }
}

struct adl_http_peer *adl_http_peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* Begins (busy) or ends the handling of a request on its connection. */
void adl_http_set_busy(struct adl_http_request *request, bool busy)
{
    pthread_mutex_lock(&request->http->lock);
    request->peer->busy = busy;
    request->peer->in_headers = false;
    request->peer->used = true;
    request->peer->send_by_ns = 0;
    request->peer->since_ns = adl_clock_ns();
    pthread_mutex_unlock(&request->http->lock);
}

/* Notes the target of a request as it arrived; the library calls this before it parses the
 * headers. Returns the initial context of the request, NULL. */
void *adl_http_on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct adl_http *http = cls;
    struct adl_http_peer *peer = adl_http_peer_of(connection);

    if (!peer)
        return NULL;
    peer->target = adl_http_target_read(target);
    pthread_mutex_lock(&http->lock);
    peer->in_headers = true;
    peer->thread = pthread_self();
    pthread_mutex_unlock(&http->lock);
    return NULL;
}

void adl_http_add_arriving(struct adl_http_request *request)
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

void adl_http_remove_arriving(struct adl_http_request *request)
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

/* Returns the connection of this I/O thread whose headers the library is checking now. On
 * every other connection of the thread, the headers are incomplete or already refused, or the
 * handler was called. */
struct adl_http_peer *adl_http_peer_checked(struct adl_http *http)
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
