/* Starts a server in a separate process, and implements an HTTP client for it. */

#include "support/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/commands/command.h"
#include "server/commands/streams.h"
#include "server/commands/subcommands.h"
#include "support/arguments.h"
#include "support/test.h"

#define PATIENCE_MS 30000
#define AS_PROGRAM "ADL_TEST_AS_PROGRAM"

static void fail_memory(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    adl_mem_fail_nth((uint64_t)info->si_value.sival_int);
}

/* SIGRTMIN with a number n makes the n-th allocation from then on fail. */
static void signal_fails_memory(void)
{
    struct sigaction take = {.sa_sigaction = fail_memory, .sa_flags = SA_RESTART | SA_SIGINFO};

    sigaction(SIGRTMIN, &take, NULL);
}

/* With this variable set, the test program runs as adl-server. */
__attribute__((constructor)) static void be_the_program(void)
{
    char **argv;
    int argc = test_arguments(&argv);

    if (!getenv(AS_PROGRAM))
        return;
    /* Rather than run the tests, which would start it again. */
    if (argc < 2)
        exit(2);
    /* A test that ends early leaves no server behind, which would hold the pipes of `make` open and
     * keep it waiting. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal_fails_memory();
    const struct adl_command *command = adl_command_find(argv[1]);
    if (adl_streams_begin() < 0)
        exit(1);
    exit(
        adl_streams_end(command ? adl_command_main(command, adl_commands, argc - 1, argv + 1) : 2));
}

/* --- processes ------------------------------------------------------------- */

/* Starts the program. If `error` is NULL, the process has no standard streams. `listeners` are
 * passed to it as listening sockets. */
static pid_t start_with(const char *const *arguments, int out, const char *error,
                        const int *listeners, int count_of_listeners)
{
    static char as_program[] = AS_PROGRAM "=1";
    char listen_fds[40];
    const char *argv[40] = {"adl-server"};
    char *variables[301];
    size_t count = 0;
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;

    for (size_t i = 0; arguments[i] && i < 38; i++)
        argv[i + 1] = arguments[i];
    for (; environ[count] && count < 298; count++)
        variables[count] = environ[count];
    variables[count++] = as_program;
    snprintf(listen_fds, sizeof listen_fds, "LISTEN_FDS=%d", count_of_listeners);
    if (count_of_listeners > 0)
        variables[count++] = listen_fds;
    variables[count] = NULL;
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; !error && fd < 3; fd++)
        posix_spawn_file_actions_addclose(&actions, fd);
    if (error) {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, out, 1);
        posix_spawn_file_actions_addopen(&actions, 2, error, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    }
    for (int i = 0; i < count_of_listeners; i++)
        posix_spawn_file_actions_adddup2(&actions, listeners[i], 3 + i);
    if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, (char **)(uintptr_t)argv, variables) !=
        0)
        pid = 0;
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static pid_t start(const char *const *arguments, int out, const char *error)
{
    return start_with(arguments, out, error, NULL, 0);
}

static int wait_for_exit(pid_t pid, int patience_ms)
{
    int status;
    for (int waited = 0; waited < patience_ms; waited += 10) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        poll(NULL, 0, 10);
    }
    test_kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    if (file && text && fread(text, 1, (1 << 20) - 1, file) == 0)
        text[0] = '\0';
    if (file)
        fclose(file);
    return text;
}

int test_server_start(struct test_server *server, const char *const *arguments)
{
    return test_server_start_on(server, NULL, 0, arguments);
}

int test_server_start_on(struct test_server *server, const int *listeners, int count,
                         const char *const *arguments)
{
    static int number;
    const char *all[40] = {"serve", "--listen", "127.0.0.1:0"};
    char line[200] = "", *colon;
    bool listens = false;
    int pipes[2];

    memset(server, 0, sizeof *server);
    snprintf(server->log, sizeof server->log, "%s/serve-%d.log", test_tmp_dir(), number++);
    for (size_t i = 0; arguments[i] && i < 35; i++)
        all[i + 3] = arguments[i];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -1;
    server->pid = start_with(all, pipes[1], server->log, listeners, count);
    close(pipes[1]);
    FILE *out = fdopen(pipes[0], "r");
    struct pollfd wait = {.fd = pipes[0], .events = POLLIN};
    if (server->pid && poll(&wait, 1, PATIENCE_MS) > 0 && fgets(line, sizeof line, out) &&
        (sscanf(line, "listening on http://%63s", server->address) == 1 ||
         sscanf(line, "listening on %63s", server->address) == 1)) {
        colon = strrchr(server->address, ':');
        server->port = colon ? atoi(colon + 1) : 0;
        listens = colon != NULL;
    }
    fclose(out);
    if (listens)
        return 0;
    char *log = read_all(server->log);
    TEST_FAIL("the server does not listen: %s", log);
    free(log);
    if (server->pid)
        wait_for_exit(server->pid, 0);
    server->pid = 0;
    return -1;
}

int test_listen(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        TEST_FAIL("cannot listen");
    *port = ntohs(address.sin_port);
    return fd;
}

/* Returns a port on which no process listens; 0, after failing the running test, if there is
 * none. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        TEST_FAIL("no free port");
    if (fd >= 0)
        close(fd);
    return ntohs(address.sin_port);
}

int test_server_start_mute(struct test_server *server, const char *const *arguments,
                           const char *out)
{
    const char *all[40] = {"serve", "--listen", server->address};
    int fd = out ? open(out, O_WRONLY | O_CLOEXEC) : -1;

    memset(server, 0, sizeof *server);
    server->port = free_port();
    snprintf(server->address, sizeof server->address, "127.0.0.1:%d", server->port);
    snprintf(server->log, sizeof server->log, "%s/serve-mute.log", test_tmp_dir());
    for (size_t i = 0; arguments[i] && i < 35; i++)
        all[i + 3] = arguments[i];
    server->pid = start(all, fd, out ? server->log : NULL);
    if (fd >= 0)
        close(fd);
    return server->pid ? test_server_ready(server) : -1;
}

int test_server_ready(const struct test_server *server)
{
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        struct test_reply reply;
        test_request(server, "GET", "/readyz", NULL, NULL, 0, &reply);
        int status = reply.status;
        test_reply_release(&reply);
        if (status == 200)
            return 0;
        poll(NULL, 0, 10);
    }
    TEST_FAIL("the server does not become ready");
    return -1;
}

void test_server_signal(const struct test_server *server, int number)
{
    if (server->pid > 0)
        test_kill(server->pid, number);
}

double test_server_processor_s(const struct test_server *server)
{
    char path[40];
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)server->pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                        &system) != 2)
        TEST_FAIL("%s cannot be read", path);
    if (file)
        fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

void test_server_fail_memory(const struct test_server *server, int nth)
{
    if (server->pid > 0)
        sigqueue(server->pid, SIGRTMIN, (union sigval){.sival_int = nth});
}

int test_server_stop(struct test_server *server)
{
    if (server->pid <= 0)
        return -1;
    test_kill(server->pid, SIGTERM);
    int status = wait_for_exit(server->pid, 3 * PATIENCE_MS);
    if (status != 0) {
        char *log = test_server_log(server);
        size_t length = log ? strlen(log) : 0;
        TEST_FAIL("the server ended with %d: ...%s", status,
                  log + (length > 700 ? length - 700 : 0));
        free(log);
    }
    server->pid = 0;
    return status;
}

char *test_server_log(const struct test_server *server)
{
    return read_all(server->log);
}

pid_t test_program_start(const char *const *arguments, const char *error)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t pid = start(arguments, null, error);

    close(null);
    return pid;
}

int test_program_ended(pid_t pid, int patience_ms)
{
    int status = 0;

    for (int waited = 0; waited < patience_ms; waited += 10, poll(NULL, 0, 10))
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    test_kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -100;
}

int test_program_run(const char *const *arguments, char *error, size_t size)
{
    return test_program_run_on(arguments, NULL, 0, error, size);
}

int test_program_run_on(const char *const *arguments, const int *fds, int count, char *error,
                        size_t size)
{
    char path[300];
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s/program.err", test_tmp_dir());
    pid_t pid = start_with(arguments, null, path, fds, count);
    close(null);
    int status = pid ? wait_for_exit(pid, PATIENCE_MS) : -1;
    char *text = read_all(path);
    snprintf(error, size, "%s", text);
    free(text);
    return status;
}

/* --- the client ------------------------------------------------------------- */

void test_reply_release(struct test_reply *reply)
{
    free(reply->body);
    reply->body = NULL;
}

const char *test_reply_header(const struct test_reply *reply, const char *name)
{
    static _Thread_local char value[1000];
    size_t length = strlen(name);
    for (const char *line = strstr(reply->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (!strncasecmp(line, name, length) && line[length] == ':') {
            line += length + 1 + strspn(line + length + 1, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\r"), line);
            return value;
        }
    }
    return NULL;
}

json_t *test_reply_json(const struct test_reply *reply)
{
    return reply->body ? json_loadb(reply->body, reply->length, JSON_REJECT_DUPLICATES, NULL)
                       : NULL;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int test_connect(const struct test_server *server)
{
    if (!strncmp(server->address, "unix:", 5))
        return connect_unix(server->address + 5);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int test_send(int fd, const void *bytes, size_t length)
{
    const char *next = bytes;
    while (length > 0) {
        ssize_t sent = send(fd, next, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        next += sent;
        length -= (size_t)sent;
    }
    return 0;
}

int test_send_text(int fd, const char *fmt, ...)
{
    char text[4000];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return test_send(fd, text, (size_t)length);
}

/* Reads at most `size` bytes; 0 at the end of the connection or after the time limit. */
static size_t receive_some(int fd, char *bytes, size_t size)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, PATIENCE_MS) <= 0)
        return 0;
    ssize_t got = recv(fd, bytes, size, 0);
    return got > 0 ? (size_t)got : 0;
}

void test_receive(int fd, bool head, struct test_reply *reply)
{
    size_t length = 0;
    const char *announced;

    memset(reply, 0, sizeof *reply);
    /* The head is read byte by byte, so that no byte of the next reply is consumed. */
    while (length < sizeof reply->head - 1 && receive_some(fd, reply->head + length, 1) == 1) {
        length++;
        if (length >= 4 && !memcmp(reply->head + length - 4, "\r\n\r\n", 4))
            break;
    }
    if (sscanf(reply->head, "HTTP/1.%*d %d", &reply->status) != 1)
        reply->status = 0;
    announced = test_reply_header(reply, "Content-Length");
    /* RFC 9112, 6.3: these end with their head, whatever length it gives. */
    bool bodiless = head || reply->status == 204 || reply->status == 304;
    size_t want = !bodiless && announced ? (size_t)atol(announced) : 0;
    reply->body = calloc(want + 1, 1);
    while (reply->body && reply->length < want) {
        size_t got = receive_some(fd, reply->body + reply->length, want - reply->length);
        if (got == 0)
            break;
        reply->length += got;
    }
}

bool test_closed(int fd)
{
    char byte;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, PATIENCE_MS) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

void test_request(const struct test_server *server, const char *method, const char *target,
                  const char *headers, const void *body, size_t length, struct test_reply *reply)
{
    int fd = test_connect(server);

    memset(reply, 0, sizeof *reply);
    if (fd < 0)
        return;
    test_send_text(fd, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, target,
                   headers ? headers : "");
    if (body)
        test_send_text(fd, "Content-Length: %zu\r\n", length);
    test_send_text(fd, "\r\n");
    if (body)
        test_send(fd, body, length);
    test_receive(fd, !strcmp(method, "HEAD"), reply);
    close(fd);
}
