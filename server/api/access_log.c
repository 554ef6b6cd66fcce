/* Logs requests; see access_log.h. A file has a ring buffer and a writer of its own
 * (serving/log_ring.h), so that neither it nor standard error can hold the other. */

#include "server/api/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/name.h"
#include "base/size.h"
#include "base/str.h"
#include "base/utf8.h"
#include "io/json_text.h"
#include "server/api/server.h"
#include "server/serving/log.h"
#include "server/serving/log_ring.h"

const char *const adl_access_format_names[] = {"json", "combined", NULL};

static char ring_bytes[ADL_LOG_RING_BYTES];
static struct adl_log_ring ring = ADL_LOG_RING(.bytes = ring_bytes, .fd = -1);
static enum adl_access_format format;
static bool opened; /* set before requests begin; the descriptor itself belongs to the ring */

int adl_access_log_open(const char *path, enum adl_access_format chosen, struct adl_error *err)
{
    /* Without O_NONBLOCK, opening a pipe that nobody reads would wait. */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

    if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0) {
        int why = errno;
        adl_fail(err, ADL_ERR_IO, "--access-log %s: %s%s", ADL_SHORT(path), strerror(why),
                 why == ENXIO ? "; nobody reads from this pipe" : "");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    format = chosen;
    ring.fd = fd;
    ring.path = path;
    opened = true;
    adl_log_ring_start(&ring);
    return 0;
}

void adl_access_log_reopen(void)
{
    if (opened)
        adl_log_ring_reopen(&ring);
}

uint64_t adl_access_log_dropped(void)
{
    return adl_log_ring_dropped(&ring);
}

__attribute__((destructor)) static void flush_at_the_end(void)
{
    adl_log_ring_flush(&ring);
}

/* --- JSON ------------------------------------------------------------------------------ */

static void add_stages(json_t *fields, const struct adl_exchange *exchange)
{
    const struct adl_stage_times *times = &exchange->times;
    json_t *ms = json_object();

    for (int i = 0; ms && i < ADL_STAGE_COUNT; i++)
        json_object_set_new(ms, adl_stage_names[i], json_real(times->ms[i]));
    json_object_set_new(fields, "stages_ms", ms);
    json_object_set_new(fields, "batch", json_integer(times->batch));
    json_object_set_new(fields, "ahead", json_integer((json_int_t)times->ahead));
}

/* Replaces the control characters that JSON does not escape, DEL and U+0080 to U+009F, by question
 * marks: whoever prints a log has a terminal, and some of them obey. */
static void blank_controls(char *text)
{
    for (; *text; text++)
        memset(text, '?', adl_utf8_late_control(text));
}

/* Returns the fields of a line, owned by the caller; NULL if there is not enough memory. */
static json_t *fields_of(const struct adl_exchange *exchange, bool sent, double ms)
{
    const struct adl_http_request *http = exchange->http;
    char path[300];
    json_t *fields;

    snprintf(path, sizeof path, "%s", http->path);
    blank_controls(path);
    fields = json_pack("{s:s, s:s*, s:s, s:s*, s:s, s:o, s:i, s:I, s:I, s:f, s:s*, s:s*}",
                       "request_id", exchange->request_id, "trace_id",
                       *exchange->trace.trace_id ? exchange->trace.trace_id : NULL, "remote",
                       http->remote, "token", *exchange->token ? exchange->token : NULL, "method",
                       adl_method_names[exchange->method], "path", adl_json_from_text(path),
                       "status", http->status, "bytes_in", (json_int_t)http->body_bytes,
                       "bytes_out", (json_int_t)adl_exchange_bytes_out(exchange), "duration_ms", ms,
                       "model", *exchange->model ? exchange->model : NULL, "problem",
                       exchange->problem ? adl_problem_row(exchange->problem)->name : NULL);
    if (fields && exchange->images > 1)
        json_object_set_new(fields, "images", json_integer((json_int_t)exchange->images));
    if (fields && exchange->times.known)
        add_stages(fields, exchange);
    if (fields && !sent)
        json_object_set_new(fields, "sent", json_false());
    return fields;
}

static int append(const char *bytes, size_t length, void *data)
{
    struct adl_log_line *line = data;

    if (length > sizeof line->text - 1 - line->length) /* one for the newline */
        return -1;
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
    return 0;
}

static void write_json(struct adl_log_line *line, const struct adl_exchange *exchange, bool sent,
                       double ms)
{
    char seconds[24], time[40];
    struct timespec now;
    struct tm parts;
    json_t *fields = fields_of(exchange, sent, ms), *object;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(time, sizeof time, "%s.%03uZ", seconds, (unsigned)(now.tv_nsec / 1000000) % 1000u);
    object = json_pack("{s:s}", "ts", time);
    line->length = 0;
    if (!object || !fields || json_object_update(object, fields) < 0 ||
        json_dump_callback(object, append, line, JSON_COMPACT | JSON_REAL_PRECISION(6)) < 0)
        line->length = 0;
    json_decref(object);
    json_decref(fields);
}

/* --- the combined format --------------------------------------------------------------- */

/* Appends what a client sent, at most `most` bytes of it, in quotes; quotes, backslashes and what
 * is not printable as \xHH, as Apache writes them. NULL: "-". */
static void put_quoted(struct adl_str *text, const char *value, size_t most)
{
    adl_str_puts(text, "\"");
    if (!value)
        adl_str_puts(text, "-");
    for (size_t i = 0; value && value[i] && i < most; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\')
            adl_str_printf(text, "\\x%02x", c);
        else
            adl_str_append(text, &value[i], 1);
    }
    adl_str_puts(text, "\"");
}

static void write_combined(struct adl_log_line *line, const struct adl_exchange *exchange)
{
    const struct adl_http_request *http = exchange->http;
    struct adl_str text = {0};
    char first[600], time_text[40];
    time_t now = time(NULL);
    struct tm parts;

    gmtime_r(&now, &parts);
    strftime(time_text, sizeof time_text, "%d/%b/%Y:%H:%M:%S +0000", &parts);
    snprintf(first, sizeof first, "%.20s %.500s %.20s", http->method, http->path, http->version);
    adl_str_printf(&text, "%s - %s [%s] ", http->remote, *exchange->token ? exchange->token : "-",
                   time_text);
    put_quoted(&text, first, sizeof first);
    adl_str_printf(&text, " %d %zu ", http->status, adl_exchange_bytes_out(exchange));
    put_quoted(&text, adl_http_header(http, "Referer"), 300);
    adl_str_puts(&text, " ");
    put_quoted(&text, adl_http_header(http, "User-Agent"), 300);
    line->length = 0;
    if (!text.failed && append(text.data, text.length, line) < 0)
        line->length = 0;
    adl_str_release(&text);
}

/* --- both ------------------------------------------------------------------------------- */

static void log_to_file(const struct adl_exchange *exchange, bool sent, double ms)
{
    struct adl_log_line line;

    if (format == ADL_ACCESS_COMBINED)
        write_combined(&line, exchange);
    else
        write_json(&line, exchange, sent, ms);
    if (line.length == 0)
        return; /* there was no memory for it */
    line.text[line.length++] = '\n';
    adl_log_ring_put(&ring, &line);
}

void adl_access_log(const struct adl_exchange *exchange, bool sent, double ms)
{
    const struct adl_http_request *http = exchange->http;
    bool quiet = exchange->route && exchange->route->unattended && http->status < 400;
    enum adl_log_level level = http->status >= 500 ? ADL_LOG_WARN
                               : quiet             ? ADL_LOG_DEBUG
                                                   : ADL_LOG_INFO;
    char path[300], message[400];

    if (opened) {
        log_to_file(exchange, sent, ms);
        return;
    }
    if (!adl_log_enabled(level))
        return;
    snprintf(path, sizeof path, "%s", http->path);
    for (char *c = path; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    snprintf(message, sizeof message, "%s %s %d in %.1f ms", adl_method_names[exchange->method],
             path, http->status, ms);
    adl_log(level, "request", message, fields_of(exchange, sent, ms));
}
