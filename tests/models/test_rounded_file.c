/* models/file/rounded: a model in bfloat16 comes back with the same weights in about half of the
 * space, and runs as such. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "support/small_model.h"

static long size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static void it_comes_back(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small(), *plain = model_small();
    char path[300], float_path[300];
    snprintf(path, sizeof path, "%s", model_tmp_path("bf16.safetensors"));
    snprintf(float_path, sizeof float_path, "%s", model_tmp_path("float.safetensors"));

    TEST_OK(adl_model_save(model, float_path, &err), &err);
    TEST_OK(adl_model_round_bf16(model, &err), &err);
    CU_ASSERT_FALSE(model_same_weights(model, plain));
    TEST_OK(adl_model_save(model, path, &err), &err);
    struct adl_model *back = adl_model_load(path, NULL, &err);
    TEST_OK(back ? 0 : -1, &err);
    CU_ASSERT(back->bf16 && back->precision == ADL_PRECISION_BF16);
    CU_ASSERT(model_same_weights(back, model));
    CU_ASSERT(size_of(path) < 0.65 * (double)size_of(float_path));

    struct adl_tensors *set = adl_safetensors_read(path, &err);
    TEST_OK(set ? 0 : -1, &err);
    for (int id = 0; id < adl_graph_param_count(model->graph); id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        CU_ASSERT_EQUAL(adl_tensors_find(set, param->name)->dtype,
                        adl_quantisation_takes_bf16(param) ? ADL_BF16 : ADL_F32);
    }
    adl_tensors_free(set);

    /* Another precision is a choice; the weights stay rounded. */
    TEST_OK(adl_model_choose_precision(back, 1 + ADL_PRECISION_F32, path, &err), &err);
    CU_ASSERT(back->precision == ADL_PRECISION_F32 && model_same_weights(back, model));
    adl_model_free(back);

    /* The float32 file, asked to run in bfloat16, is the same network. */
    back = adl_model_load(float_path, NULL, &err);
    TEST_OK(back ? 0 : -1, &err);
    CU_ASSERT(!back->bf16 && back->precision == ADL_PRECISION_F32);
    TEST_OK(adl_model_choose_precision(back, 1 + ADL_PRECISION_BF16, path, &err), &err);
    CU_ASSERT(back->precision == ADL_PRECISION_BF16 && model_same_weights(back, model));
    adl_model_free(back);
    adl_model_free(model);
    adl_model_free(plain);
}

static void too_large_weights_are_refused(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    int id = 0;
    while (!adl_quantisation_takes_bf16(adl_graph_param(model->graph, id)))
        id++;
    adl_model_param(model, id)[1] = 3.4e38F;
    CU_ASSERT_EQUAL(adl_model_round_bf16(model, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "3.4e+38 at 1 is too large for bf16"));
    adl_model_free(model);
}

TEST_SUITE(rounded_file, {"it comes back", it_comes_back},
           {"too large weights are refused", too_large_weights_are_refused});
