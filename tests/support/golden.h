#ifndef ADL_TESTS_SUPPORT_GOLDEN_H
#define ADL_TESTS_SUPPORT_GOLDEN_H

/* Reading the golden JSON files under tests/golden. A missing file or a member of the wrong
 * type fails the running test; the caller only has to return. Nested arrays are read as
 * one flat array, row-major. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* The file at `relative_path` below the golden directory, or NULL; json_decref. */
json_t *golden_load(const char *relative_path);

/* The member `key`, or NULL. */
json_t *golden_get(const json_t *object, const char *key);

/* Single members; "" and 0 when absent. The text lives as long as the object. */
const char *golden_string(const json_t *object, const char *key);
double golden_double(const json_t *object, const char *key);
int golden_int(const json_t *object, const char *key);

/* All numbers of an array in their order; true and false count as 1 and 0,
 * NaN may be written as null or as text. adl_free; NULL on failure. */
double *golden_doubles(const json_t *array, size_t *count);
float *golden_floats(const json_t *array, size_t *count);
int *golden_ints(const json_t *array, size_t *count);

/* The bytes that base64 text stands for. adl_free; NULL on failure. */
uint8_t *golden_base64(const char *text, size_t *length);

#endif
