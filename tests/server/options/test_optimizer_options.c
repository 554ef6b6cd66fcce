/* options/optimizer_options: which parameters have weight decay, with both optimizers. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "server/options/optimizer_options.h"
#include "support/small_model.h"

/* Returns whether a parameter is one that PyTorch's users put into a group without decay: all
 * biases, and the weights of normalisations. */
static bool is_norm_or_bias(const struct adl_param *param)
{
    size_t length = strlen(param->name);
    return (length > 5 && !strcmp(param->name + length - 5, ".bias")) ||
           param->role == ADL_PARAM_BN_WEIGHT;
}

/* Without gradient a step multiplies what decays by 1 - lr decay and leaves the rest alone. */
static void decays_what_it_should(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    for (int i = 0; i < 4; i++) {
        const struct adl_optimizer_settings settings = {.kind = i / 2 ? ADL_OPTIMIZER_ADAMW
                                                                      : ADL_OPTIMIZER_SGD,
                                                        .lr_classifier_ratio = 1,
                                                        .beta1 = 0.9,
                                                        .beta2 = 0.999,
                                                        .eps = 1e-8,
                                                        .weight_decay = 0.1,
                                                        .no_decay_norm_bias = i % 2};
        struct adl_optimizer *optimizer = adl_optimizer_of(&settings, model, &err);
        int kept = 0;
        CU_ASSERT_FATAL(optimizer != NULL);
        adl_optimizer_zero_grads(optimizer);
        adl_optimizer_take_step(&settings, optimizer, 0.5, NULL);
        for (int p = 0; p < adl_graph_param_count(model->graph); p++) {
            const struct adl_param *param = adl_graph_param(model->graph, p);
            bool statistic = param->role == ADL_PARAM_BN_MEAN || param->role == ADL_PARAM_BN_VAR;
            bool keeps = statistic || (settings.no_decay_norm_bias && is_norm_or_bias(param));
            kept += keeps && !statistic;
            for (size_t j = 0; j < param->count; j++)
                CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_params(optimizer)[p][j],
                                       (double)model->params[p][j] * (keeps ? 1 : 0.95),
                                       keeps ? 0 : 1e-6 * (1 + fabs((double)model->params[p][j])));
        }
        CU_ASSERT_EQUAL(kept > 0, settings.no_decay_norm_bias);
        adl_optimizer_free(optimizer);
    }
    adl_model_free(model);
}

TEST_SUITE(optimizer_options, {"decays what it should", decays_what_it_should});
