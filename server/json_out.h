#ifndef ADL_SERVER_JSON_OUT_H
#define ADL_SERVER_JSON_OUT_H

/* JSON on standard output. */

#include <jansson.h>

#include "base/error.h"

/* One value and a newline; `flags` as json_dumps takes them. */
int adl_print_json(const json_t *json, size_t flags, struct adl_error *err) ADL_MUST_CHECK;

#endif
