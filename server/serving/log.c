/* Log lines: made as a JSON object in any case, so that whatever a client sent
 * is escaped, and written by one write(2) so that lines do not mix. */

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
    size_t room = sizeof line->text - 1 - line->length; /* one for the newline */
    size_t taken = ADL_MIN(length, room);

    memcpy(line->text + line->length, bytes, taken);
    line->length += taken;
    return taken == length ? 0 : -1;
}

static void append_text(struct line *line, const char *text)
{
    append(text, strlen(text), line);
}

static void timestamp(char *text, size_t size, int for_people)
{
    struct timespec now;
    struct tm parts;
    char seconds[24];

    clock_gettime(CLOCK_REALTIME, &now);
    if (for_people) {
        localtime_r(&now.tv_sec, &parts);
        strftime(text, size, "%H:%M:%S", &parts);
        return;
    }
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, size, "%s.%03uZ", seconds, (unsigned)(now.tv_nsec / 1000000) % 1000u);
}

/* What the message of a request's line has said already, or is of no interest
 * to who looks on. */
static int is_told(const char *event, const char *key)
{
    static const char *const told[] = {"remote",   "method",    "path",       "status",
                                       "bytes_in", "bytes_out", "duration_ms"};

    for (size_t i = 0; event && !strcmp(event, "request") && i < ADL_COUNT(told); i++)
        if (!strcmp(key, told[i]))
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
        if (is_told(event, key))
            continue;
        append_text(line, " ");
        append_text(line, key);
        append_text(line, "=");
        json_dump_callback(value, append, line,
                           JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII |
                               JSON_REAL_PRECISION(6));
    }
}

/* A line that does not fit is written without its fields. */
static void write_json(struct line *line, enum adl_log_level level, const char *event,
                       const char *message, json_t *fields)
{
    struct line whole = {.length = 0};
    char time[40];
    json_t *object;

    timestamp(time, sizeof time, 0);
    /* The message may name a file, whose name may be any bytes. */
    object = json_pack("{s:s, s:s, s:o, s:s*}", "ts", time, "level", adl_log_level_names[level],
                       "msg", adl_json_from_text(message), "event", event);
    if (!object || json_dump_callback(object, append, line, JSON_COMPACT) < 0) {
        line->length = 0;
        append_text(line, "{\"level\":\"error\",\"msg\":\"a line could not be written\"}");
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
            /* There is nobody left to tell. */
        }
    }
    json_decref(fields);
}
