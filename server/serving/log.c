/* Writes log lines. The fields pass through jansson's writer in both formats, so that values
 * from clients are escaped, and a line is written with one write(2), so that the lines of
 * several threads do not mix.
 *
 * DESIGN
 *
 * A thread that logs never waits. Standard error may be a pipe whose reader sleeps or a
 * terminal that was stopped, and then write(2) blocks; if I/O threads made that call, the
 * server would stop answering. So adl_log() appends the line to a ring buffer in memory, and a
 * thread that does nothing else writes the buffer's lines to standard error. Making the
 * descriptor non-blocking instead would change it for every process that shares it, and if
 * poll(2) reports that it is writable, another process may fill the pipe before the write(2).
 *
 * The ring is bounded. A line that does not fit is dropped and counted. When there is space
 * again, a line in the place of the dropped ones says how many were dropped.
 *
 * Lock. `ring.lock` protects the ring and is never held during write(2).
 *
 * At the end of the process a destructor gives the thread time to write the remaining lines,
 * as long as it makes progress; a reader that sleeps does not delay the end by more than
 * FLUSH_PATIENCE_MS. The thread is detached: it may be in a write(2) that never returns.
 * Before adl_log_setup(), and if the thread cannot be started, lines are written directly. */

#include "server/serving/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/size.h"
#include "io/json_text.h"

const char *const adl_log_level_names[] = {"debug", "info", "warn", "error", NULL};
const char *const adl_log_format_names[] = {"auto", "text", "json", NULL};

/* Set once, before threads start. */
static enum adl_log_level threshold = ADL_LOG_INFO;
static int text_format, coloured, set_up, prefixed;

#define LINE_BYTES 4096
#define RING_BYTES (256 * ADL_KIB)
#define FLUSH_PATIENCE_MS 250

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    char bytes[RING_BYTES]; /* whole lines, each ended by its newline */
    size_t begin, length;   /* the part in use, which may wrap around */
    uint64_t written;       /* lines written; shows progress */
    uint64_t dropped;       /* lines dropped since the last report */
    bool running;           /* the thread was started */
    bool writing;           /* the thread has taken a line and is not done with it */
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void start_writer(void);
static bool is_journal(void);

void adl_log_setup(enum adl_log_level least, enum adl_log_format format)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    int terminal = isatty(STDERR_FILENO);

    threshold = least;
    text_format = format == ADL_LOG_TEXT || (format == ADL_LOG_AUTO && terminal);
    set_up = 1;
    prefixed = is_journal();
    coloured = terminal && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
    start_writer();
}

static const char *const priorities[] = {"<7>", "<6>", "<4>", "<3>"};

/* Returns whether standard error is the journal of systemd, which puts the device and the inode
 * of the journal's stream into JOURNAL_STREAM. That the variable is set does not suffice, since
 * standard error may have been redirected. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

const char *adl_log_priority(enum adl_log_level level)
{
    return is_journal() ? priorities[level] : "";
}

int adl_log_is_json(void)
{
    return set_up && !text_format;
}

int adl_log_enabled(enum adl_log_level level)
{
    return level >= threshold;
}

struct line {
    char text[LINE_BYTES];
    size_t length;
};

static int append(const char *bytes, size_t length, void *data)
{
    struct line *line = data;
    size_t available = sizeof line->text - 1 - line->length; /* one for the newline */
    size_t taken = ADL_MIN(length, available);

    memcpy(line->text + line->length, bytes, taken);
    line->length += taken;
    return taken == length ? 0 : -1;
}

static void append_text(struct line *line, const char *text)
{
    append(text, strlen(text), line);
}

/* Writes the present time: with `local`, hours, minutes and seconds in local time; otherwise
 * in UTC as RFC 3339 has it. */
static void timestamp(char *text, size_t size, int local)
{
    struct timespec now;
    struct tm parts;
    char seconds[24];

    clock_gettime(CLOCK_REALTIME, &now);
    if (local) {
        localtime_r(&now.tv_sec, &parts);
        strftime(text, size, "%H:%M:%S", &parts);
        return;
    }
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, size, "%s.%03uZ", seconds, (unsigned)(now.tv_nsec / 1000000) % 1000u);
}

/* Returns whether a field of a request's line is left out of the text format, because the
 * message contains it already or it is of little use at a terminal. */
static int is_left_out(const char *event, const char *key)
{
    static const char *const names[] = {"remote",   "method",    "path",       "status",
                                        "bytes_in", "bytes_out", "duration_ms"};

    for (size_t i = 0; event && !strcmp(event, "request") && i < ADL_COUNT(names); i++)
        if (!strcmp(key, names[i]))
            return 1;
    return 0;
}

static void write_text(struct line *line, enum adl_log_level level, const char *event,
                       const char *message, json_t *fields)
{
    static const char *const colours[] = {"\033[2m", "\033[32m", "\033[33m", "\033[31m"};
    char time[40];
    const char *key;
    json_t *value;

    timestamp(time, sizeof time, 1);
    append_text(line, time);
    append_text(line, " ");
    if (coloured)
        append_text(line, colours[level]);
    append_text(line, adl_log_level_names[level]);
    append_text(line, coloured ? "\033[0m " : " ");
    append_text(line, message);
    json_object_foreach(fields, key, value)
    {
        if (is_left_out(event, key))
            continue;
        append_text(line, " ");
        append_text(line, key);
        append_text(line, "=");
        json_dump_callback(value, append, line,
                           JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII |
                               JSON_REAL_PRECISION(6));
    }
}

/* Writes a line of the JSON format. If it does not fit into the buffer, the fields are left
 * out. */
static void write_json(struct line *line, enum adl_log_level level, const char *event,
                       const char *message, json_t *fields)
{
    const size_t begin = line->length; /* after the priority */
    struct line whole = {.length = 0};
    char time[40];
    json_t *object;

    timestamp(time, sizeof time, 0);
    /* The message may contain a file name, which need not be UTF-8. */
    object = json_pack("{s:s, s:s, s:o, s:s*}", "ts", time, "level", adl_log_level_names[level],
                       "msg", adl_json_from_text(message), "event", event);
    if (!object || json_dump_callback(object, append, line, JSON_COMPACT) < 0) {
        line->length = begin;
        append_text(line, "{\"level\":\"error\",\"msg\":\"a log line could not be written\"}");
    } else if (fields && append(line->text, begin, &whole) == 0 &&
               json_object_update(object, fields) == 0 &&
               json_dump_callback(object, append, &whole, JSON_COMPACT | JSON_REAL_PRECISION(6)) ==
                   0) {
        *line = whole;
    }
    json_decref(object);
}

static void write_line(struct line *line, enum adl_log_level level, const char *event,
                       const char *message, json_t *fields)
{
    line->length = 0;
    if (prefixed)
        append_text(line, priorities[level]);
    if (text_format)
        write_text(line, level, event, message, fields);
    else
        write_json(line, level, event, message, fields);
    line->text[line->length++] = '\n';
}

/* --- the ring --------------------------------------------------------------------- */

/* Writes a line to standard error, however long that takes. */
static void write_out(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t got = write(STDERR_FILENO, text, length);
        if (got > 0) {
            text += got;
            length -= (size_t)got;
        } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            /* Another process has made the descriptor non-blocking. */
            struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (got == 0 || errno != EINTR) {
            return; /* the log itself cannot be written, so there is nowhere to report it */
        }
    }
}

/* Appends a line if it fits; under the lock. */
static bool append_to_ring(const struct line *line)
{
    size_t end = (ring.begin + ring.length) % RING_BYTES;
    size_t first = ADL_MIN(line->length, RING_BYTES - end);

    if (line->length > RING_BYTES - ring.length)
        return false;
    memcpy(ring.bytes + end, line->text, first);
    memcpy(ring.bytes, line->text + first, line->length - first);
    ring.length += line->length;
    return true;
}

/* Takes the first line of the ring, which is not empty; under the lock. */
static void take_from_ring(struct line *line)
{
    line->length = 0;
    do {
        line->text[line->length++] = ring.bytes[ring.begin];
        ring.begin = (ring.begin + 1) % RING_BYTES;
        ring.length--;
    } while (line->text[line->length - 1] != '\n' && line->length < LINE_BYTES && ring.length > 0);
}

/* Appends a line that says how many lines were dropped, if any were; under the lock. */
static void report_dropped(void)
{
    struct line report;
    char message[100];
    json_t *fields;

    if (ring.dropped == 0)
        return;
    snprintf(message, sizeof message,
             "%llu log line%s dropped, because standard error was not read",
             (unsigned long long)ring.dropped, ring.dropped == 1 ? " was" : "s were");
    fields = json_pack("{s:I}", "dropped", (json_int_t)ring.dropped);
    write_line(&report, ADL_LOG_WARN, "log", message, fields);
    json_decref(fields);
    if (append_to_ring(&report))
        ring.dropped = 0;
}

static void *write_ring(void *argument)
{
    struct line line;

    (void)argument;
    pthread_mutex_lock(&ring.lock);
    for (;;) {
        while (ring.length == 0)
            pthread_cond_wait(&ring.filled, &ring.lock);
        take_from_ring(&line);
        ring.writing = true;
        pthread_mutex_unlock(&ring.lock);
        write_out(line.text, line.length);
        pthread_mutex_lock(&ring.lock);
        ring.writing = false;
        ring.written++;
        if (ring.length == 0)
            report_dropped();
    }
    return NULL;
}

static void start_writer(void)
{
    pthread_t thread;

    if (!ring.running && pthread_create(&thread, NULL, write_ring, NULL) == 0) {
        pthread_detach(thread);
        ring.running = true;
    }
}

/* Waits for the last lines at the end of the process; see the design above. */
__attribute__((destructor)) static void flush_ring(void)
{
    uint64_t written = 0;

    for (int waited = 0; ring.running && waited < FLUSH_PATIENCE_MS; waited++) {
        pthread_mutex_lock(&ring.lock);
        bool empty = ring.length == 0 && !ring.writing;
        if (ring.written != written)
            waited = 0;
        written = ring.written;
        pthread_mutex_unlock(&ring.lock);
        if (empty)
            return;
        poll(NULL, 0, 1);
    }
}

static void put(const struct line *line)
{
    pthread_mutex_lock(&ring.lock);
    /* There has to be space for the report and for the line that follows it. */
    if (ring.dropped > 0 && RING_BYTES - ring.length >= 2 * LINE_BYTES)
        report_dropped();
    if (ring.dropped > 0 || !append_to_ring(line))
        ring.dropped++;
    pthread_cond_signal(&ring.filled);
    pthread_mutex_unlock(&ring.lock);
}

void adl_log(enum adl_log_level level, const char *event, const char *message, json_t *fields)
{
    struct line line;

    if (adl_log_enabled(level)) {
        write_line(&line, level, event, message, fields);
        if (ring.running)
            put(&line);
        else
            write_out(line.text, line.length);
    }
    json_decref(fields);
}
