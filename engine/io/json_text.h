#ifndef ADL_IO_JSON_TEXT_H
#define ADL_IO_JSON_TEXT_H

/* Converts between jansson's values and plain text. */

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* Returns the value as JSON text, with a NUL that *length (may be NULL) does not count; the
 * caller frees it with adl_free. `flags` are those of json_dumps. Fails with ADL_ERR_NOMEM;
 * `json` may be NULL, which is what jansson returns when it is out of memory. */
char *adl_json_to_text(const json_t *json, size_t flags, size_t *length,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Returns a JSON string of an untrusted text, such as a file name. If the text is not UTF-8,
 * each of its bytes beyond ASCII becomes '?'. Returns NULL only when out of memory. */
json_t *adl_json_from_text(const char *text) ADL_MUST_CHECK;

/* Reads the next line of a text of JSON lines, and moves *text past it. Returns its value, which
 * the caller releases; NULL for a damaged line. To be called while **text is not 0. */
json_t *adl_json_next_line(const char **text);

#endif
