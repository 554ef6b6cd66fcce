#ifndef ADL_TESTS_SUPPORT_HTTP_CLIENT_H
#define ADL_TESTS_SUPPORT_HTTP_CLIENT_H

/* A server in a process of its own, and a client that sends bytes just as it is
 * told to. The server is this very program, started again, so that it runs
 * under the same sanitizers as the tests. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct test_server {
    pid_t pid; /* 0: not running */
    int port;
    char address[64]; /* "127.0.0.1:4711" */
    char log[300];    /* path of what it wrote to stderr */
};

/* `adl-server serve --listen 127.0.0.1:0` with more arguments (ends with NULL);
 * returns when it listens. -1, after failing the running test, when it does
 * not. */
int test_server_start(struct test_server *server, const char *const *arguments);
/* The same with standard output at `out`, which need not take anything; NULL:
 * without standard streams. Returns when it is ready. */
int test_server_start_mute(struct test_server *server, const char *const *arguments,
                           const char *out);
/* Waits until /readyz says so. */
int test_server_ready(const struct test_server *server);
/* SIGTERM; the exit status, or -1 when it had to be killed. */
int test_server_stop(struct test_server *server);
void test_server_signal(const struct test_server *server, int number);
/* What it wrote to stderr; freed with free(). */
char *test_server_log(const struct test_server *server);

/* Runs `adl-server ARGUMENTS` to its end: its exit status, and the beginning of
 * what it wrote to stderr. */
int test_program_run(const char *const *arguments, char *error, size_t size);

struct test_reply {
    int status; /* 0: the connection closed without one */
    char head[4096];
    char *body; /* NUL-terminated; owned */
    size_t length;
};

void test_reply_release(struct test_reply *reply);
/* The value of a header, or NULL; overwritten by the next call. */
const char *test_reply_header(const struct test_reply *reply, const char *name);
/* The body as JSON; the caller owns it. NULL when it is none. */
json_t *test_reply_json(const struct test_reply *reply);

int test_connect(const struct test_server *server);
/* 0, or -1 when the other side does not take it. */
int test_send(int fd, const void *bytes, size_t length);
int test_send_text(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The next reply on the connection, waiting half a minute at most. */
void test_receive(int fd, bool head, struct test_reply *reply);
/* Whether the other side closes within half a minute, with nothing more to say. */
bool test_closed(int fd);

/* A request on a connection of its own. `headers` (may be NULL) are whole lines
 * with CRLF; a body gets its Content-Length. */
void test_request(const struct test_server *server, const char *method, const char *target,
                  const char *headers, const void *body, size_t length, struct test_reply *reply);

#endif
