/* Log lines. Values pass through jansson's writer in both formats, so that whatever a
 * client sent is escaped, and a line is written with one write(2), so that the lines of
 * several threads do not mix. */

#include "server/serving/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/size.h"
#include "io/json_text.h"

const char *const adl_log_level_names[] = {"debug", "info", "warn", "error", NULL};
const char *const adl_log_format_names[] = {"auto", "text", "json", NULL};

/* Set once, before threads start. */
static enum adl_log_level threshold = ADL_LOG_INFO;
static int text_format, coloured, set_up;

void adl_log_setup(enum adl_log_level least, enum adl_log_format format)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    int terminal = isatty(STDERR_FILENO);

    threshold = least;
    text_format = format == ADL_LOG_TEXT || (format == ADL_LOG_AUTO && terminal);
    set_up = 1;
    coloured = terminal && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
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
    char text[4096];
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

/* `local`: hours, minutes and seconds for a person; otherwise RFC 3339 in UTC. */
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

/* Whether a field of a request's line is left out of the text format, because the
 * message contains it already or it does not interest a person at a terminal. */
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

/* If the line does not fit into the buffer, the fields are left out. */
static void write_json(struct line *line, enum adl_log_level level, const char *event,
                       const char *message, json_t *fields)
{
    struct line whole = {.length = 0};
    char time[40];
    json_t *object;

    timestamp(time, sizeof time, 0);
    /* The message may contain a file name, which need not be UTF-8. */
    object = json_pack("{s:s, s:s, s:o, s:s*}", "ts", time, "level", adl_log_level_names[level],
                       "msg", adl_json_from_text(message), "event", event);
    if (!object || json_dump_callback(object, append, line, JSON_COMPACT) < 0) {
        line->length = 0;
        append_text(line, "{\"level\":\"error\",\"msg\":\"a log line could not be written\"}");
    } else if (fields && json_object_update(object, fields) == 0 &&
               json_dump_callback(object, append, &whole, JSON_COMPACT | JSON_REAL_PRECISION(6)) ==
                   0) {
        *line = whole;
    }
    json_decref(object);
}

void adl_log(enum adl_log_level level, const char *event, const char *message, json_t *fields)
{
    struct line line = {.length = 0};

    if (adl_log_enabled(level)) {
        if (text_format)
            write_text(&line, level, event, message, fields);
        else
            write_json(&line, level, event, message, fields);
        line.text[line.length++] = '\n';
        if (write(STDERR_FILENO, line.text, line.length) < 0) {
            /* The log itself cannot be written, so there is nowhere to report it. */
        }
    }
    json_decref(fields);
}
