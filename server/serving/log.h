#ifndef ADL_SERVER_SERVING_LOG_H
#define ADL_SERVER_SERVING_LOG_H

/* Writes the server's log to stderr: one JSON object per line, or short text on a terminal.
 * Thread-safe after adl_log_setup(), and then never waits for the reader of stderr: a separate
 * thread writes the lines. */

#include <jansson.h>
#include <stdint.h>

enum adl_log_level { ADL_LOG_DEBUG, ADL_LOG_INFO, ADL_LOG_WARN, ADL_LOG_ERROR };
enum adl_log_format { ADL_LOG_AUTO, ADL_LOG_TEXT, ADL_LOG_JSON };

extern const char *const adl_log_level_names[];
extern const char *const adl_log_format_names[];

/* Sets the lowest level that is written and the format, and starts the thread that writes; to
 * be called before other threads start. ADL_LOG_AUTO: text on a terminal (coloured unless
 * NO_COLOR is set), JSON otherwise. */
void adl_log_setup(enum adl_log_level least, enum adl_log_format format);

/* Returns the prefix that gives a line of this level its priority if standard error is the
 * journal of systemd, such as "<3>" (sd-daemon(3)); otherwise "". adl_log() adds the prefix
 * itself. */
const char *adl_log_priority(enum adl_log_level level);

/* Returns whether lines are JSON; false before adl_log_setup(). */
int adl_log_is_json(void);

/* Writes one line. `event` ("start", "ready", "reload", "fail", ...) may be NULL. `fields`
 * is a JSON object whose members are added to the line; the function takes ownership of it,
 * and it may be NULL. A line that cannot be written is lost; if the reason is that stderr is
 * not read, a later line says how many were lost. */
void adl_log(enum adl_log_level level, const char *event, const char *message, json_t *fields);

/* Returns how many lines were lost because stderr was not read. */
uint64_t adl_log_dropped(void);

/* Returns whether a line of this level is written. */
int adl_log_enabled(enum adl_log_level level);

#endif
