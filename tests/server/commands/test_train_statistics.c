/* The statistics of batch norm that `train` estimates after each epoch: what they change, what they
 * are, and that they are the same however the run is interrupted. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image.h"
#include "io/file.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

#define ADL "--method", "adl", "--epochs", "2", "--seed", "3"

/* Compares two models; *statistics and *others become the number of differing running statistics
 * and of differing other parameters. */
static void count_differences(const struct adl_model *a, const struct adl_model *b,
                              size_t *statistics, size_t *others)
{
    *statistics = *others = 0;
    for (int i = 0; i < adl_graph_param_count(a->graph); i++) {
        const struct adl_param *param = adl_graph_param(a->graph, i);
        bool differs = memcmp(a->params[i], b->params[i], param->count * sizeof(float)) != 0;
        *(strstr(param->name, ".running_") ? statistics : others) += differs;
    }
}

/* Training does not read the running statistics: the weights are the same with and without. */
static void only_the_statistics_change(void)
{
    struct adl_error err;
    size_t statistics, others;
    train_directories("statistics");
    TEST_OK(TRAIN("with", false, &err, ADL), &err);
    TEST_OK(TRAIN("without", false, &err, ADL, "--batchnorm-batches", "0"), &err);
    struct adl_model *with = train_load("with/last.safetensors"),
                     *without = train_load("without/last.safetensors");
    count_differences(with, without, &statistics, &others);
    CU_ASSERT(statistics > 0);
    CU_ASSERT_EQUAL(others, 0);
    adl_model_free(with);
    adl_model_free(without);
    /* A frozen batch norm keeps the statistics it began with, and plain training the running
     * averages. */
    TEST_OK(TRAIN("frozen", false, &err, ADL, "--frozen-batchnorm"), &err);
    TEST_OK(TRAIN("frozen0", false, &err, ADL, "--frozen-batchnorm", "--batchnorm-batches", "0"),
            &err);
    CU_ASSERT_STRING_EQUAL(train_digest("frozen/last.safetensors"),
                           train_digest("frozen0/last.safetensors"));
    TEST_OK(TRAIN("cam", false, &err, "--epochs", "1"), &err);
    TEST_OK(TRAIN("cam0", false, &err, "--epochs", "1", "--batchnorm-batches", "0"), &err);
    CU_ASSERT_STRING_EQUAL(train_digest("cam/last.safetensors"),
                           train_digest("cam0/last.safetensors"));
}

/* The first convolution is linear, so the mean of its output over the images follows from the
 * images: with a learning rate of 0 and whole, unmirrored images of one grey, the mean of a channel
 * is that of a constant input. */
static void they_are_those_of_plain_images(void)
{
    struct adl_error err;
    struct adl_image grey;
    train_directories("grey");
    TEST_OK(adl_image_init(&grey, TRAIN_SIDE, TRAIN_SIDE, &err), &err);
    memset(grey.rgb, 200, (size_t)TRAIN_SIDE * TRAIN_SIDE * 3);
    for (int red = 0; red < 2; red++)
        for (int i = 0; i < TRAIN_PER_CLASS; i++) {
            void *bytes = NULL;
            size_t length = 0;
            TEST_OK(adl_image_encode_png(&grey, &bytes, &length, &err), &err);
            TEST_OK(adl_file_write(scratch_path("data/%s/%02d.%s", red ? "red" : "blue", i,
                                                i % 2 ? "png" : "jpg"),
                                   &(struct adl_file_piece){bytes, length}, 1, &err),
                    &err);
            adl_free(bytes);
        }
    adl_image_release(&grey);
    TEST_OK(TRAIN("run", false, &err, "--method", "cutmix", "--epochs", "1", "--lr", "0"), &err);
    struct adl_model *model = train_load("run/last.safetensors");
    const float *kernel = NULL, *mean = NULL;
    size_t channels = 0;
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        const struct adl_param *param = adl_graph_param(model->graph, i);
        if (!kernel && param->rank == 4) {
            kernel = model->params[i];
            channels = param->shape[0];
        } else if (!mean && strstr(param->name, ".running_mean"))
            mean = model->params[i];
    }
    CU_ASSERT_FATAL(kernel && mean);
    /* The convolution has stride 2 and pads one row above and one column to the left of 32 x 32:
     * of 16 x 16 outputs, those of the first row and column miss the kernel's first row and
     * column. */
    for (size_t c = 0; c < channels; c++) {
        double sum = 0;
        for (size_t k = 0; k < 3; k++) {
            double value = (200 / 255.0 - (double)model->mean[k]) / (double)model->std[k];
            for (size_t y = 0; y < 3; y++)
                for (size_t x = 0; x < 3; x++)
                    sum += (double)kernel[((c * 3 + k) * 3 + y) * 3 + x] * value *
                           (y == 0 ? 15 : 16) * (x == 0 ? 15 : 16) / 256;
        }
        CU_ASSERT_DOUBLE_EQUAL((double)mean[c], sum, 1e-5);
    }
    adl_model_free(model);
}

static void an_interrupted_run_has_the_same(void)
{
    struct adl_error err;
    train_directories("statistics-parts");
    TEST_OK(TRAIN("one", false, &err, ADL, "--threads", "1"), &err);
    CU_ASSERT(train_in_parts("parts", (const char *const[]){TRAIN_COMMON, ADL, NULL}) > 6);
    CU_ASSERT_STRING_EQUAL(train_digest("one/last.safetensors"),
                           train_digest("parts/last.safetensors"));
}

/* At 32x32 pixels and strides of 32 the last maps have one pixel. One image then has one value a
 * channel, and its variance is 0. */
static void one_value_has_no_variance(void)
{
    static const struct {
        const char *words[6];
        bool refused;
    } cases[] = {{{"--batch-size", "1"}, true},
                 {{"--batch-size", "2", "--shards", "2"}, true},
                 {{"--batch-size", "2", "--shards", "2", "--sync-batchnorm"}, false},
                 {{"--batch-size", "1", "--frozen-batchnorm"}, false},
                 {{"--batch-size", "1", "--crop-size", "64", "--resize-size", "64"}, false}};
    train_directories("one-value");
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        const char *words[TRAIN_MAX_ARGUMENTS] = {TRAIN_COMMON, "--epochs",      "1", "--lr",
                                                  "0.0001",     "--last-stride", "2"};
        struct adl_error err;
        size_t count = 0;
        char out[16];
        while (words[count])
            count++;
        for (size_t k = 0; k < ADL_COUNT(cases[i].words) && cases[i].words[k]; k++)
            words[count++] = cases[i].words[k];
        snprintf(out, sizeof out, "run%zu", i);
        int result = train_words(out, false, words, &err);
        if (!cases[i].refused)
            TEST_OK(result, &err);
        else if (result == 0 || err.kind != ADL_ERR_ARG || !strstr(err.message, "no variance"))
            TEST_FAIL("case %zu: %s", i, result == 0 ? "accepted" : err.message);
    }
}

TEST_SUITE(train_statistics, {"only the statistics change", only_the_statistics_change},
           {"they are those of plain images", they_are_those_of_plain_images},
           {"an interrupted run has the same", an_interrupted_run_has_the_same},
           {"one value has no variance", one_value_has_no_variance});
