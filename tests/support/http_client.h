#ifndef ADL_TESTS_SUPPORT_HTTP_CLIENT_H
#define ADL_TESTS_SUPPORT_HTTP_CLIENT_H

/* Starts a server in a separate process, and implements a client that sends exactly the bytes that
 * it is given. The server is the test program itself, started again, so that it runs under the
 * same sanitizers as the tests. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The beginning of a request with a JPEG, or with a form whose boundary is "b". */
#define POST_HEAD "POST /localize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
#define FORM_HEAD                                                                                  \
    "POST /localize HTTP/1.1\r\nHost: localhost\r\n"                                               \
    "Content-Type: multipart/form-data; boundary=b\r\n"

struct test_server {
    pid_t pid; /* 0: not running */
    int port;
    char address[108]; /* "127.0.0.1:4711" or "unix:PATH" */
    char log[300];     /* path of the file that receives its stderr */
};

/* Starts `adl-server serve --listen 127.0.0.1:0` with additional arguments (ended by NULL), and
 * waits until it listens. Returns 0, or -1, after failing the running test, if it does not. */
int test_server_start(struct test_server *server, const char *const *arguments);
/* Starts `adl-server serve` on listening sockets, which are in ascending order and passed as a
 * service manager passes them. server->address is the address of the first socket, as the server
 * prints it; server->port is 0 for a Unix socket. */
int test_server_start_on(struct test_server *server, const int *listeners, int count,
                         const char *const *arguments);
/* Starts `adl-server serve` with standard output to the file `out`, to which writing may fail;
 * NULL: without standard streams. Returns when the server is ready. */
int test_server_start_mute(struct test_server *server, const char *const *arguments,
                           const char *out);
/* Waits until /readyz answers 200; returns -1, after failing the running test, if it does not. */
int test_server_ready(const struct test_server *server);
/* Sends SIGTERM; returns the exit status, or -1 if the server had to be killed. */
int test_server_stop(struct test_server *server);
void test_server_signal(const struct test_server *server, int number);
/* Returns the processor time that the server has taken, in seconds. */
double test_server_processor_s(const struct test_server *server);
/* Makes the n-th allocation of the server from now on fail; 0: none. */
void test_server_fail_memory(const struct test_server *server, int nth);
/* Returns the server's output on stderr, to be freed with free(). */
char *test_server_log(const struct test_server *server);

/* Starts `adl-server ARGUMENTS`, with its stderr in a file; returns its process, 0 if that fails.
 */
pid_t test_program_start(const char *const *arguments, const char *error);
/* Waits for the end of a process. Returns its exit status, or the negative number of the signal
 * that ended it; -100: it does not end within `patience_ms`, and is killed. */
int test_program_ended(pid_t pid, int patience_ms);
/* Runs `adl-server ARGUMENTS` to its end. Returns the exit status; the beginning of its
 * stderr is in `error` of `size` bytes. */
int test_program_run(const char *const *arguments, char *error, size_t size);
/* As test_program_run(), with descriptors that are passed as listening sockets. */
int test_program_run_on(const char *const *arguments, const int *fds, int count, char *error,
                        size_t size);

struct test_reply {
    int status; /* 0: the connection was closed without a reply */
    char head[4096];
    char *body; /* NUL-terminated; owned */
    size_t length;
};

void test_reply_release(struct test_reply *reply);
/* Returns the value of a header, or NULL; valid until the next call. */
const char *test_reply_header(const struct test_reply *reply, const char *name);
/* Returns the body as JSON, owned by the caller; NULL if it is not JSON. */
json_t *test_reply_json(const struct test_reply *reply);

int test_connect(const struct test_server *server);
/* Returns a blocking socket that listens on a free port of 127.0.0.1, and sets *port to the
 * port. */
int test_listen(int *port);
/* Sends bytes or a formatted text. Return 0, or -1 if the other side does not accept them. */
int test_send(int fd, const void *bytes, size_t length);
int test_send_text(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Receives the next reply on the connection, waiting at most 30 s. */
void test_receive(int fd, bool head, struct test_reply *reply);
/* Returns whether the other side closes within 30 s without sending anything more. */
bool test_closed(int fd);

/* Sends a request on a new connection and receives the reply. `headers` (may be NULL) are
 * complete lines with CRLF; Content-Length is added for a body. */
void test_request(const struct test_server *server, const char *method, const char *target,
                  const char *headers, const void *body, size_t length, struct test_reply *reply);

#endif
