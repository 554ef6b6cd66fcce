/* MaxDrop (Park & Kwak, "Analysis on the Dropout Effect in Convolutional Neural Networks", ACCV
 * 2016): what responds most is dropped, with a probability p and without rescaling the rest.
 *
 *     feature   in every channel of every image, the position with the highest activation
 *     channel   at every position of every image, the channel with the highest activation
 *
 * Of equal maxima the first is dropped; NaN counts as the highest, so that it does not get lost.
 *
 * It is the nearest relative of ADL, which drops the positions whose mean over the channels is
 * high, in all channels: MaxDrop leaves the same place visible in the other channels. */

#include <math.h>

#include "methods/factor_layer.h"
#include "methods/method.h"
#include "ops/identity.h"

/* The options, in the order of the list below. */
enum { MODE, PROBABILITY };

enum { MODE_FEATURE, MODE_CHANNEL };

/* Returns the index of the first maximum of `count` values that are `step` apart. */
static size_t first_maximum(const float *x, size_t count, size_t step)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        float value = x[i * step], most = x[best * step];
        if (value > most || (isnan(value) && !isnan(most)))
            best = i;
    }
    return best;
}

static void maxdrop_fill(const struct adl_train_call *call, size_t image)
{
    const union adl_method_value *values = adl_method_call_values(call);
    size_t channels = (size_t)call->out_shape.c, count = adl_shape_count(call->out_shape);
    size_t positions = count / channels;
    const float *x = call->in[0] + image * count;
    float *factors = adl_factors_of(call, image);
    bool by_position = values[MODE].integer == MODE_CHANNEL;
    size_t groups = by_position ? positions : channels;

    for (size_t i = 0; i < count; i++)
        factors[i] = 1;
    for (size_t g = 0; g < groups; g++) {
        if (!(adl_train_uniform(call, image * groups + g) < values[PROBABILITY].number))
            continue;
        if (by_position)
            factors[g * channels + first_maximum(x + g * channels, channels, 1)] = 0;
        else
            factors[first_maximum(x + g, positions, channels) * channels + g] = 0;
    }
}

static void maxdrop_forward(const struct adl_train_call *call)
{
    adl_factor_forward(call, true, maxdrop_fill, NULL);
}

static void maxdrop_backward(const struct adl_train_call *call)
{
    adl_factor_backward(call, true);
}

static const struct adl_op_train training = {.drops_in = true,
                                             .saved_floats = adl_factor_saved,
                                             .forward = maxdrop_forward,
                                             .backward = maxdrop_backward};

static const struct adl_op_def op_maxdrop = {.name = "maxdrop",
                                             .training_only = true,
                                             .infer = adl_infer_same,
                                             .forward = adl_forward_copy,
                                             .train = &training};

static const char *const modes[] = {"feature", "channel", NULL};

static const struct adl_method_option options[] = {
    {"maxdrop-mode", ADL_METHOD_CHOICE, .choices = modes, .metavar = "WHICH",
     .help = "what MaxDrop drops: the highest position of each channel, or the highest channel of "
             "each position"},
    {"maxdrop-prob", ADL_METHOD_NUMBER, 0.1, 0, 1, .metavar = "P",
     .help = "probability that a maximum is dropped"},
    {0},
};

const struct adl_method adl_method_maxdrop = {
    .name = "maxdrop", .layer = &op_maxdrop, .options = options};
