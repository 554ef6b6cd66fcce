#ifndef ADL_TESTS_SUPPORT_GOLDEN_H
#define ADL_TESTS_SUPPORT_GOLDEN_H

/* Reads the golden JSON files under tests/golden. A missing file or a member of the wrong
 * type fails the running test; the caller only has to return. Nested arrays are read as
 * one flat array, row-major. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Returns the file at `relative_path` below the golden directory, which the caller releases with
 * json_decref(), or NULL. */
json_t *golden_load(const char *relative_path);

/* Returns the member `key`, or NULL. */
json_t *golden_get(const json_t *object, const char *key);

/* Return a single member; "" or 0 if it is absent. The text is valid as long as the object. */
const char *golden_string(const json_t *object, const char *key);
double golden_double(const json_t *object, const char *key);
int golden_int(const json_t *object, const char *key);

/* Return all numbers of an array in their order, to be freed with adl_free(); NULL on failure.
 * true and false count as 1 and 0; NaN may be written as null or as text. */
double *golden_doubles(const json_t *array, size_t *count);
float *golden_floats(const json_t *array, size_t *count);
int *golden_ints(const json_t *array, size_t *count);

/* Decodes base64 text. Returns the bytes, to be freed with adl_free(); NULL on failure. */
uint8_t *golden_base64(const char *text, size_t *length);

#endif
