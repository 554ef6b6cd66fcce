/* Stores models in bfloat16; see rounded.h. */

#include "models/file/rounded.h"

#include <string.h>

#include "base/bf16.h"

struct adl_tensors *adl_rounded_tensors(const struct adl_model *model, struct adl_error *err)
{
    struct adl_tensors *set = adl_tensors_create(err);

    for (int id = 0; set && id < adl_graph_param_count(model->graph); id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        bool shorter = adl_quantisation_takes_bf16(param);
        struct adl_tensor *tensor = adl_tensors_add_unset(
            set, param->name, shorter ? ADL_BF16 : ADL_F32, param->rank, param->shape, err);
        if (!tensor) {
            adl_tensors_free(set);
            return NULL;
        }
        if (!shorter)
            memcpy(tensor->data, model->params[id], param->count * sizeof(float));
        for (size_t i = 0; shorter && i < param->count; i++)
            ((uint16_t *)tensor->data)[i] = adl_bf16_from_float(model->params[id][i]);
    }
    return set;
}
