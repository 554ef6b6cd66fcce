/* Reads the golden JSON files under tests/golden. */

#include "support/golden.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "support/test.h"

json_t *golden_load(const char *relative_path)
{
    char path[1024];
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s", test_golden_dir(), relative_path);
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL)
        TEST_FAIL("%s:%d: %s", path, error.line, error.text);
    return root;
}

json_t *golden_get(const json_t *object, const char *key)
{
    json_t *member = json_object_get(object, key);
    if (member == NULL)
        TEST_FAIL("golden member %s is missing", key);
    return member;
}

const char *golden_string(const json_t *object, const char *key)
{
    const char *text = json_string_value(golden_get(object, key));
    if (text == NULL)
        TEST_FAIL("golden member %s is not text", key);
    return text == NULL ? "" : text;
}

double golden_double(const json_t *object, const char *key)
{
    const json_t *member = golden_get(object, key);
    if (!json_is_number(member))
        TEST_FAIL("golden member %s is not a number", key);
    return json_number_value(member);
}

int golden_int(const json_t *object, const char *key)
{
    const json_t *member = golden_get(object, key);
    if (!json_is_integer(member))
        TEST_FAIL("golden member %s is not an integer", key);
    return (int)json_integer_value(member);
}

static size_t leaves(const json_t *value)
{
    if (!json_is_array(value))
        return 1;
    size_t sum = 0;
    for (size_t i = 0; i < json_array_size(value); i++)
        sum += leaves(json_array_get(value, i));
    return sum;
}

/* Writes all numbers in `value` to `out`. Returns a pointer to the element after the last one, or
 * NULL if something in `value` is not a number. */
static double *flatten(const json_t *value, double *out)
{
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value) && out != NULL; i++)
            out = flatten(json_array_get(value, i), out);
        return out;
    }
    const char *text = json_string_value(value);
    if (json_is_number(value))
        *out = json_number_value(value);
    else if (json_is_boolean(value))
        *out = json_is_true(value);
    else if (json_is_null(value) || (text != NULL && strcasecmp(text, "nan") == 0))
        *out = NAN;
    else
        return NULL;
    return out + 1;
}

double *golden_doubles(const json_t *array, size_t *count)
{
    size_t length = json_is_array(array) ? leaves(array) : 0;
    double *values = json_is_array(array) ? adl_malloc(length, sizeof *values) : NULL;
    if (values == NULL || (length > 0 && flatten(array, values) == NULL)) {
        TEST_FAIL("a golden array is missing or holds more than numbers");
        adl_free(values);
        *count = 0;
        return NULL;
    }
    *count = length;
    return values;
}

float *golden_floats(const json_t *array, size_t *count)
{
    double *values = golden_doubles(array, count);
    float *out = values == NULL ? NULL : adl_malloc(*count, sizeof *out);
    for (size_t i = 0; out != NULL && i < *count; i++)
        out[i] = (float)values[i];
    adl_free(values);
    return out;
}

int *golden_ints(const json_t *array, size_t *count)
{
    double *values = golden_doubles(array, count);
    int *out = values == NULL ? NULL : adl_malloc(*count, sizeof *out);
    for (size_t i = 0; out != NULL && i < *count; i++) {
        out[i] = (int)values[i];
        if ((double)out[i] != values[i])
            TEST_FAIL("golden value %zu, %g, is not an integer", i, values[i]);
    }
    adl_free(values);
    return out;
}

uint8_t *golden_base64(const char *text, size_t *length)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *bytes = adl_malloc(strlen(text) / 4 * 3 + 3, 1);
    uint32_t bits = 0;
    int pending = 0;
    size_t used = 0;
    if (bytes == NULL) {
        TEST_FAIL("no memory for base64");
        return NULL;
    }
    for (; *text != '\0' && *text != '='; text++) {
        const char *digit = strchr(alphabet, *text);
        if (digit == NULL) {
            TEST_FAIL("'%c' in base64", *text);
            adl_free(bytes);
            return NULL;
        }
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        pending += 6;
        if (pending >= 8) {
            pending -= 8;
            bytes[used++] = (uint8_t)(bits >> pending);
        }
    }
    *length = used;
    return bytes;
}
