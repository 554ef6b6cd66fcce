#ifndef ADL_SERVER_TASKS_JSON_OUT_H
#define ADL_SERVER_TASKS_JSON_OUT_H

/* JSON to standard output and to files, each value followed by a newline. `flags` are those of
 * json_dumps(). */

#include <jansson.h>

#include "base/error.h"

/* Fails with IO if standard output cannot be written. */
int adl_print_json(const json_t *json, size_t flags, struct adl_error *err) ADL_MUST_CHECK;

/* Replaces the file in one step; fails as adl_file_write(). */
int adl_write_json(const char *path, const json_t *json, size_t flags,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
