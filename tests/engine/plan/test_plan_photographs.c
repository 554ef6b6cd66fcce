/* plan/, image/ and models/ together: Google's MobileNetV1 on sixteen
 * photographs against PyTorch, on the CPU path in force. Needs the big weights
 * and photographs that do not lie in the tree. */

#include "support/test.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/model.h"
#include "plan/session.h"
#include "wsol/session_cam.h"

/* Largest difference from a tensor N x C x H x W of one image, relative to its
 * largest value; `got` is NHWC. */
static double difference(const struct adl_tensor *want, const float *got, size_t channels)
{
    const float *values = want->data;
    size_t plane = want->count / channels;
    double worst = 0, most = 0;
    for (size_t i = 0; i < want->count; i++) {
        worst =
            fmax(worst, fabs((double)got[i % plane * channels + i / plane] - (double)values[i]));
        most = fmax(most, fabs((double)values[i]));
    }
    return worst / most;
}

static void check_photograph(const char *path, const struct adl_model *model,
                             struct adl_session *session, double most)
{
    struct adl_error err = {0};
    struct adl_tensors *golden = adl_safetensors_read(path, &err);
    TEST_OK(golden ? 0 : -1, &err);
    if (!golden)
        return;
    const struct adl_tensor *image = adl_tensors_find(golden, "image");
    const struct adl_tensor *input = adl_tensors_find(golden, "input");
    const struct adl_tensor *logits = adl_tensors_find(golden, "logits");
    const struct adl_tensor *features = adl_tensors_find(golden, "features");
    const struct adl_tensor *cam = adl_tensors_find(golden, "cam");
    int top1 = atoi(adl_tensors_meta(golden, "top1"));

    struct adl_image rgb = {224, 224, image->data};
    adl_image_to_input(&rgb, model->mean, model->std, adl_session_input(session, 0));
    CU_ASSERT(difference(input, adl_session_input(session, 0), 3) < 1e-6);
    adl_session_run(session, 1);
    const float *got = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
    size_t best = 0;
    for (size_t k = 1; k < logits->count; k++)
        best = got[k] > got[best] ? k : best;
    CU_ASSERT_EQUAL((int)best, top1);

    float *map = adl_malloc(cam->count, sizeof *map);
    adl_session_cam(session, 0, top1, &(struct adl_map_rule){0}, map);
    double worst = fmax(difference(logits, got, logits->count),
                        difference(features, adl_session_output(session, ADL_OUTPUT_FEATURES, 0),
                                   features->shape[1]));
    worst = fmax(worst, difference(cam, map, 1));
    if (!(worst < most))
        TEST_FAIL("%s: largest relative difference %.2e", path, worst);
    adl_free(map);
    adl_tensors_free(golden);
}

/* Each photograph has to have PyTorch's best class, and its scores, features and map up to a
 * difference of `most`, relative to the largest value. */
static void check_photographs(enum adl_precision precision, double most)
{
    struct adl_error err = {0};
    const char *shared = test_shared_dir();
    char path[1024], photographs[1024];
    int checked = 0;

    snprintf(photographs, sizeof photographs, "%s/golden/mobilenet", shared ? shared : "");
    DIR *dir = opendir(photographs);
    if (!dir) {
        test_skip("the weights and photographs are not here; name their folder in "
                  "ADL_SHARED_DATA");
        return;
    }
    snprintf(path, sizeof path, "%s/weights/mobilenet_v1_0.75_224_imagenet.safetensors", shared);
    struct adl_model *model = adl_model_load(path, NULL, &err);
    struct adl_plan_options options = {.input_h = 224, .input_w = 224};
    if (model)
        TEST_OK(adl_model_choose_precision(model, 1 + (int)precision, path, &err), &err);
    options.precision = precision;
    struct adl_plan *plan =
        model ? adl_plan_create(model->graph, model->params, &options, &err) : NULL;
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    for (struct dirent *entry; session && (entry = readdir(dir));) {
        char file[2048];
        if (!strstr(entry->d_name, ".safetensors"))
            continue;
        snprintf(file, sizeof file, "%s/%s", photographs, entry->d_name);
        check_photograph(file, model, session, most);
        checked++;
    }
    closedir(dir);
    CU_ASSERT(checked > 0);
    adl_session_free(session);
    adl_plan_unref(plan);
    adl_model_free(model);
}

static void photographs_equal_pytorch(void)
{
    check_photographs(ADL_PRECISION_F32, 1e-4);
}

/* Weights have a relative error of at most 2^-9 each. The largest differences are those of single
 * values of the features; as a whole these differ by some 3 %, and the scores by half of that. */
static void rounded_weights_keep_the_best_class(void)
{
    check_photographs(ADL_PRECISION_BF16, 0.2);
}

TEST_SUITE(plan_photographs,
           {"logits, features and maps of photographs equal PyTorch's", photographs_equal_pytorch},
           {"rounded weights keep the best class", rounded_weights_keep_the_best_class});
