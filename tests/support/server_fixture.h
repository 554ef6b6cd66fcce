#ifndef ADL_TESTS_SUPPORT_SERVER_FIXTURE_H
#define ADL_TESTS_SUPPORT_SERVER_FIXTURE_H

/* Makes a small model and images for the tests of the server. */

#include <stddef.h>

/* Returns the path of a model file in the scratch directory: mobilenet_v1 of width 0.25 for 96x96
 * with five classes (ant, "bee, wasp", cat, dog, eel) and formula weights. The first call makes
 * the file. Returns NULL, after failing the running test, if that fails. */
const char *test_small_model(void);

enum test_format { TEST_JPEG, TEST_PNG };

/* Returns a formula image of width x height as the bytes of a file, to be freed with adl_free. */
void *test_picture(enum test_format format, int width, int height, size_t *length);

/* Returns a uniform JPEG of side x side, which takes long to decode but has few bytes. */
void *test_slow_picture(int side, size_t *length);

/* Returns a form of `count` parts named "image" with the same bytes and the boundary "b", to be
 * freed with adl_free. */
void *test_form(const void *bytes, size_t length, int count, size_t *form_length);

#endif
