#ifndef ADL_SERVER_TASKS_JSON_OUT_H
#define ADL_SERVER_TASKS_JSON_OUT_H

/* Writes JSON values, each followed by a newline, to standard output and to files. `flags` are
 * those of json_dumps(). */

#include <jansson.h>

#include "base/error.h"

/* Writes to standard output. Fails with ADL_ERR_IO. */
int adl_print_json(const json_t *json, size_t flags, struct adl_error *err) ADL_MUST_CHECK;

/* Writes to a file, which is replaced in one step. Fails as adl_file_write() does, or with
 * ADL_ERR_NOMEM. */
int adl_write_json(const char *path, const json_t *json, size_t flags,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
