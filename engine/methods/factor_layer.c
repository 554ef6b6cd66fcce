/* Layers that multiply each activation by a factor; see factor_layer.h. */

#include "methods/factor_layer.h"

#include <string.h>

size_t adl_factor_saved(const struct adl_node *node, int batch, const struct adl_shape *in,
                        struct adl_shape out)
{
    (void)node;
    (void)in;
    return (size_t)batch * adl_shape_count(out);
}

float *adl_factors_of(const struct adl_train_call *call, size_t image)
{
    return call->saved + image * adl_shape_count(call->out_shape);
}

static void factor_apply(const struct adl_train_call *call, size_t image)
{
    size_t count = adl_shape_count(call->out_shape);
    const float *x = call->in[0] + image * count, *factors = adl_factors_of(call, image);
    float *y = call->out + image * count;
    for (size_t i = 0; i < count; i++)
        y[i] = x[i] * factors[i];
}

static void factor_apply_back(const struct adl_train_call *call, size_t image)
{
    size_t count = adl_shape_count(call->out_shape);
    const float *dy = call->grad_out + image * count, *factors = adl_factors_of(call, image);
    float *dx = call->grad_in[0] + image * count;
    for (size_t i = 0; i < count; i++)
        dx[i] = (call->add_in[0] ? dx[i] : 0) + dy[i] * factors[i];
}

void adl_factor_forward(const struct adl_train_call *call, bool on, adl_train_image_body *fill,
                        void (*finish)(const struct adl_train_call *call))
{
    size_t count = (size_t)call->batch * adl_shape_count(call->out_shape);

    if (!on || !call->mode->method_layers) {
        memcpy(call->out, call->in[0], count * sizeof *call->out);
        return;
    }
    adl_train_images(call, fill);
    if (finish)
        finish(call);
    adl_train_images(call, factor_apply);
}

void adl_factor_backward(const struct adl_train_call *call, bool on)
{
    if (!call->grad_in[0])
        return;
    if (on && call->mode->method_layers)
        adl_train_images(call, factor_apply_back);
    else
        adl_train_pass_on(call, 0, call->grad_out);
}
