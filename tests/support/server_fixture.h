#ifndef ADL_TESTS_SUPPORT_SERVER_FIXTURE_H
#define ADL_TESTS_SUPPORT_SERVER_FIXTURE_H

/* A small model and pictures for the tests of the server. */

#include <stddef.h>

/* Path of a model file in the scratch folder: mobilenet_v1 0.25 for 96x96 with
 * five classes (ant, "bee, wasp", cat, dog, eel) and formula weights; made when
 * first asked for. NULL, after failing the running test, when that fails. */
const char *test_small_model(void);

enum test_format { TEST_JPEG, TEST_PNG };

/* A formula picture of width x height as a file's bytes; freed with adl_free. */
void *test_picture(enum test_format format, int width, int height, size_t *length);

/* A plain JPEG of side x side that takes long to decode and few bytes to send. */
void *test_slow_picture(int side, size_t *length);

/* `count` parts called "image" with the same bytes, boundary "b"; freed with
 * adl_free. */
void *test_form(const void *bytes, size_t length, int count, size_t *form_length);

#endif
