/* models/file/load: a file with a value that is not finite, or that float32 cannot hold, is
 * refused, whatever its type, and the message names the tensor and the place. */

#include "support/test.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/model.h"
#include "support/small_model.h"

/* Value `place` of a tensor of zeros, by its bits. */
static const struct planted {
    enum adl_dtype dtype;
    uint64_t bits;
    bool refused;
} planted[] = {
    {ADL_F32, 0x7fc00000, true},  /* NaN */
    {ADL_F32, 0x7f800001, true},  /* signalling NaN */
    {ADL_F32, 0xff800000, true},  /* -inf */
    {ADL_F32, 0x7f7fffff, false}, /* the largest float */
    {ADL_F16, 0x7e00, true},
    {ADL_F16, 0xfc00, true},
    {ADL_F16, 0x7bff, false}, /* 65504 */
    {ADL_BF16, 0x7f80, true},
    {ADL_BF16, 0x7f7f, false},
    {ADL_F64, 0x7ff8000000000000, true},
    {ADL_F64, 0x7e37e43c8800759c, true},  /* 1e300: finite, but not as float32 */
    {ADL_F64, 0x47efffffe0000000, false}, /* the largest float */
};

static void write_planted(const struct adl_tensors *weights, const struct planted *p, size_t tensor,
                          size_t place, const char *path)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors = adl_tensors_create(&err);
    model_must(tensors != NULL, &err);
    for (size_t i = 0; i < adl_tensors_count(weights); i++) {
        const struct adl_tensor *from = adl_tensors_at(weights, i);
        struct adl_tensor *to =
            adl_tensors_add(tensors, from->name, p->dtype, from->rank, from->shape, &err);
        size_t bytes = adl_dtype_size(p->dtype);
        model_must(to != NULL, &err);
        if (i == tensor)
            memcpy((char *)to->data + place * bytes, &p->bits, bytes);
    }
    TEST_OK(adl_safetensors_write(path, tensors, &err), &err);
    adl_tensors_free(tensors);
}

static void tensor_is_named(void)
{
    struct adl_model *model = model_small();
    struct adl_arch arch = model_small_arch();
    struct adl_model_options options = {.arch = &arch};
    const char *path = model_tmp_path("planted.safetensors");
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        struct adl_error err = {0};
        size_t tensor = i * 5 % adl_tensors_count(model->weights);
        const struct adl_tensor *at = adl_tensors_at(model->weights, tensor);
        char number[64];
        write_planted(model->weights, &planted[i], tensor, at->count - 1, path);
        struct adl_model *back = adl_model_load(path, &options, &err);
        if (!back != planted[i].refused)
            TEST_FAIL("case %zu: %s", i, back ? "loaded" : err.message);
        snprintf(number, sizeof number, "1 of its %zu values", at->count);
        if (planted[i].refused && (!strstr(err.message, at->name) || !strstr(err.message, number) ||
                                   err.kind != ADL_ERR_FORMAT))
            TEST_FAIL("case %zu: %s", i, err.message);
        adl_model_free(back);
    }
    adl_model_free(model);
}

static void initial_weights_are_checked(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    const char *path = model_tmp_path("planted.safetensors");
    write_planted(model->weights, &planted[0], 0, 0, path);
    struct adl_tensors *tensors = adl_model_read_weights(path, NULL, NULL, &err);
    model_must(tensors != NULL, &err);
    CU_ASSERT_EQUAL(adl_model_take(model, tensors, NULL, NULL, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, adl_tensors_at(model->weights, 0)->name));
    adl_tensors_free(tensors);
    adl_model_free(model);
}

TEST_SUITE(nonfinite_model, {"a tensor that is not finite is named", tensor_is_named},
           {"train --init refuses it too", initial_weights_are_checked});
