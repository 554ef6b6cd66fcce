/* Writes model files: the weights in their type, the description as metadata. */

#include "models/file/save.h"

#include "base/mem.h"
#include "io/safetensors.h"
#include "models/file/description.h"
#include "models/file/foreground.h"
#include "models/file/quantised.h"
#include "models/file/rounded.h"

int adl_model_save(const struct adl_model *model, const char *path, struct adl_error *err)
{
    int result = -1;
    if (!model->weights)
        return adl_fail(err, ADL_ERR_INTERNAL, "%s: the model's weights were dropped", path);
    char *text = adl_model_description(model, err);
    if (!text)
        return -1;
    struct adl_tensors *shorter = NULL, *set = model->weights;
    if (model->quantisation || model->bf16) {
        shorter = model->quantisation ? adl_quantised_tensors(model, err)
                                      : adl_rounded_tensors(model, err);
        if (!shorter)
            goto out;
        set = shorter;
    }
    ADL_TRY(adl_tensors_set_meta(set, "format", "pt", err));
    ADL_TRY(adl_tensors_set_meta(set, "adl", text, err));
    ADL_TRY(adl_model_add_foreground(model, set, err));
    ADL_TRY(adl_safetensors_write(path, set, err));
    result = 0;
out:
    adl_tensors_free(shorter);
    adl_free(text);
    return result;
}
