/* Reads and writes the few-box head; see foreground.h. */

#include "models/file/foreground.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static const char weight_name[] = "foreground.weight", bias_name[] = "foreground.bias";

int adl_model_read_foreground(struct adl_model *model, const struct adl_tensors *tensors,
                              struct adl_error *err)
{
    const struct adl_tensor *weight = adl_tensors_find(tensors, weight_name);
    const struct adl_tensor *bias = adl_tensors_find(tensors, bias_name);
    bool wanted = !model->foreground_off;
    size_t channels;
    int result = -1;

    if (!weight && !bias)
        return 0;
    if (!weight || !bias || bias->count != 1)
        return adl_fail(err, ADL_ERR_FORMAT, "the foreground head needs %s and a %s of one value",
                        weight_name, bias_name);
    channels = weight->count;
    float *head = adl_malloc(channels + 1, sizeof *head);
    if (!head)
        return adl_fail_nomem(err, "the foreground head");
    adl_tensor_to_f32(weight, head);
    adl_tensor_to_f32(bias, head + channels);
    for (size_t i = 0; i <= channels; i++)
        if (!isfinite(head[i])) {
            adl_fail(err, ADL_ERR_FORMAT, "%s: value %zu is not finite",
                     i < channels ? weight_name : bias_name, i < channels ? i : 0);
            goto out;
        }
    if (adl_model_set_foreground(model, head, channels, err) < 0) {
        if (err->kind == ADL_ERR_ARG)
            err->kind = ADL_ERR_FORMAT;
        goto out;
    }
    if (!wanted)
        model->map.foreground = NULL;
    result = 0;
out:
    adl_free(head);
    return result;
}

/* Writes `count` values to the tensor called `name`, which may exist from an earlier save. */
static int put(struct adl_tensors *set, const char *name, const float *values, size_t count,
               struct adl_error *err)
{
    const struct adl_tensor *tensor = adl_tensors_find(set, name);

    if (!tensor)
        tensor = adl_tensors_add(set, name, ADL_F32, 1, &count, err);
    if (!tensor)
        return -1;
    memcpy(tensor->data, values, count * sizeof *values);
    return 0;
}

int adl_model_add_foreground(const struct adl_model *model, struct adl_tensors *set,
                             struct adl_error *err)
{
    size_t channels = model->foreground_channels;

    if (!model->foreground)
        return 0;
    if (put(set, weight_name, model->foreground, channels, err) < 0)
        return -1;
    return put(set, bias_name, model->foreground + channels, 1, err);
}
