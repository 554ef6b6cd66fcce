/* Dropout (Srivastava et al., JMLR 2014) after the layers that other methods of this directory
 * follow: every activation is 0 with probability p, independently, and the others are multiplied by
 * 1 / (1 - p), so that the expected value does not change. With p 1 all are 0, as in PyTorch.
 *
 * ADL is compared with it: it drops activations regardless of what they respond to. */

#include "base/rng.h"
#include "methods/factor_layer.h"
#include "methods/method.h"
#include "ops/identity.h"

/* The options, in the order of the list below. */
enum { RATE };

static void dropout_fill(const struct adl_train_call *call, size_t image)
{
    double rate = adl_method_call_values(call)[RATE].number;
    float kept = rate < 1 ? (float)(1 / (1 - rate)) : 0;
    float *factors = adl_factors_of(call, image);
    size_t count = adl_shape_count(call->out_shape);
    uint64_t state = adl_train_seed(call) + image * count;

    for (size_t i = 0; i < count; i++) {
        uint64_t number = state + i;
        factors[i] = (double)(adl_rng_splitmix(&number) >> 11) * 0x1p-53 < rate ? 0 : kept;
    }
}

static void dropout_forward(const struct adl_train_call *call)
{
    adl_factor_forward(call, call->mode->dropout, dropout_fill, NULL);
}

static void dropout_backward(const struct adl_train_call *call)
{
    adl_factor_backward(call, call->mode->dropout);
}

static const struct adl_op_train training = {.drops_in = true,
                                             .saved_floats = adl_factor_saved,
                                             .forward = dropout_forward,
                                             .backward = dropout_backward};

static const struct adl_op_def op_dropout = {.name = "dropout_method",
                                             .training_only = true,
                                             .infer = adl_infer_same,
                                             .forward = adl_forward_copy,
                                             .train = &training};

static const struct adl_method_option options[] = {
    {"dropout-rate", ADL_METHOD_NUMBER, 0.5, 0, 1, .metavar = "P",
     .help = "probability that Dropout sets an activation to 0"},
    {0},
};

const struct adl_method adl_method_dropout = {
    .name = "dropout", .layer = &op_dropout, .options = options};
