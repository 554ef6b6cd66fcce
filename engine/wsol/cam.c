/* Computes class activation maps, probabilities and the best classes.
 *
 * A network that ends in global average pooling and a linear layer scores class c with
 * sum over k of w[c,k] * mean over (y,x) of f[y,x,k]; exchanging the sums gives the mean of
 * the map M[y,x] = sum over k of w[c,k] * f[y,x,k], which shows where the score comes from.
 * One map costs pixels x channels multiplications (14 x 14 x 2048 = 401,408), far too few to
 * reorder the operands for, so the loop only keeps several independent sums going. Gathering the
 * features of several pixels costs more than multiplying them, so classes share it. */

#include "wsol/cam.h"

#include <math.h>
#include <stdbool.h>

/* Pixels that are summed side by side. Each sum is a chain of dependent additions in channel
 * order, which fixes the rounding; several chains hide the latency of the adder. */
#define LANES 8

/* Computes LANES pixels of the maps of COUNT classes, a constant, so that the sums stay in
 * registers. */
#define CAM_BLOCK(COUNT)                                                                           \
    static void cam_block##COUNT(const float *block, size_t channels,                              \
                                 const float *const weights[], float least, size_t pixel,          \
                                 float *const cams[])                                              \
    {                                                                                              \
        double sums[COUNT][LANES] = {{0}};                                                         \
        for (size_t k = 0; k < channels; k++) {                                                    \
            double values[LANES];                                                                  \
            for (size_t lane = 0; lane < LANES; lane++)                                            \
                values[lane] = (double)block[lane * channels + k];                                 \
            for (size_t c = 0; c < COUNT; c++) {                                                   \
                double w = weights[c][k] < least ? 0 : (double)weights[c][k];                      \
                for (size_t lane = 0; lane < LANES; lane++)                                        \
                    sums[c][lane] += w * values[lane];                                             \
            }                                                                                      \
        }                                                                                          \
        for (size_t c = 0; c < COUNT; c++)                                                         \
            for (size_t lane = 0; lane < LANES; lane++)                                            \
                cams[c][pixel + lane] = (float)sums[c][lane];                                      \
    }
CAM_BLOCK(1)
CAM_BLOCK(4)

static void cam_rest(const float *features, size_t pixel, size_t pixels, size_t channels,
                     const float *weight, float least, float *cam)
{
    for (; pixel < pixels; pixel++) {
        double sum = 0;
        for (size_t k = 0; k < channels; k++)
            sum += (weight[k] < least ? 0 : (double)weight[k]) *
                   (double)features[pixel * channels + k];
        cam[pixel] = (float)sum;
    }
}

void adl_cam_weighted(const float *features, size_t pixels, size_t channels,
                      const float *const weights[], enum adl_map_weights which, size_t count,
                      float *const cams[])
{
    const float least = which == ADL_MAP_WEIGHTS_POSITIVE ? 0 : -INFINITY;
    size_t whole = pixels / LANES * LANES;

    for (size_t pixel = 0; pixel < whole; pixel += LANES) {
        const float *block = features + pixel * channels;
        if (count == ADL_CAM_GROUP)
            cam_block4(block, channels, weights, least, pixel, cams);
        else
            for (size_t c = 0; c < count; c++)
                cam_block1(block, channels, weights + c, least, pixel, cams + c);
    }
    for (size_t c = 0; c < count; c++)
        cam_rest(features, whole, pixels, channels, weights[c], least, cams[c]);
}

void adl_cam_channel(const float *class_map, size_t pixels, size_t classes, size_t class_id,
                     float *cam)
{
    for (size_t pixel = 0; pixel < pixels; pixel++)
        cam[pixel] = class_map[pixel * classes + class_id];
}

void adl_cam_mean(const float *class_map, size_t pixels, size_t classes, const size_t *channels,
                  size_t count, float *cam)
{
    for (size_t pixel = 0; pixel < pixels; pixel++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += (double)class_map[pixel * classes + channels[i]];
        cam[pixel] = (float)(sum / (double)count);
    }
}

void adl_softmax(const float *logits, size_t count, float *probabilities)
{
    float greatest = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        greatest = logits[i] > greatest ? logits[i] : greatest;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - (double)greatest);
    for (size_t i = 0; i < count; i++)
        probabilities[i] = (float)(exp((double)logits[i] - (double)greatest) / sum);
}

/* Returns whether a comes before b. NaN is below every number, so that this is a strict order for
 * any input. */
static bool precedes(float a, float b)
{
    return a > b || (isnan(b) && !isnan(a));
}

size_t adl_top_k(const float *values, size_t count, size_t k, size_t *indices)
{
    size_t kept = 0;
    if (k == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == k && !precedes(values[i], values[indices[kept - 1]]))
            continue;
        size_t place = kept < k ? kept++ : kept - 1;
        for (; place > 0 && precedes(values[i], values[indices[place - 1]]); place--)
            indices[place] = indices[place - 1];
        indices[place] = i;
    }
    return kept;
}
