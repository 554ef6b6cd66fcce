/* `step` on images that may have several classes: the loss and a gradient in closed form, and
 * targets that are refused. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "io/safetensors.h"
#include "models/file/save.h"
#include "server/commands/subcommands.h"
#include "support/command_call.h"
#include "support/scratch.h"
#include "support/small_model.h"

enum { IMAGES = 2, CLASSES = 5, SIDE = 32 };

/* Writes a batch of constant images with these labels: of rank 1 or 2. */
static void put_batch(enum adl_dtype dtype, int rank, const size_t *shape, const void *labels)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_tensors_create(&err);
    CU_ASSERT_FATAL(set != NULL);
    struct adl_tensor *input =
        adl_tensors_add(set, "input", ADL_F32, 4, (size_t[]){IMAGES, 3, SIDE, SIDE}, &err);
    struct adl_tensor *targets = adl_tensors_add(set, "labels", dtype, rank, shape, &err);
    CU_ASSERT_FATAL(input && targets);
    memcpy(targets->data, labels, targets->count * (dtype == ADL_F32 ? 4 : 8));
    TEST_OK(adl_safetensors_write(scratch_path("batch.safetensors"), set, &err), &err);
    adl_tensors_free(set);
}

static int step(const char *option, const char *value, struct adl_error *err)
{
    char model[300], input[300], output[300];
    snprintf(model, sizeof model, "%s", scratch_path("model.safetensors"));
    snprintf(input, sizeof input, "%s", scratch_path("batch.safetensors"));
    snprintf(output, sizeof output, "%s", scratch_path("out.safetensors"));
    *err = (struct adl_error){0};
    return command_call(&adl_command_step,
                        (const char *const[]){"--model", model, "--input", input, "--output",
                                              output, option, value, NULL},
                        "step.out", err);
}

static void open_model(const char *name)
{
    struct adl_error err = {0};
    struct adl_arch arch = model_small_arch();
    scratch_open(name, NULL);
    struct adl_model *model = adl_model_create(&arch, SIDE, SIDE, &err);
    model_must(model != NULL, &err);
    TEST_OK(adl_model_save(model, scratch_path("model.safetensors"), &err), &err);
    adl_model_free(model);
}

/* All weights of this model but those of batch norms are 0, and so are all logits. Then the loss is
 * log 2 for any targets, and the gradient of the bias of class k is the sum over the images of
 * (1/2 - t[i][k]) / (N C). */
static void zero_logits_in_closed_form(void)
{
    static const float targets[IMAGES * CLASSES] = {1, 0, 0.25f, 1, 0, 0, 0, 1, 1, 0.5f};
    static const int64_t counted[IMAGES * CLASSES] = {1, 0, 0, 1, 0, 0, 0, 1, 1, 0};
    struct adl_error err;

    open_model("step-labels");
    for (int whole = 0; whole < 2; whole++) {
        put_batch(whole ? ADL_I64 : ADL_F32, 2, (size_t[]){IMAGES, CLASSES},
                  whole ? (const void *)counted : targets);
        TEST_OK(step(NULL, NULL, &err), &err);
        struct adl_tensors *out = adl_safetensors_read(scratch_path("out.safetensors"), &err);
        CU_ASSERT_FATAL(out != NULL);
        const struct adl_tensor *loss = adl_tensors_find(out, "loss");
        const struct adl_tensor *bias = adl_tensors_find(out, "grad.fc.bias");
        CU_ASSERT_FATAL(loss && bias && bias->count == CLASSES);
        CU_ASSERT_DOUBLE_EQUAL((double)*(const float *)loss->data, log(2), 1e-7);
        for (size_t k = 0; k < CLASSES; k++) {
            double want = 0;
            for (size_t i = 0; i < IMAGES; i++)
                want += 0.5 - (whole ? (double)counted[i * CLASSES + k]
                                     : (double)targets[i * CLASSES + k]);
            CU_ASSERT_DOUBLE_EQUAL((double)((const float *)bias->data)[k],
                                   want / (IMAGES * CLASSES), 1e-8);
        }
        adl_tensors_free(out);
    }
}

static void wrong_targets_are_refused(void)
{
    static const float good[IMAGES * (CLASSES + 1)] = {0}, bad[][IMAGES * CLASSES] = {
                                                               {0, 1.5f}, {-1}, {0, 0, NAN}};
    struct adl_error err;

    open_model("step-labels-wrong");
    for (size_t i = 0; i < ADL_COUNT(bad); i++) {
        put_batch(ADL_F32, 2, (size_t[]){IMAGES, CLASSES}, bad[i]);
        CU_ASSERT(step(NULL, NULL, &err) < 0);
        CU_ASSERT(strstr(err.message, "is not from 0 to 1") != NULL);
    }
    put_batch(ADL_F32, 2, (size_t[]){IMAGES, CLASSES + 1}, good);
    CU_ASSERT(step(NULL, NULL, &err) < 0);
    CU_ASSERT(strstr(err.message, "I64 or F32 [2,5] if images may have several") != NULL);
    put_batch(ADL_F32, 2, (size_t[]){IMAGES, CLASSES}, good);
    CU_ASSERT(step("--method", "bas", &err) < 0);
}

TEST_SUITE(step_labels, {"zero logits in closed form", zero_logits_in_closed_form},
           {"wrong targets are refused", wrong_targets_are_refused});
