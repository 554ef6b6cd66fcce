#ifndef ADL_SERVER_HTTP_HTTP_PARTS_H
#define ADL_SERVER_HTTP_HTTP_PARTS_H

/* The structs and functions that http.c shares with connection.c, reply.c and body.c. The
 * design, with threads and locks, is in http.c. */

#include <pthread.h>
#include <stdatomic.h>

#include "server/http/accept.h"
#include "server/http/crowd.h"
#include "server/http/delay.h"
#include "server/http/linger.h"
#include "server/http/request.h"

/* An open connection; the library keeps it as the connection's socket context. All fields
 * except `target` are under the lock. */
struct adl_http_peer {
    int fd;
    struct MHD_Connection *connection;
    uint64_t since_ns;   /* time of the last change of `busy`, or of the connect */
    bool busy;           /* a request is being handled */
    bool in_headers;     /* a request line has arrived, and the handler was not called yet */
    bool used;           /* a request was handled before */
    bool giving_way;     /* it is being closed, to make room for another */
    unsigned bucket;     /* of the client's address, in `crowd` */
    uint64_t send_by_ns; /* when a long reply has to be sent; 0: there is none */
    pthread_t thread;    /* the I/O thread, once `in_headers` was set */
    struct adl_http_target target; /* of the latest request; only the I/O thread reads it */
    struct adl_http_peer *next, **link;
};

struct adl_http {
    struct adl_http_config config;
    struct MHD_Daemon *daemon;
    struct adl_acceptor *acceptors[ADL_LIMIT_LISTENERS]; /* NULL: not yet, or not any more */
    struct adl_linger *linger;
    struct adl_delay *delay;
    _Atomic size_t in_flight;
    _Atomic size_t served; /* requests with a body that were answered with 2xx, since `rated_ns` */
    uint64_t rated_ns;     /* only adl_http_enforce_deadlines() uses it */
    _Atomic size_t unstarted;          /* connections handed to the library, not yet in `peers` */
    pthread_mutex_t lock;              /* protects the two lists, see the design in http.c */
    size_t body_bytes;                 /* capacity of the bodies of all requests together */
    struct adl_http_request *arriving; /* requests whose body is not complete yet */
    struct adl_http_peer *peers;       /* open connections */
    struct adl_crowd crowd;            /* connections by address, those not yet in `peers` too */
    size_t giving_way;                 /* of the connections */
    size_t gave_way, refused;          /* connections closed for a limit since the last report */
    uint64_t reported_ns;
    uint64_t stranger_ns; /* when the last one was reported; 0: never */
};

/* --- connection.c ------------------------------------------------------------- */

/* Returns whether more than `limit_s` seconds have passed since `since_ns` (base/clock.h). */
bool adl_http_elapsed(uint64_t since_ns, unsigned limit_s);
/* Reports that a client has sent something else than HTTP. */
void adl_http_report_stranger(struct adl_http *http, bool tls);
/* Returns the descriptor of the request's connection; -1: none. */
int adl_http_socket(const struct adl_http_request *request);
/* Makes the library notice the end of the input if it was reached. */
void adl_http_wake_at_end(int fd);

/* MHD_OPTION_NOTIFY_CONNECTION: keeps the list of open connections. */
void adl_http_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode what);
/* Returns whether a further connection has to wait, because there are `open` ones and all are busy.
 * If not, one that is not may have been told to give way. */
bool adl_http_is_full(struct adl_http *http, size_t open);
/* Counts an accepted connection. Returns false if its client has too many, and none that can give
 * way. */
bool adl_http_enter(struct adl_http *http, const struct sockaddr *address);
void adl_http_leave(struct adl_http *http, const struct sockaddr *address);
/* MHD_OPTION_URI_LOG_CALLBACK: notes the target of a request whose headers follow. */
void *adl_http_on_target(void *cls, const char *target, struct MHD_Connection *connection);
/* Returns the entry of a connection in `peers`; NULL if there was no memory for it. */
struct adl_http_peer *adl_http_peer_of(struct MHD_Connection *connection);
/* Returns the connection of this I/O thread whose headers the library is checking now, or
 * NULL. */
struct adl_http_peer *adl_http_peer_checked(struct adl_http *http);
/* Begins (busy) or ends the handling of a request on its connection. */
void adl_http_set_busy(struct adl_http_request *request, bool busy);

/* Add a request to the list of those that are arriving, and remove it. Removing one that is
 * not in the list does nothing. */
void adl_http_add_arriving(struct adl_http_request *request);
void adl_http_remove_arriving(struct adl_http_request *request);

/* --- reply.c -------------------------------------------------------------------- */

void adl_http_release_reply(struct adl_http_request *request);
/* Passes the reply to the library. Returns the result for the library; MHD_NO makes it close
 * the connection. */
enum MHD_Result adl_http_queue_reply(struct adl_http_request *request);
/* Writes the reply directly to the socket, which the library is about to close. */
void adl_http_write_reply(struct adl_http_request *request);
/* Ends a request whose body is incomplete. Returns the result that the handler has to
 * return. */
enum MHD_Result adl_http_cut_off(struct adl_http_request *request, enum adl_http_refusal why);

/* --- body.c --------------------------------------------------------------------- */

void adl_http_release_body(struct adl_http_request *request);
/* Stores or discards one piece of the body and sets *length to 0. Returns the result that the
 * handler has to return. */
enum MHD_Result adl_http_receive(struct adl_http_request *request, const char *bytes,
                                 size_t *length);

#endif
