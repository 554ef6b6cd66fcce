/* SpatialDropout (Tompson et al., "Efficient Object Localization Using Convolutional Networks",
 * CVPR 2015): whole channels of a map are 0 with probability p, independently for each image and
 * channel, and the others are multiplied by 1 / (1 - p); PyTorch calls it Dropout2d. Neighbouring
 * activations say nearly the same, so dropping single ones hides little; dropping a channel hides
 * what one filter sees, wherever it is. */

#include "methods/factor_layer.h"
#include "methods/method.h"
#include "ops/identity.h"

/* The options, in the order of the list below. */
enum { RATE };

static void spatial_fill(const struct adl_train_call *call, size_t image)
{
    double rate = adl_method_call_values(call)[RATE].number;
    float kept = rate < 1 ? (float)(1 / (1 - rate)) : 0;
    size_t channels = (size_t)call->out_shape.c, count = adl_shape_count(call->out_shape);
    float *factors = adl_factors_of(call, image);

    for (size_t c = 0; c < channels; c++)
        factors[c] = adl_train_uniform(call, image * channels + c) < rate ? 0 : kept;
    for (size_t i = channels; i < count; i++)
        factors[i] = factors[i - channels];
}

static void spatial_forward(const struct adl_train_call *call)
{
    adl_factor_forward(call, call->mode->dropout, spatial_fill, NULL);
}

static void spatial_backward(const struct adl_train_call *call)
{
    adl_factor_backward(call, call->mode->dropout);
}

static const struct adl_op_train training = {.drops_in = true,
                                             .saved_floats = adl_factor_saved,
                                             .forward = spatial_forward,
                                             .backward = spatial_backward};

static const struct adl_op_def op_spatial = {.name = "spatial_dropout",
                                             .training_only = true,
                                             .infer = adl_infer_same,
                                             .forward = adl_forward_copy,
                                             .train = &training};

static const struct adl_method_option options[] = {
    {"spatial-dropout-rate", ADL_METHOD_NUMBER, 0.5, 0, 1, .metavar = "P",
     .help = "probability that SpatialDropout sets a channel of an image to 0"},
    {0},
};

const struct adl_method adl_method_spatial_dropout = {
    .name = "spatial_dropout", .layer = &op_spatial, .options = options};
