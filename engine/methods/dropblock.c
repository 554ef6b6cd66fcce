/* DropBlock (Ghiasi, Lin & Le, "DropBlock: A regularization method for convolutional networks",
 * NeurIPS 2018): squares of b x b activations are dropped in every channel of every image,
 * independently of each other. For a map of H x W, each position at which a whole square fits is
 * the square's upper left corner with probability
 *
 *     g = r / b^2 * H W / ((H - b + 1) (W - b + 1)),
 *
 * so that about the fraction r of the map is dropped (less, since squares overlap). The rest is
 * multiplied by (activations) / (activations that are left), counted over the whole batch. Where
 * the map is smaller than the square, the square is as large as the map's shorter side. If nothing
 * is left, all is 0.
 *
 * r grows linearly from 0 over the training to --dropblock-rate, since a network that has learned
 * nothing yet cannot do without much; --dropblock-schedule constant has the full rate from the
 * start. */

#include "base/size.h"
#include "methods/factor_layer.h"
#include "methods/method.h"
#include "ops/identity.h"

/* The options, in the order of the list below. */
enum { SIZE, RATE, SCHEDULE };

enum { SCHEDULE_LINEAR, SCHEDULE_CONSTANT };

/* Returns g. */
static double dropblock_probability(const struct adl_train_call *call, int side)
{
    const union adl_method_value *values = adl_method_call_values(call);
    struct adl_shape map = call->out_shape;
    double rate = values[RATE].number;

    if (values[SCHEDULE].integer == SCHEDULE_LINEAR)
        rate *= call->mode->progress;
    return rate / ((double)side * side) * ((double)map.h * map.w) /
           ((double)(map.h - side + 1) * (map.w - side + 1));
}

/* Sets the square whose upper left corner is at `factors` to 0. */
static void dropblock_clear(float *factors, struct adl_shape map, int side)
{
    size_t channels = (size_t)map.c;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            factors[((size_t)y * (size_t)map.w + (size_t)x) * channels] = 0;
}

static void dropblock_fill(const struct adl_train_call *call, size_t image)
{
    struct adl_shape map = call->out_shape;
    size_t channels = (size_t)map.c, count = adl_shape_count(map);
    int side = ADL_MIN(adl_method_call_values(call)[SIZE].integer, ADL_MIN(map.h, map.w));
    double probability = dropblock_probability(call, side);
    float *factors = adl_factors_of(call, image);

    for (size_t i = 0; i < count; i++)
        factors[i] = 1;
    for (int y = 0; y + side <= map.h; y++)
        for (int x = 0; x + side <= map.w; x++)
            for (size_t c = 0; c < channels; c++) {
                size_t at = ((size_t)y * (size_t)map.w + (size_t)x) * channels + c;
                if (adl_train_uniform(call, image * count + at) < probability)
                    dropblock_clear(factors + at, map, side);
            }
}

/* Rescales what is left. */
static void dropblock_finish(const struct adl_train_call *call)
{
    size_t count = (size_t)call->batch * adl_shape_count(call->out_shape), left = 0;

    for (size_t i = 0; i < count; i++)
        left += call->saved[i] > 0;
    float scale = left ? (float)((double)count / (double)left) : 0;
    for (size_t i = 0; i < count; i++)
        call->saved[i] *= scale;
}

static void dropblock_forward(const struct adl_train_call *call)
{
    adl_factor_forward(call, true, dropblock_fill, dropblock_finish);
}

static void dropblock_backward(const struct adl_train_call *call)
{
    adl_factor_backward(call, true);
}

static const struct adl_op_train training = {.drops_in = true,
                                             .saved_floats = adl_factor_saved,
                                             .forward = dropblock_forward,
                                             .backward = dropblock_backward};

static const struct adl_op_def op_dropblock = {.name = "dropblock",
                                               .training_only = true,
                                               .infer = adl_infer_same,
                                               .forward = adl_forward_copy,
                                               .train = &training};

static const char *const schedules[] = {"linear", "constant", NULL};

static const struct adl_method_option options[] = {
    {"dropblock-size", ADL_METHOD_INTEGER, 7, 1, 10000, .metavar = "N",
     .help = "side of the squares of activations that DropBlock drops"},
    {"dropblock-rate", ADL_METHOD_NUMBER, 0.1, 0, 1, .metavar = "SHARE",
     .help = "fraction of each map that is dropped"},
    {"dropblock-schedule", ADL_METHOD_CHOICE, .choices = schedules, .metavar = "HOW",
     .help = "whether the rate grows over the epochs of the run or is constant"},
    {0},
};

const struct adl_method adl_method_dropblock = {
    .name = "dropblock", .follows_progress = true, .layer = &op_dropblock, .options = options};
