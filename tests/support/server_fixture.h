#ifndef ADL_TESTS_SUPPORT_SERVER_FIXTURE_H
#define ADL_TESTS_SUPPORT_SERVER_FIXTURE_H

/* Makes a small model and images for the tests of the server. */

#include <stdbool.h>
#include <stddef.h>

#include "support/http_client.h"

/* Returns the path of a model file in the scratch directory: mobilenet_v1 of width 0.25 for 96x96
 * with five classes (ant, "bee, wasp", cat, dog, eel) and formula weights. The first call makes
 * the file. Returns NULL, after failing the running test, if that fails. */
const char *test_small_model(void);

/* Writes the small model with another threshold, 0 to 1, which answers show: a file with the same
 * weights and another digest. */
void test_model_variant(const char *path, double threshold);

/* Send one request and return the reply. `headers` are lines that end with CRLF, or NULL. */
struct test_reply test_post(const struct test_server *server, const char *target,
                            const char *headers, const void *body, size_t length);
struct test_reply test_get(const struct test_server *server, const char *method, const char *target,
                           const char *headers);

/* Returns whether the reply has this header with this value. */
bool test_header_is(const struct test_reply *reply, const char *name, const char *want);

/* Reads the next reply of a connection and returns its status. */
int test_next_status(int fd);

/* Returns the value of a sample of /metrics; -1 if there is none. */
double test_metric(const struct test_server *server, const char *name);

/* Waits until such a sample is at least `least`, for some seconds; returns its value. */
double test_metric_reaches(const struct test_server *server, const char *name, double least);

enum test_format { TEST_JPEG, TEST_PNG };

/* Returns a formula image of width x height as the bytes of a file, to be freed with adl_free. */
void *test_picture(enum test_format format, int width, int height, size_t *length);

/* A server with the small model, and images to send to it. */
struct test_service {
    struct test_server server;
    void *jpeg, *png; /* owned */
    size_t jpeg_length, png_length;
};

/* Makes a JPEG of width x height and a PNG of 61 x 83, starts a server with at most 17 more
 * arguments, which end with NULL and may be NULL, and waits until it is ready. Returns false, after
 * failing the running test, if it is not. */
bool test_service_open(struct test_service *service, int width, int height,
                       const char *const *more);
/* Stops the server, which has to end with status 0, and frees the images. */
void test_service_close(struct test_service *service);
/* Frees the images alone. */
void test_service_release(struct test_service *service);

/* Returns a uniform JPEG of side x side, which takes long to decode but has few bytes. */
void *test_slow_picture(int side, size_t *length);

/* Returns a form of `count` parts named "image" with the same bytes and the boundary "b", to be
 * freed with adl_free. */
void *test_form(const void *bytes, size_t length, int count, size_t *form_length);

#endif
