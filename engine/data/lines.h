#ifndef ADL_DATA_LINES_H
#define ADL_DATA_LINES_H

/* Text files line by line, with file and line number in every error. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The length of the UTF-8 byte order mark that a text begins with, 3 or 0: editors and
 * spreadsheets on Windows write one, and it is no part of the first line. */
size_t adl_lines_mark(const char *text, size_t length);

/* The whole file is in memory; `line` points into it. */
struct adl_lines {
    const char *path; /* as given to open */
    char *text;
    char *at, *end; /* what has not been read yet */
    char *line;     /* the current one, NUL in place of its end; the caller may cut it */
    size_t length;  /* bytes of `line` */
    size_t number;  /* of the current line, from 1 */
};

/* Fails as adl_file_read(). `path` has to outlive the lines. Close them in any case,
 * after a failure too. */
int adl_lines_open(struct adl_lines *lines, const char *path, struct adl_error *err) ADL_MUST_CHECK;
void adl_lines_close(struct adl_lines *lines);

/* Advances: returns 1 on the next line, 0 at the end, -1 on an error (LIMIT for a line
 * or a list that is too long, FORMAT for a NUL byte or an empty line). Empty lines are
 * allowed at the end of the file only; "\r\n" ends a line like "\n". */
int adl_lines_next(struct adl_lines *lines, struct adl_error *err) ADL_MUST_CHECK;

/* Sets FORMAT with file, line number, `problem` and the line; is -1. */
int adl_lines_fail(const struct adl_lines *lines, const char *problem, struct adl_error *err);
/* Like adl_fail(), a macro that shows the compiler the -1. */
#define adl_lines_fail(...)                                                                        \
    ({                                                                                             \
        (adl_lines_fail)(__VA_ARGS__);                                                             \
        -1;                                                                                        \
    })

/* Parses `length` bytes that must be decimal digits only, as a number of at most `max`.
 * Returns false otherwise, and *value is unchanged. */
bool adl_parse_count(const char *text, size_t length, int max, int *value);

#endif
