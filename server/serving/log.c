/* Writes log lines. The fields pass through jansson's writer in both formats, so that values
 * from clients are escaped, and a line is written with one write(2), so that the lines of
 * several threads do not mix.
 * Before adl_log_setup(), and if its thread cannot be started, lines are written directly; after
 * that they go through a ring buffer (log_ring.h), so that a thread that logs never waits. */

#include "server/serving/log.h"

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
#include "server/serving/log_ring.h"

const char *const adl_log_level_names[] = {"debug", "info", "warn", "error", NULL};
const char *const adl_log_format_names[] = {"auto", "text", "json", NULL};

/* Set once, before threads start. */
static enum adl_log_level threshold = ADL_LOG_INFO;
static int text_format, coloured, set_up, prefixed;

static void report_dropped(struct adl_log_line *line, uint64_t dropped);

static char ring_bytes[ADL_LOG_RING_BYTES];
static struct adl_log_ring ring =
    ADL_LOG_RING(.bytes = ring_bytes, .fd = STDERR_FILENO, .report = report_dropped);

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
    adl_log_ring_start(&ring);
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

static int append(const char *bytes, size_t length, void *data)
{
    struct adl_log_line *line = data;
    size_t available = sizeof line->text - 1 - line->length; /* one for the newline */
    size_t taken = ADL_MIN(length, available);

    memcpy(line->text + line->length, bytes, taken);
    line->length += taken;
    return taken == length ? 0 : -1;
}

static void append_text(struct adl_log_line *line, const char *text)
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

static void write_text(struct adl_log_line *line, enum adl_log_level level, const char *event,
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
static void write_json(struct adl_log_line *line, enum adl_log_level level, const char *event,
                       const char *message, json_t *fields)
{
    const size_t begin = line->length; /* after the priority */
    struct adl_log_line whole = {.length = 0};
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

static void write_line(struct adl_log_line *line, enum adl_log_level level, const char *event,
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

/* Says how many lines were dropped; called under the lock of the ring. */
static void report_dropped(struct adl_log_line *line, uint64_t dropped)
{
    char message[100];
    json_t *fields = json_pack("{s:I}", "dropped", (json_int_t)dropped);

    snprintf(message, sizeof message,
             "%llu log line%s dropped, because standard error was not read",
             (unsigned long long)dropped, dropped == 1 ? " was" : "s were");
    write_line(line, ADL_LOG_WARN, "log", message, fields);
    json_decref(fields);
}

__attribute__((destructor)) static void flush_at_the_end(void)
{
    adl_log_ring_flush(&ring);
}

uint64_t adl_log_dropped(void)
{
    return adl_log_ring_dropped(&ring);
}

void adl_log(enum adl_log_level level, const char *event, const char *message, json_t *fields)
{
    struct adl_log_line line;

    if (adl_log_enabled(level)) {
        write_line(&line, level, event, message, fields);
        adl_log_ring_put(&ring, &line);
    }
    json_decref(fields);
}
