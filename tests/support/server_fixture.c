/* Makes a small model and images for the tests of the server. */

#include "support/server_fixture.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "image/image.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/formula.h"
#include "support/test.h"

#define SIDE 96

const char *test_small_model(void)
{
    static char path[300];
    static const char *const classes[] = {"ant", "bee, wasp", "cat", "dog", "eel"};
    struct adl_error err = {0};
    struct adl_arch arch;
    struct adl_model *model = NULL;

    if (*path)
        return path;
    adl_arch_init(&arch, &adl_backbone_mobilenet_v1);
    arch.width = 0.25;
    arch.num_classes = 5;
    model = adl_model_create(&arch, SIDE, SIDE, &err);
    if (!model)
        goto out;
    for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(model->weights, i);
        size_t fan_in = 1;
        for (int d = 1; d < tensor->rank; d++)
            fan_in *= tensor->shape[d];
        if (tensor->rank > 1)
            formula_param(tensor->name, 0, (float)sqrt(6.0 / (double)fan_in), tensor->count,
                          tensor->data);
    }
    ADL_TRY(adl_model_set_classes(model, classes, 5, &err));
    snprintf(path, sizeof path, "%s/fixture.safetensors", test_tmp_dir());
    ADL_TRY(adl_model_save(model, path, &err));
out:
    adl_model_free(model);
    if (err.kind) {
        TEST_FAIL("%s", err.message);
        *path = '\0';
    }
    return *path ? path : NULL;
}

void test_model_variant(const char *path, double threshold)
{
    struct adl_error err = {0};
    const char *from = test_small_model();
    struct adl_model *model = from ? adl_model_load(from, NULL, &err) : NULL;

    if (!model) {
        TEST_FAIL("%s", err.message);
        return;
    }
    model->map.threshold = threshold;
    if (adl_model_save(model, path, &err) < 0)
        TEST_FAIL("%s", err.message);
    adl_model_free(model);
}

static void *encode(const struct adl_image *image, enum test_format format, size_t *length)
{
    struct adl_error err = {0};
    void *bytes = NULL;
    int result = format == TEST_JPEG ? adl_image_encode_jpeg(image, 85, &bytes, length, &err)
                                     : adl_image_encode_png(image, &bytes, length, &err);
    if (result < 0)
        TEST_FAIL("%s", err.message);
    return bytes;
}

void *test_picture(enum test_format format, int width, int height, size_t *length)
{
    struct adl_error err = {0};
    struct adl_image image;
    void *bytes = NULL;

    if (adl_image_init(&image, width, height, &err) == 0) {
        formula_picture("a picture for the server", height, width, image.rgb);
        bytes = encode(&image, format, length);
    }
    adl_image_release(&image);
    return bytes;
}

void *test_slow_picture(int side, size_t *length)
{
    struct adl_error err = {0};
    struct adl_image image;
    void *bytes = NULL;

    if (adl_image_init(&image, side, side, &err) == 0) {
        memset(image.rgb, 100, 3 * (size_t)side * (size_t)side);
        bytes = encode(&image, TEST_JPEG, length);
    }
    adl_image_release(&image);
    return bytes;
}

void *test_form(const void *bytes, size_t length, int count, size_t *form_length)
{
    struct adl_error err = {0};
    struct adl_str form = {0};

    for (int i = 0; i < count; i++) {
        adl_str_puts(&form, "--b\r\nContent-Disposition: form-data; name=\"image\"; "
                            "filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n");
        adl_str_append(&form, bytes, length);
        adl_str_puts(&form, "\r\n");
    }
    adl_str_puts(&form, "--b--\r\n");
    void *result = adl_str_take(&form, form_length, &err);
    adl_str_release(&form);
    return result;
}

bool test_service_open(struct test_service *service, int width, int height, const char *const *more)
{
    const char *arguments[20] = {"--model", test_small_model()};

    if (!arguments[1])
        return false;
    for (size_t i = 0; more && more[i] && i < 17; i++)
        arguments[i + 2] = more[i];
    if (!service->jpeg)
        service->jpeg = test_picture(TEST_JPEG, width, height, &service->jpeg_length);
    if (!service->png)
        service->png = test_picture(TEST_PNG, 61, 83, &service->png_length);
    return service->jpeg && service->png && test_server_start(&service->server, arguments) == 0 &&
           test_server_ready(&service->server) == 0;
}

void test_service_close(struct test_service *service)
{
    CU_ASSERT_EQUAL(test_server_stop(&service->server), 0);
    test_service_release(service);
}

void test_service_release(struct test_service *service)
{
    adl_free(service->jpeg);
    adl_free(service->png);
    service->jpeg = service->png = NULL;
}

struct test_reply test_post(const struct test_server *server, const char *target,
                            const char *headers, const void *body, size_t length)
{
    struct test_reply reply;
    test_request(server, "POST", target, headers, body, length, &reply);
    return reply;
}

struct test_reply test_get(const struct test_server *server, const char *method, const char *target,
                           const char *headers)
{
    struct test_reply reply;
    test_request(server, method, target, headers, NULL, 0, &reply);
    return reply;
}

bool test_header_is(const struct test_reply *reply, const char *name, const char *want)
{
    const char *value = test_reply_header(reply, name);
    return value && !strcmp(value, want);
}

int test_next_status(int fd)
{
    struct test_reply reply;
    test_receive(fd, false, &reply);
    test_reply_release(&reply);
    return reply.status;
}

double test_metric(const struct test_server *server, const char *name)
{
    struct test_reply reply;
    double value = -1;
    test_request(server, "GET", "/metrics", NULL, NULL, 0, &reply);
    const char *at = reply.body ? strstr(reply.body, name) : NULL;
    if (at)
        value = strtod(at + strlen(name), NULL);
    test_reply_release(&reply);
    return value;
}

double test_metric_reaches(const struct test_server *server, const char *name, double least)
{
    double value = test_metric(server, name);
    for (int i = 0; i < 1000 && value < least; i++, value = test_metric(server, name))
        poll(NULL, 0, 10);
    return value;
}
