/* kernels/zeros and the algorithms that use it: an output that sees zeros only is exactly
 * its bias, as the definition has it, whatever lies beside it. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/zeros.h"
#include "support/conv_run.h"
#include "support/isas.h"

static const struct conv_shape {
    int h, w, c, k, r, s, pad;
} shapes[] = {
    {14, 14, 20, 33, 3, 3, 1}, {45, 43, 5, 34, 3, 3, 1},   {26, 27, 19, 70, 3, 3, 1},
    {9, 11, 7, 16, 5, 5, 2},   {15, 17, 9, 19, 7, 7, 3},   {12, 30, 18, 35, 3, 5, 0},
    {9, 19, 20, 18, 1, 7, 0},  {19, 9, 17, 33, 7, 1, 0},   {11, 16, 16, 12, 3, 3, 2},
    {9, 8, 37, 41, 1, 1, 0},   {20, 17, 70, 150, 1, 1, 0}, {15, 15, 37, 193, 1, 1, 0},
};

/* Clears a rectangle of the map, now and then with -0, or all but a few pixels. */
static void clear(struct conv_run *run, struct adl_rng *rng, int round)
{
    const struct adl_conv *conv = &run->conv;
    int row0 = (int)adl_rng_below(rng, (uint64_t)conv->h);
    int column0 = (int)adl_rng_below(rng, (uint64_t)conv->w);
    int row1 = row0 + 1 + (int)adl_rng_below(rng, (uint64_t)(conv->h - row0));
    int column1 = column0 + 1 + (int)adl_rng_below(rng, (uint64_t)(conv->w - column0));
    for (int i = 0; i < conv->h; i++)
        for (int j = 0; j < conv->w; j++) {
            bool inside = i >= row0 && i < row1 && j >= column0 && j < column1;
            if (round % 3 == 2 ? adl_rng_below(rng, 30) > 0 : inside)
                for (int c = 0; c < conv->c; c++)
                    run->x[(i * conv->w + j) * conv->c + c] = round % 2 ? -0.0f : 0;
        }
}

static void compare(const struct conv_run *run, const struct adl_conv_algorithm *algorithm,
                    const struct adl_kernels *kernels, bool with_residual, size_t *zeros)
{
    size_t channels = (size_t)run->conv.k;
    for (size_t pixel = 0; pixel < run->out_count / channels; pixel++) {
        if (!conv_run_sees_zeros(run, pixel))
            continue;
        *zeros += channels;
        for (size_t k = 0; k < channels; k++) {
            size_t i = pixel * channels + k;
            float want = with_residual ? run->bias[k] + run->residual[i] : run->bias[k];
            if (run->out[i] != want) {
                TEST_FAIL("%s %s %dx%d: output %zu of zeros is %.9g, not the bias %.9g",
                          kernels->name, algorithm->name, run->conv.r, run->conv.s, i,
                          (double)run->out[i], (double)want);
                return;
            }
        }
    }
}

static void zeros_give_the_bias_of(const struct adl_kernels *kernels)
{
    struct adl_rng rng;
    size_t zeros = 0;
    adl_rng_seed(&rng, 24, 0, 0);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int round = 0; round < 6; round++) {
            struct conv_shape t = shapes[i];
            struct conv_run run = conv_run_open(t.h, t.w, t.c, t.k, t.r, t.s, 1, t.pad, 1);
            clear(&run, &rng, round);
            if (round == 5)
                memset(run.bias, 0, (size_t)t.k * sizeof *run.bias);
            for (int a = 0; a < ADL_CONV_ALGORITHM_COUNT; a++)
                for (int residual = 0; residual < 2; residual++)
                    if (conv_run_by(&run, adl_conv_algorithms[a], kernels, residual))
                        compare(&run, adl_conv_algorithms[a], kernels, residual, &zeros);
            conv_run_close(&run);
        }
    CU_ASSERT(zeros > 100000);
}

static void zeros_give_the_bias(void)
{
    for_each_isa(zeros_give_the_bias_of);
}

/* Of tiles of random sizes with random zero pixels, window by window. */
static void outputs_are_found(void)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 25, 0, 0);
    for (int round = 0; round < 20000; round++) {
        static const int sides[] = {1, 4, 6, 8};
        const float *pixels[64];
        float map[64][19];
        struct adl_winograd_input tile = {.rows = sides[adl_rng_below(&rng, 4)],
                                          .columns = sides[adl_rng_below(&rng, 4)],
                                          .pixels = pixels,
                                          .channels = 1 + adl_rng_below(&rng, 19)};
        int r = 1 + 2 * (int)adl_rng_below(&rng, (uint64_t)(tile.rows + 1) / 2);
        int s = 1 + 2 * (int)adl_rng_below(&rng, (uint64_t)(tile.columns + 1) / 2);
        uint64_t want = 0, rate = 2 + adl_rng_below(&rng, 30);
        memset(map, 0, sizeof map);
        for (int i = 0; i < tile.rows * tile.columns; i++) {
            pixels[i] = map[i];
            map[i][tile.channels - 1] = adl_rng_below(&rng, rate) ? -0.0f : NAN;
        }
        for (int i = 0; i + r <= tile.rows; i++)
            for (int j = 0; j + s <= tile.columns; j++) {
                bool zero = true;
                for (int l = 0; l < r * s; l++)
                    zero &= map[(i + l / s) * tile.columns + j + l % s][tile.channels - 1] == 0;
                want |= (uint64_t)zero << (8 * i + j);
            }
        CU_ASSERT_EQUAL(adl_zeros_outputs(&tile, r, s), want);
    }
}

TEST_SUITE(zeros, {"an output that sees zeros is the bias", zeros_give_the_bias},
           {"the outputs of a tile that see zeros are found", outputs_are_found});
