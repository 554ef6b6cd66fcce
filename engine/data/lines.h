#ifndef ADL_DATA_LINES_H
#define ADL_DATA_LINES_H

/* Reads text files line by line. Errors about a line name the file and the line number. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Returns the length of the UTF-8 byte order mark at the start of a text, 3, or 0 if it has none:
 * editors and spreadsheets on Windows write one, and it is not part of the first line. */
size_t adl_lines_bom_length(const char *text, size_t length);

struct adl_lines {
    const char *path; /* as given to adl_lines_open() */
    char *text;       /* the whole file; owned */
    char *next, *end; /* the part of `text` that has not been read yet */
    char *line;       /* the current line in `text`, ended by NUL; the caller may shorten it */
    size_t length;    /* bytes of `line` */
    size_t number;    /* of the current line, from 1 */
    bool blank;       /* lines of nothing but blanks are passed over; set after opening */
};

/* Reads the file at `path`, which has to outlive `lines`. Fails as adl_file_read() does, with
 * ADL_ERR_LIMIT above ADL_LIMIT_LIST_BYTES. Call adl_lines_close() in any case, also after a
 * failure. */
int adl_lines_open(struct adl_lines *lines, const char *path, struct adl_error *err) ADL_MUST_CHECK;
void adl_lines_close(struct adl_lines *lines);

/* Advances to the next line: returns 1 if there is one, 0 at the end, and -1 on an error
 * (ADL_ERR_LIMIT for a line that is too long or too many lines, ADL_ERR_FORMAT for a NUL byte or
 * an empty line). Empty lines are allowed only at the end of the file, unless `blank` is set. A
 * line ends with "\n" or "\r\n". */
int adl_lines_next(struct adl_lines *lines, struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ADL_ERR_FORMAT and a message of file, line number, `problem` and the line. Always
 * returns -1. */
int adl_lines_fail(const struct adl_lines *lines, const char *problem, struct adl_error *err);
/* As a macro, so that the compiler sees the constant -1, as with adl_fail(). */
#define adl_lines_fail(...)                                                                        \
    ({                                                                                             \
        (adl_lines_fail)(__VA_ARGS__);                                                             \
        -1;                                                                                        \
    })

/* Sets *value to the number that `length` decimal digits at `text` stand for. Returns false and
 * leaves *value unchanged if there are none, other bytes among them, or the number is above
 * `max`. */
bool adl_parse_count(const char *text, size_t length, int max, int *value);

#endif
