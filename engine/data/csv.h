#ifndef ADL_DATA_CSV_H
#define ADL_DATA_CSV_H

/* Reads comma-separated values as RFC 4180 has them. Errors name the file and the line. Private to
 * engine/data/. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* More fields than any list that is read here has; a record with more is an error. */
#define ADL_CSV_FIELDS 4

struct adl_csv {
    const char *path; /* as given to adl_csv_open() */
    char *text;       /* the whole file; owned */
    char *next, *end; /* the part of `text` that has not been read yet */
    /* The current record. Fields end with NUL and have no other; they are in `text` and stay valid
     * until adl_csv_close(). */
    char *fields[ADL_CSV_FIELDS];
    bool quoted[ADL_CSV_FIELDS]; /* the field was written in quotes */
    size_t count;
    size_t line;      /* on which the record begins, from 1 */
    size_t next_line; /* on which the next one does */
};

/* Reads the file at `path`, which has to outlive `csv`. Fails as adl_file_read() does, with
 * ADL_ERR_LIMIT above ADL_LIMIT_LIST_BYTES. Call adl_csv_close() in any case. */
int adl_csv_open(struct adl_csv *csv, const char *path, struct adl_error *err) ADL_MUST_CHECK;
void adl_csv_close(struct adl_csv *csv);

/* Advances to the next record: returns 1 if there is one, 0 at the end, and -1 on an error
 * (ADL_ERR_FORMAT for a NUL, quotes that are not as RFC 4180 has them and too many fields,
 * ADL_ERR_LIMIT for a field of more than ADL_LIMIT_LIST_LINE_BYTES). A record ends with "\n" or
 * "\r\n"; in quotes, a field may hold commas, line ends and, doubled, quotes. Empty lines are
 * skipped. */
int adl_csv_next(struct adl_csv *csv, struct adl_error *err) ADL_MUST_CHECK;

#endif
