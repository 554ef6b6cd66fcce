/* Converts the options of a training step into the structs of the engine. */

#include "server/options/method_options.h"

#include <math.h>

const char *const adl_method_draws[] = {"random", "drop", "importance", "none", NULL};

bool adl_method_on(const struct adl_method_settings *s, const struct adl_method *method,
                   double epochs)
{
    if (method->branches)
        return epochs >= s->bas_warmup;
    return method->layer && s->adl_draw != ADL_METHOD_DRAW_NONE;
}

struct adl_train_mode adl_method_mode(const struct adl_method_settings *s,
                                      const struct adl_method *method)
{
    return (struct adl_train_mode){
        .frozen_batchnorm = s->frozen_batchnorm,
        .bn_momentum = 0.1,
        .dropout = !s->no_dropout,
        .method_layers = method->branches || (method->layer && s->adl_draw != ADL_METHOD_DRAW_NONE),
        .adl_draw = (enum adl_draw)s->adl_draw,
        .adl_drop_rate = s->adl_drop_rate,
        .adl_threshold = s->adl_threshold,
        .adl_per_image = s->adl_per_image,
        .adl_identity_importance = s->adl_no_importance,
        .bas_alpha = s->bas_alpha,
        .bas_beta = s->bas_beta,
    };
}

struct adl_sgd adl_method_sgd(const struct adl_method_settings *s)
{
    return (struct adl_sgd){s->momentum, s->weight_decay, !s->no_nesterov};
}
