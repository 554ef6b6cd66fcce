/* Converts the options of the optimizer into calls of the engine's. */

#include "server/options/optimizer_options.h"

#include "base/size.h"

const char *const adl_optimizer_names[] = {
    [ADL_OPTIMIZER_SGD] = "sgd", [ADL_OPTIMIZER_ADAMW] = "adamw", NULL};

void adl_optimizer_note_given(struct adl_optimizer_settings *settings,
                              const struct adl_options *options)
{
    if (settings->kind != ADL_OPTIMIZER_ADAMW)
        return;
    if (!adl_options_given(options, "lr"))
        settings->lr = ADL_ADAMW_RATE;
    if (!adl_options_given(options, "weight-decay"))
        settings->weight_decay = ADL_ADAMW_DECAY;
}

void adl_optimizer_note_unused(const struct adl_optimizer_settings *settings,
                               const struct adl_options *options, const char *command,
                               struct adl_str *remarks)
{
    static const struct {
        const char *option;
        enum adl_optimizer_kind kind;
    } of_one[] = {{"momentum", ADL_OPTIMIZER_SGD},
                  {"no-nesterov", ADL_OPTIMIZER_SGD},
                  {"beta1", ADL_OPTIMIZER_ADAMW},
                  {"beta2", ADL_OPTIMIZER_ADAMW},
                  {"eps", ADL_OPTIMIZER_ADAMW}};

    for (size_t i = 0; i < ADL_COUNT(of_one); i++)
        if (adl_options_given(options, of_one[i].option) && settings->kind != (int)of_one[i].kind)
            adl_str_printf(remarks, "adl-server: %s: --%s has no effect with --optimizer %s\n",
                           command, of_one[i].option, adl_optimizer_names[settings->kind]);
}

struct adl_optimizer *adl_optimizer_of(const struct adl_optimizer_settings *settings,
                                       const struct adl_model *model, struct adl_error *err)
{
    struct adl_optimizer *optimizer =
        adl_optimizer_create(model->graph, (const float *const *)model->params, err);
    if (!optimizer)
        return NULL;
    if (settings->kind == ADL_OPTIMIZER_ADAMW && adl_optimizer_keep_squares(optimizer, err) < 0) {
        adl_optimizer_free(optimizer);
        return NULL;
    }
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        const struct adl_param *param = adl_graph_param(model->graph, i);
        if (adl_arch_is_head(&model->arch, param))
            adl_optimizer_set_head(optimizer, i);
        /* Biases and the weights of batch norm are the parameters of one dimension. */
        if (settings->no_decay_norm_bias && param->rank == 1)
            adl_optimizer_set_undecayed(optimizer, i);
    }
    return optimizer;
}

void adl_optimizer_take_step(const struct adl_optimizer_settings *s,
                             struct adl_optimizer *optimizer, double lr, struct adl_pool *pool)
{
    struct adl_sgd sgd = {s->momentum, s->weight_decay, !s->no_nesterov};
    struct adl_adamw adamw = {s->beta1, s->beta2, s->eps, s->weight_decay};

    if (s->kind == ADL_OPTIMIZER_ADAMW)
        adl_optimizer_step_adamw(optimizer, &adamw, lr, s->lr_classifier_ratio, pool);
    else
        adl_optimizer_step(optimizer, &sgd, lr, s->lr_classifier_ratio, pool);
}

int adl_optimizer_record(json_t *config, const struct adl_optimizer_settings *s)
{
    if (s->no_decay_norm_bias && json_object_set_new(config, "decay_norm_bias", json_false()) < 0)
        return -1;
    if (s->kind == ADL_OPTIMIZER_SGD)
        return 0;
    return json_object_update_new(config, json_pack("{s:s, s:f, s:f, s:f}", "optimizer",
                                                    adl_optimizer_names[s->kind], "beta1", s->beta1,
                                                    "beta2", s->beta2, "eps", s->eps));
}
