#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/safetensors.h"

#define META_KEY "adl_state"

/* The two groups of arrays of a checkpoint. */
struct group {
    const char *prefix;
    float *const *arrays; /* by parameter id; NULL where there is none */
};

static void groups_of(const struct adl_optimizer *optimizer, struct group groups[2])
{
    groups[0] = (struct group){"param", adl_optimizer_params(optimizer)};
    groups[1] = (struct group){"velocity", adl_optimizer_velocities(optimizer)};
}

static void name_of(const struct group *group, const struct adl_param *param, char *name,
                    size_t size)
{
    snprintf(name, size, "%s.%s", group->prefix, param->name);
}

int adl_checkpoint_save(const char *path, const struct adl_graph *graph,
                        const struct adl_optimizer *optimizer, const char *text,
                        struct adl_error *err)
{
    int result = -1;
    struct group groups[2];
    struct adl_tensors *out = adl_tensors_create(err);
    if (!out)
        return -1;
    groups_of(optimizer, groups);
    ADL_TRY(adl_tensors_set_meta(out, META_KEY, text, err));
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < adl_graph_param_count(graph); i++) {
            const struct adl_param *param = adl_graph_param(graph, i);
            char name[ADL_LIMIT_TENSOR_NAME_BYTES];
            if (!groups[g].arrays[i])
                continue;
            name_of(&groups[g], param, name, sizeof name);
            struct adl_tensor *tensor =
                adl_tensors_add_unset(out, name, ADL_F32, param->rank, param->shape, err);
            if (!tensor)
                goto out;
            memcpy(tensor->data, groups[g].arrays[i], param->count * sizeof(float));
        }
    result = adl_safetensors_write(path, out, err);
out:
    adl_tensors_free(out);
    return result;
}

static bool fits(const struct adl_tensor *tensor, const struct adl_param *param)
{
    if (!tensor || tensor->dtype != ADL_F32 || tensor->rank != param->rank)
        return false;
    for (int d = 0; d < param->rank; d++)
        if (tensor->shape[d] != param->shape[d])
            return false;
    return true;
}

/* Whether the file has exactly the tensors of this network. */
static int check_tensors(const char *path, const struct adl_graph *graph,
                         const struct group groups[2], const struct adl_tensors *in,
                         struct adl_error *err)
{
    size_t found = 0;
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < adl_graph_param_count(graph); i++) {
            const struct adl_param *param = adl_graph_param(graph, i);
            char name[ADL_LIMIT_TENSOR_NAME_BYTES];
            if (!groups[g].arrays[i])
                continue;
            name_of(&groups[g], param, name, sizeof name);
            if (!fits(adl_tensors_find(in, name), param))
                return adl_fail(err, ADL_ERR_FORMAT,
                                "%s: tensor %s is missing or has another shape; "
                                "it is the state of another network",
                                path, name);
            found++;
        }
    if (adl_tensors_count(in) != found || !adl_tensors_meta(in, META_KEY))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: is not the training state of this network", path);
    return 0;
}

int adl_checkpoint_load(const char *path, const struct adl_graph *graph,
                        struct adl_optimizer *optimizer, char **text, struct adl_error *err)
{
    int result = -1;
    struct group groups[2];
    struct adl_tensors *in = adl_safetensors_read(path, err);
    if (!in)
        return -1;
    groups_of(optimizer, groups);
    /* Nothing is taken before the last thing that can fail. */
    ADL_TRY(check_tensors(path, graph, groups, in, err));
    *text = adl_strdup(adl_tensors_meta(in, META_KEY));
    if (!*text) {
        adl_fail_nomem(err, "the training state");
        goto out;
    }
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < adl_graph_param_count(graph); i++) {
            const struct adl_param *param = adl_graph_param(graph, i);
            char name[ADL_LIMIT_TENSOR_NAME_BYTES];
            if (!groups[g].arrays[i])
                continue;
            name_of(&groups[g], param, name, sizeof name);
            memcpy(groups[g].arrays[i], adl_tensors_find(in, name)->data,
                   param->count * sizeof(float));
        }
    result = 0;
out:
    adl_tensors_free(in);
    return result;
}
