/* Training state in a file. The file holds two tensors for each trainable parameter, its
 * value and its velocity, and one for each running statistic; an optimizer that keeps averages or
 * squares has one more for each. Everything else that a run has to remember is text that is not
 * interpreted here. */

#include "train/checkpoint.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/safetensors.h"

#define META_KEY "adl_state"

/* One array of the optimizer and its tensor in the file. */
struct entry {
    const struct adl_param *param;
    float *values;
    char name[ADL_LIMIT_TENSOR_NAME_BYTES];
};

/* Sets *entry to the next entry of a checkpoint and advances *next, which starts at 0.
 * Returns false after the last. */
static bool checkpoint_next(const struct adl_graph *graph, const struct adl_optimizer *optimizer,
                            int *next, struct entry *entry)
{
    const struct {
        const char *prefix;
        float *const *arrays; /* by parameter id, or NULL */
    } groups[] = {{"param", adl_optimizer_params(optimizer)},
                  {"velocity", adl_optimizer_velocities(optimizer)},
                  {"average", adl_optimizer_averages(optimizer)},
                  {"square", adl_optimizer_squares(optimizer)}};
    int params = adl_graph_param_count(graph);
    while (*next < (int)ADL_COUNT(groups) * params) {
        int group = *next / params, id = *next % params;
        ++*next;
        entry->values = groups[group].arrays ? groups[group].arrays[id] : NULL;
        if (!entry->values)
            continue; /* running statistics have no velocity */
        entry->param = adl_graph_param(graph, id);
        snprintf(entry->name, sizeof entry->name, "%s.%s", groups[group].prefix,
                 entry->param->name);
        return true;
    }
    return false;
}

/* Returns whether all values are finite. A float is finite unless all bits of its exponent
 * are set. Testing the bits needs no branch, and -ffast-math cannot remove the test. */
static bool all_finite(const float *values, size_t count)
{
    const uint32_t exponent = 0x7f800000;
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        finite &= (bits & exponent) != exponent;
    }
    return finite;
}

bool adl_checkpoint_is_finite(const struct adl_graph *graph, const struct adl_optimizer *optimizer,
                              const char **name)
{
    struct entry entry;
    for (int next = 0; checkpoint_next(graph, optimizer, &next, &entry);)
        if (!all_finite(entry.values, entry.param->count)) {
            if (name)
                *name = entry.param->name;
            return false;
        }
    return true;
}

int adl_checkpoint_save(const char *path, const struct adl_graph *graph,
                        const struct adl_optimizer *optimizer, const char *text,
                        struct adl_error *err)
{
    int result = -1, next = 0;
    struct entry entry;
    const char *name;
    if (!adl_checkpoint_is_finite(graph, optimizer, &name))
        return adl_fail(err, ADL_ERR_LIMIT, "%s: not written: %s is not finite", path, name);
    struct adl_tensors *out = adl_tensors_create(err);
    if (!out)
        return -1;
    ADL_TRY(adl_tensors_set_meta(out, META_KEY, text, err));
    while (checkpoint_next(graph, optimizer, &next, &entry)) {
        struct adl_tensor *tensor = adl_tensors_add_unset(
            out, entry.name, ADL_F32, entry.param->rank, entry.param->shape, err);
        if (!tensor)
            goto out;
        memcpy(tensor->data, entry.values, entry.param->count * sizeof *entry.values);
    }
    result = adl_safetensors_write(path, out, err);
out:
    adl_tensors_free(out);
    return result;
}

static bool checkpoint_fits(const struct adl_tensor *tensor, const struct adl_param *param)
{
    if (!tensor || tensor->dtype != ADL_F32 || tensor->rank != param->rank)
        return false;
    for (int d = 0; d < param->rank; d++)
        if (tensor->shape[d] != param->shape[d])
            return false;
    return true;
}

/* Fails unless the file has exactly the tensors of this network. */
static int checkpoint_check(const char *path, const struct adl_graph *graph,
                            const struct adl_optimizer *optimizer, const struct adl_tensors *in,
                            struct adl_error *err)
{
    size_t found = 0;
    int next = 0;
    struct entry entry;
    for (; checkpoint_next(graph, optimizer, &next, &entry); found++)
        if (!checkpoint_fits(adl_tensors_find(in, entry.name), entry.param))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: tensor %s is missing or has another shape; "
                            "it is the state of another network",
                            path, entry.name);
    for (next = 0; checkpoint_next(graph, optimizer, &next, &entry);)
        if (!all_finite(adl_tensors_find(in, entry.name)->data, entry.param->count))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: tensor %s is not finite: the run diverged; start again in another "
                            "directory with a lower learning rate",
                            path, entry.name);
    if (adl_tensors_count(in) != found || !adl_tensors_meta(in, META_KEY))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: is not the training state of this network", path);
    return 0;
}

char *adl_checkpoint_text(const char *path, struct adl_error *err)
{
    struct adl_tensors *in = adl_safetensors_read(path, err);
    if (!in)
        return NULL;
    const char *text = adl_tensors_meta(in, META_KEY);
    char *copy = text ? adl_strdup(text) : NULL;
    if (!text)
        adl_fail(err, ADL_ERR_FORMAT, "%s: is not the training state of a run", path);
    else if (!copy)
        adl_fail_nomem(err, "the training state");
    adl_tensors_free(in);
    return copy;
}

int adl_checkpoint_load(const char *path, const struct adl_graph *graph,
                        struct adl_optimizer *optimizer, char **text, struct adl_error *err)
{
    int result = -1, next = 0;
    struct entry entry;
    struct adl_tensors *in = adl_safetensors_read(path, err);
    if (!in)
        return -1;
    /* The optimizer is changed only when nothing can fail any more. */
    ADL_TRY(checkpoint_check(path, graph, optimizer, in, err));
    *text = adl_strdup(adl_tensors_meta(in, META_KEY));
    if (!*text) {
        adl_fail_nomem(err, "the training state");
        goto out;
    }
    while (checkpoint_next(graph, optimizer, &next, &entry))
        memcpy(entry.values, adl_tensors_find(in, entry.name)->data,
               entry.param->count * sizeof *entry.values);
    result = 0;
out:
    adl_tensors_free(in);
    return result;
}
