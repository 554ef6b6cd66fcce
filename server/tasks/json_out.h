#ifndef ADL_SERVER_TASKS_JSON_OUT_H
#define ADL_SERVER_TASKS_JSON_OUT_H

/* JSON on standard output and in files; each value ends in a newline. `flags`
 * are those of json_dumps. */

#include <jansson.h>

#include "base/error.h"

int adl_print_json(const json_t *json, size_t flags, struct adl_error *err) ADL_MUST_CHECK;

/* Replaces the file in one step. */
int adl_write_json(const char *path, const json_t *json, size_t flags,
                   struct adl_error *err) ADL_MUST_CHECK;

/* A text from outside, a file name say, as a JSON string: bytes beyond ASCII
 * become '?' where the text is not UTF-8. NULL is out of memory. */
json_t *adl_json_text(const char *text) ADL_MUST_CHECK;

#endif
