/* Writes model files: the weights as they are, the description as metadata. */

#include "models/file/save.h"

#include "base/mem.h"
#include "io/safetensors.h"
#include "models/file/description.h"
#include "models/file/foreground.h"

int adl_model_save(const struct adl_model *model, const char *path, struct adl_error *err)
{
    int result = -1;
    if (!model->weights)
        return adl_fail(err, ADL_ERR_INTERNAL, "%s: the model's weights were dropped", path);
    char *text = adl_model_description(model, err);
    if (!text)
        return -1;
    ADL_TRY(adl_tensors_set_meta(model->weights, "format", "pt", err));
    ADL_TRY(adl_tensors_set_meta(model->weights, "adl", text, err));
    ADL_TRY(adl_model_add_foreground(model, model->weights, err));
    ADL_TRY(adl_safetensors_write(path, model->weights, err));
    result = 0;
out:
    adl_free(text);
    return result;
}
