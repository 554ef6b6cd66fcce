/* Fuzz target: the server itself. It runs in this process, on two Unix sockets, with a small model,
 * jobs, annotations and a folder of models; each input is what a client sends on one connection.
 *
 * An input begins with a line of two letters: the listener, `m` (main) or `a` (administration), and
 * after how many tenths of the rest the client pauses, `0` to `9`. The rest is sent as it is, then
 * the client closes its side. What comes back has to be a sequence of whole answers, the last one
 * perhaps cut off by the end of the connection, and nothing after an answer that says close. Now
 * and then the server has to say that it is well, and that no other request is in flight.
 *
 * Corpus: tests/fuzz/corpus/http. */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz/scratch.h"
#include "server/api/signals.h"
#include "server/commands/command.h"
#include "server/commands/subcommands.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Most inputs are given up after IMPATIENCE_MS of silence, because the server looks for the end of
 * a connection that it does not understand once a second; every so-many-th waits for it. */
enum { PATIENCE_MS = 15000, IMPATIENCE_MS = 50, MOST_BYTES = 16 << 20, CHECK_EVERY = 64 };

static char paths[2][100];
static pthread_t server;

/* --- the server -------------------------------------------------------------------- */

static void *run_server(void *unused)
{
    static char listen[120], admin[120], folder[100], jobs[100], annotations[100];
    char *words[] = {"serve",
                     "--model",
                     "models/example-cam.safetensors",
                     "--listen",
                     listen,
                     "--admin-listen",
                     admin,
                     "--models-dir",
                     folder,
                     "--jobs",
                     jobs,
                     "--annotations",
                     annotations,
                     "--isolate-decoders",
                     "off",
                     "--threads",
                     "1",
                     "--max-body",
                     "1M",
                     "--max-pixels",
                     "300000",
                     "--memory",
                     "64M",
                     "--header-timeout",
                     "2",
                     "--timeout",
                     "5",
                     "--drain-timeout",
                     "1",
                     "--log-level",
                     "error",
                     NULL};

    snprintf(listen, sizeof listen, "unix:%s", paths[0]);
    snprintf(admin, sizeof admin, "unix:%s", paths[1]);
    snprintf(folder, sizeof folder, "%s/models", scratch_root);
    snprintf(jobs, sizeof jobs, "%s/jobs", scratch_root);
    snprintf(annotations, sizeof annotations, "%s/annotations", scratch_root);
    if (mkdir(folder, 0700) < 0 || mkdir(jobs, 0700) < 0 || mkdir(annotations, 0700) < 0 ||
        adl_command_main(adl_command_find("serve"), adl_commands,
                         (int)(sizeof words / sizeof *words) - 1, words) != 0) {
        fprintf(stderr, "the server does not run\n");
        _exit(2);
    }
    return unused;
}

static void end_server(void)
{
    adl_signals_send(SIGTERM);
    pthread_join(server, NULL);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* --- one connection ------------------------------------------------------------------ */

struct answers {
    char *bytes; /* NUL-terminated; owned */
    size_t length, capacity;
    bool ended; /* by the server */
};

/* Receives what is there within `ms` milliseconds; returns whether there was something. */
static bool receive(int fd, struct answers *answers, int ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    if (answers->ended || poll(&wait, 1, ms) <= 0)
        return false;
    if (answers->capacity < answers->length + 70000)
        answers->bytes = realloc(answers->bytes, answers->capacity = 2 * answers->length + 70000);
    if (!answers->bytes || answers->length > MOST_BYTES)
        abort();
    ssize_t got = recv(fd, answers->bytes + answers->length, 65536, MSG_DONTWAIT);
    if (got > 0)
        answers->length += (size_t)got;
    answers->ended = got == 0 || (got < 0 && errno != EAGAIN);
    answers->bytes[answers->length] = '\0';
    return got > 0;
}

/* Sends bytes while receiving, so that neither side waits for the other for ever. */
static void send_all(int fd, const uint8_t *bytes, size_t length, struct answers *answers)
{
    while (length > 0 && !answers->ended) {
        ssize_t sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* the server has closed its side */
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
        while (receive(fd, answers, sent > 0 ? 0 : 1))
            ;
    }
}

static struct answers talk(const char *path, const uint8_t *bytes, size_t length, size_t first,
                           bool patient)
{
    struct answers answers = {0};
    int fd = connect_to(path);
    int waited = 0;

    if (fd < 0)
        abort();
    send_all(fd, bytes, first, &answers);
    if (first > 0 && first < length)
        receive(fd, &answers, 1);
    send_all(fd, bytes + first, length - first, &answers);
    shutdown(fd, SHUT_WR);
    for (; !answers.ended && waited < (patient ? PATIENCE_MS : IMPATIENCE_MS); waited += 10)
        while (receive(fd, &answers, 10))
            waited = 0;
    close(fd);
    if (patient && !answers.ended) {
        fprintf(stderr, "the server does not close the connection\n");
        abort();
    }
    return answers;
}

/* --- what came back ------------------------------------------------------------------- */

static void fail(const char *what, const struct answers *answers)
{
    fprintf(stderr, "%s: %.2000s\n", what, answers->bytes);
    abort();
}

/* Returns the value of a header, NULL if there is none; fails if there are two. */
static const char *header(const char *head, const char *end, const char *name,
                          const struct answers *answers)
{
    const char *value = NULL;
    size_t length = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line && line < end; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        if (value)
            fail("a header is there twice", answers);
        value = line + length + 1;
    }
    return value;
}

/* Checks one answer and returns what follows it; NULL: nothing may. */
static const char *check_answer(const char *at, const struct answers *answers)
{
    const char *all_end = answers->bytes + answers->length;
    const char *end = strstr(at, "\r\n\r\n");
    int status = 0, minor = 0;

    if (sscanf(at, "HTTP/1.%1d %3d ", &minor, &status) != 2 || status < 100 || status > 599)
        fail("this is no answer", answers);
    if (!end)
        return NULL; /* cut off */
    const char *length = header(at, end, "Content-Length", answers);
    const char *close_it = header(at, end, "Connection", answers);
    const char *type = header(at, end, "Content-Type", answers);
    const bool bare = status < 200 || status == 204 || status == 304;
    end += 4;
    if (status == 100)
        return end;
    if (!length && !bare)
        return NULL; /* to the end of the connection */
    size_t bytes = length ? (size_t)strtoul(length, NULL, 10) : 0;
    /* HEAD has a length and no body: what follows is the next answer, or the end. */
    if (bytes > 0 && (end == all_end || !strncmp(end, "HTTP/1.", 7)))
        bytes = 0;
    if (status >= 500 && status != 503 && status != 507 && status != 505 && status != 501)
        fail("the server is at fault", answers);
    if (status >= 400 && bytes > 0 && type && !strstr(type, "json") && !strstr(type, "html") &&
        !strstr(type, "text"))
        fail("an error has no document", answers);
    if (bytes > (size_t)(all_end - end))
        return NULL; /* cut off, as answers to requests that are cut off may be */
    end += bytes;
    if (close_it && !strncasecmp(close_it, " close", 6) && end != all_end)
        fail("something follows the last answer", answers);
    return end;
}

static void check_answers(const struct answers *answers)
{
    const char *at = answers->bytes;

    while (at && at < answers->bytes + answers->length)
        at = check_answer(at, answers);
}

/* The server says that it is well, and soon that this is the only request. */
static void check_server(void)
{
    static const char ask[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char alone[] = "\nadl_http_requests_in_flight 1\n";

    for (int tries = 0; tries < 500; tries++) {
        struct answers answers = talk(paths[1], (const uint8_t *)ask, sizeof ask - 1, 0, true);
        bool well = answers.bytes && !strncmp(answers.bytes, "HTTP/1.1 200", 12);
        bool quiet = well && strstr(answers.bytes, alone);
        free(answers.bytes);
        if (!well)
            abort();
        if (quiet)
            return;
        poll(NULL, 0, 20);
    }
    fprintf(stderr, "requests stay in flight\n");
    abort();
}

static void start_server(void)
{
    struct answers answers = {0};
    int waited = 0;
    static const char ask[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";

    scratch_make();
    snprintf(paths[0], sizeof paths[0], "%s/main", scratch_root);
    snprintf(paths[1], sizeof paths[1], "%s/admin", scratch_root);
    if (pthread_create(&server, NULL, run_server, NULL) != 0)
        abort();
    for (bool ready = false; !ready && waited < 1000; waited++) {
        int fd = connect_to(paths[1]);
        poll(NULL, 0, 20);
        if (fd < 0)
            continue;
        close(fd);
        answers = talk(paths[0], (const uint8_t *)ask, sizeof ask - 1, 0, true);
        ready = answers.bytes && !strncmp(answers.bytes, "HTTP/1.1 200", 12);
        free(answers.bytes);
    }
    atexit(end_server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    static unsigned count;
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;

    if (!started)
        start_server();
    started = true;
    if (!line || line - data != 2)
        return 0;
    size_t length = size - 3, tenths = data[1] % 10u;
    bool patient = ++count % CHECK_EVERY == 0;
    struct answers answers =
        talk(paths[data[0] == 'a'], line + 1, length, length * tenths / 10, patient);
    if (answers.bytes)
        check_answers(&answers);
    free(answers.bytes);
    if (patient)
        check_server();
    return 0;
}
