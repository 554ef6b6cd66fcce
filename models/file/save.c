/* Writes model files: the weights in their type, the description as metadata. */

#include "models/file/save.h"

#include "base/mem.h"
#include "io/safetensors.h"
#include "models/file/description.h"
#include "models/file/foreground.h"
#include "models/file/quantised.h"
#include "models/file/rounded.h"

/* Returns the tensors of the file with their metadata. They are either the model's own, or others,
 * `made`, which the caller frees. NULL on failure. */
static struct adl_tensors *compose(const struct adl_model *model, struct adl_tensors **made,
                                   struct adl_error *err)
{
    struct adl_tensors *set = NULL;
    char *text = NULL;

    *made = NULL;
    if (!model->weights) {
        adl_fail(err, ADL_ERR_INTERNAL, "the model's weights were dropped");
        return NULL;
    }
    text = adl_model_description(model, err);
    if (!text)
        return NULL;
    if (model->quantisation)
        *made = adl_quantised_tensors(model, err);
    else if (model->bf16)
        *made = adl_rounded_tensors(model, err);
    if (!*made && (model->quantisation || model->bf16))
        goto out;
    set = *made ? *made : model->weights;
    if (adl_tensors_set_meta(set, "format", "pt", err) < 0 ||
        adl_tensors_set_meta(set, "adl", text, err) < 0 ||
        adl_model_add_foreground(model, set, err) < 0)
        set = NULL;
out:
    adl_free(text);
    return set;
}

int adl_model_save(const struct adl_model *model, const char *path, struct adl_error *err)
{
    struct adl_tensors *made;
    struct adl_tensors *set = compose(model, &made, err);
    int result = set ? adl_safetensors_write(path, set, err) : adl_error_context(err, "%s", path);

    adl_tensors_free(made);
    return result;
}

int adl_model_file_bytes(const struct adl_model *model, size_t *bytes, struct adl_error *err)
{
    struct adl_tensors *made;
    struct adl_tensors *set = compose(model, &made, err);
    int result = set ? adl_safetensors_length(set, bytes, err) : -1;

    adl_tensors_free(made);
    return result;
}
