/* Opens the listening sockets of `serve` and announces them. A socket that other machines can reach
 * needs tokens: the check is made before the socket is opened where its address is known by then,
 * and after it for those of the service manager. */

#include "server/commands/serve_sockets.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "server/commands/streams.h"
#include "server/serving/log.h"
#include "server/serving/notify.h"

#define ADMIN_CONNECTIONS 64 /* for health checks, scrapes and people: few, but never none */

static bool is_unix(const char *name)
{
    return !strncmp(name, "unix:", 5);
}

/* Writes the address of a socket, or, without one, of --listen. */
static int name_socket(const struct adl_serve_listen *options,
                       const struct adl_serve_sockets *sockets, size_t index, char name[128],
                       bool *loopback, struct adl_error *err)
{
    int result = index < sockets->count
                     ? adl_http_listen_name(sockets->fds[index], name, 128, loopback, err)
                     : adl_http_listen_check("--listen", options->listen, name, 128, loopback, err);

    if (result == 0 && !*loopback && !options->tokens && !options->no_auth)
        return adl_fail(err, ADL_ERR_ARG,
                        "%s is reachable from other machines: give --token-file FILE, or "
                        "--no-auth to serve everyone",
                        name);
    return result;
}

static int open_main(struct adl_server *server, const struct adl_serve_listen *options,
                     struct adl_serve_sockets *sockets, struct adl_error *err)
{
    bool loopback, all = true, any_tcp = false;

    if (adl_notify_listen_fds(sockets->fds, &sockets->count, err) < 0)
        return -1;
    server->inherited = sockets->count > 0;
    if (!server->inherited && !options->check_only) {
        if (adl_http_listen("--listen", options->listen, &sockets->fds[0], err) < 0)
            return -1;
        sockets->count = 1;
        sockets->own = options->listen;
    }
    for (size_t i = 0; i < ADL_MAX(sockets->count, (size_t)1); i++) {
        if (name_socket(options, sockets, i, sockets->names[i], &loopback, err) < 0)
            return -1;
        all &= loopback;
        any_tcp |= !is_unix(sockets->names[i]);
    }
    /* No web page can make a browser connect to a Unix socket, so the host does not matter
     * there. */
    server->door.loopback = all && any_tcp;
    return 0;
}

/* Whoever reaches the second listener without a token could replace models, so --no-auth does not
 * open it to other machines. */
static int open_admin(struct adl_server *server, const struct adl_serve_listen *options,
                      struct adl_serve_sockets *sockets, struct adl_error *err)
{
    const char *where = options->admin_listen;
    char *name = sockets->admin_name;
    bool local;

    if (adl_http_listen_check("--admin-listen", where, name, 128, &local, err) < 0)
        return -1;
    if (!local && (!options->tokens || options->no_auth))
        return adl_fail(err, ADL_ERR_ARG,
                        "--admin-listen %s is reachable from other machines: give --token-file "
                        "FILE, without --no-auth, or listen on 127.0.0.1 or unix:PATH",
                        name);
    server->admin_door.loopback = local && !is_unix(name);
    if (options->check_only)
        return 0;
    if (adl_http_listen("--admin-listen", where, &sockets->admin_fd, err) < 0)
        return -1;
    sockets->own_admin = where;
    /* with the port that was chosen */
    return adl_http_listen_name(sockets->admin_fd, name, 128, &local, err);
}

int adl_serve_sockets_open(struct adl_server *server, const struct adl_serve_listen *options,
                           struct adl_serve_sockets *sockets, struct adl_error *err)
{
    *sockets = (struct adl_serve_sockets){.admin_fd = -1};
    if (open_main(server, options, sockets, err) < 0)
        return -1;
    return options->admin_listen ? open_admin(server, options, sockets, err) : 0;
}

void adl_serve_sockets_close(struct adl_serve_sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++)
        close(sockets->fds[i]);
    if (sockets->admin_fd >= 0)
        close(sockets->admin_fd);
    sockets->count = 0;
    sockets->admin_fd = -1;
}

void adl_serve_sockets_remove(const struct adl_serve_sockets *sockets)
{
    adl_http_listen_remove(sockets->own);
    adl_http_listen_remove(sockets->own_admin);
}

int adl_serve_start_admin(struct adl_server *server, const struct adl_http_config *main_daemon,
                          struct adl_serve_sockets *sockets, struct adl_error *err)
{
    struct adl_http_config config = *main_daemon;

    config.listen_fds[0] = sockets->admin_fd;
    config.listen_count = 1;
    config.io_threads = 1;
    config.connections = ADMIN_CONNECTIONS;
    config.connections_each = 0;
    if (is_unix(sockets->admin_name))
        config.tls = NULL;
    config.context = &server->admin_door;
    server->admin = adl_http_start(&config, err);
    if (!server->admin)
        return -1;
    sockets->admin_fd = -1; /* the daemon owns it now */
    return 0;
}

/* --- announcements --------------------------------------------------------------- */

/* Returns an address at which a client on this machine reaches the server: the loopback address if
 * the server listens on all addresses. */
static const char *local_name(const char *name, char *text, size_t size)
{
    static const char every4[] = "0.0.0.0:", every6[] = "[::]:";

    if (!strncmp(name, every4, sizeof every4 - 1))
        snprintf(text, size, "127.0.0.1:%s", name + sizeof every4 - 1);
    else if (!strncmp(name, every6, sizeof every6 - 1))
        snprintf(text, size, "[::1]:%s", name + sizeof every6 - 1);
    else
        snprintf(text, size, "%s", name);
    return text;
}

static const char *scheme(const struct adl_server *server, const char *name)
{
    return is_unix(name) ? "" : server->tls ? "https://" : "http://";
}

static void announce_admin(const struct adl_server *server, const char *name)
{
    printf("administration on %s%s\n", scheme(server, name), name);
    adl_streams_flush_or_forget();
    adl_log(ADL_LOG_INFO, "start", "listening for administration",
            json_pack("{s:s}", "address", name));
}

static void announce(const struct adl_server *server, const char *name, const char *view)
{
    const char *lost;
    char local[160];

    printf("listening on %s%s\n", scheme(server, name), name);
    local_name(name, local, sizeof local);
    if (isatty(STDOUT_FILENO) && !is_unix(name))
        printf("  in a browser:       %s%s/\n"
               "  from a shell:       curl -H 'Content-Type: image/jpeg'%s --data-binary "
               "@photo.jpg %s%s/localize\n",
               scheme(server, name), local,
               adl_auth_required(server->auth) ? " -H \"Authorization: Bearer $TOKEN\"" : "",
               scheme(server, name), local);
    if (view && !is_unix(name))
        printf("  side by side:       %s%s/%s\n", scheme(server, name), local, view);
    /* Not fatal: the address is logged as well. */
    lost = adl_streams_flush_or_forget();
    if (lost)
        adl_log(ADL_LOG_WARN, "start", "cannot write to standard output",
                json_pack("{s:s}", "error", lost));
    adl_log(ADL_LOG_INFO, "start", "listening",
            json_pack("{s:s, s:s, s:i, s:I}", "address", name, "version", ADL_VERSION, "pid",
                      (int)getpid(), "models", (json_int_t)adl_registry_count(server->registry)));
}

void adl_serve_announce(const struct adl_server *server, const struct adl_serve_sockets *sockets,
                        size_t count, const char *view)
{
    for (size_t i = 0; i < count; i++)
        announce(server, sockets->names[i], view);
    if (server->admin)
        announce_admin(server, sockets->admin_name);
}
