#ifndef ADL_IO_JSON_TEXT_H
#define ADL_IO_JSON_TEXT_H

/* Between jansson's values and texts: one text out, any text in. */

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* The value as text, with a NUL that *length (may be NULL) does not count; the
 * caller frees it with adl_free. `flags` are those of json_dumps. Fails with NOMEM;
 * `json` may be NULL, which is what jansson returns when it is out of memory. */
char *adl_json_to_text(const json_t *json, size_t flags, size_t *length,
                       struct adl_error *err) ADL_MUST_CHECK;

/* A text from outside, such as a file name, as a JSON string. Where the text is not
 * UTF-8, its bytes beyond ASCII become '?'. NULL is out of memory. */
json_t *adl_json_from_text(const char *text) ADL_MUST_CHECK;

#endif
