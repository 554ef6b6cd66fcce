#ifndef ADL_SERVER_TASKS_CSV_OUT_H
#define ADL_SERVER_TASKS_CSV_OUT_H

/* Writes comma-separated values (RFC 4180, with LF). */

#include "base/str.h"

/* Appends a text, in quotes if it contains a comma, a quote or a line break. */
void adl_csv_put_text(struct adl_str *csv, const char *text);

/* Writes the text to the file at `path`, or to standard output if that is "-", and releases it.
 * Fails with ADL_ERR_NOMEM if an append has failed, and with ADL_ERR_IO. */
int adl_csv_write(struct adl_str *csv, const char *path, struct adl_error *err) ADL_MUST_CHECK;

#endif
