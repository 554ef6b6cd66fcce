#ifndef ADL_SERVER_COMMANDS_SERVE_SOCKETS_H
#define ADL_SERVER_COMMANDS_SERVE_SOCKETS_H

/* The listening sockets of `serve`: those that the service manager passes or the options name, who
 * may reach them, and what the server says about them when it has started. */

#include "server/api/server.h"

/* What the options say about them. */
struct adl_serve_listen {
    const char *listen;
    const char *admin_listen; /* NULL: there is no second listener */
    bool tokens;              /* --token-file is given */
    bool no_auth;
    bool check_only; /* addresses are checked, not bound, because a running server may use them */
};

struct adl_serve_sockets {
    int fds[ADL_LIMIT_LISTENERS];
    size_t count;
    char names[ADL_LIMIT_LISTENERS][128]; /* their addresses */
    int admin_fd;                         /* -1: none */
    char admin_name[128];
    const char *own, *own_admin; /* addresses at which this process has listened; NULL: none */
};

/* Gets the sockets from the service manager, or opens a new one if it passed none, and that of
 * --admin-listen; sets the doors of the server and server->inherited. What is open is in `sockets`
 * after a failure, too. Fails as adl_http_listen() does, and with ADL_ERR_ARG if other machines
 * could reach a socket that only this one may. */
int adl_serve_sockets_open(struct adl_server *server, const struct adl_serve_listen *options,
                           struct adl_serve_sockets *sockets, struct adl_error *err) ADL_MUST_CHECK;
/* Closes the sockets that no daemon owns. */
void adl_serve_sockets_close(struct adl_serve_sockets *sockets);
/* Removes the files of Unix sockets at which this process has listened. */
void adl_serve_sockets_remove(const struct adl_serve_sockets *sockets);

/* Starts the daemon of --admin-listen, with the limits of the other one. It has a thread and
 * connections of its own, so that it answers when the other one is full. Fails as adl_http_start()
 * does. */
int adl_serve_start_admin(struct adl_server *server, const struct adl_http_config *main_daemon,
                          struct adl_serve_sockets *sockets, struct adl_error *err) ADL_MUST_CHECK;

/* Prints and logs the addresses at which the first `count` sockets, and the second listener, if it
 * was started, can be reached. `view` is the query of a view of the page to print as well; NULL:
 * none. */
void adl_serve_announce(const struct adl_server *server, const struct adl_serve_sockets *sockets,
                        size_t count, const char *view);

#endif
