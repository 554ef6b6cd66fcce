/* Finds the tensor of a file for each parameter of a graph.
 *
 * Mostly that is a look-up by name. But in vgg16 and resnet50 the numbers in the names
 * depend on the variant (with or without ADL, with the large map or not), and a file may
 * have the numbering of another variant: features.26.weight is the twelfth convolution of a
 * VGG-16 without ADL and the eleventh of one with ADL, and both have the same shape. A file
 * of another program does not tell its variant. And a method may give stages of the network other
 * names, while pretrained weights have those of the plain one. So all numberings are tried, and the
 * one that fits the file best is taken: one tensor of the right name and shape counts
 * more than right names of wrong shapes for all parameters. Ties go to the graph's own
 * variant. */

#include "models/file/match.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"
#include "models/file/quantised.h"

/* The variants before it differ in the numbers in names. */
#define FORMER (ADL_MATCH_VARIANTS - 1)

/* Returns variant `i` of those whose numbering a file may have; variant 0 is the graph's own. */
static struct adl_arch variant(const struct adl_arch *arch, int i)
{
    struct adl_arch v = *arch;
    if (i & 1)
        v.methods = adl_method_set_toggle_sequence(v.methods);
    if (i & 2)
        v.large_feature_map = !v.large_feature_map;
    if (i & 4)
        v.methods = adl_method_set_without_branches(v.methods);
    return v;
}

/* Sides of 1 at the end make no difference: a scale for each channel is [C], or [C, 1, 1]. */
static bool same_shape(const struct adl_param *param, const struct adl_tensor *tensor)
{
    for (int d = 0; d < param->rank || d < tensor->rank; d++)
        if ((d < param->rank ? param->shape[d] : 1) != (d < tensor->rank ? tensor->shape[d] : 1))
            return false;
    return true;
}

const char *adl_match_numbered(const struct adl_arch *arch, int i, const char *name, char *text,
                               size_t size)
{
    if (i == FORMER)
        return arch->backbone->former_name && arch->backbone->former_name(name, text, size) ? text
                                                                                            : name;
    struct adl_arch to = variant(arch, i);
    bool renumbered =
        i > 0 && arch->backbone->renumber && arch->backbone->renumber(arch, &to, name, text, size);
    return renumbered ? text : name;
}

/* Returns the tensor for a parameter of the graph (which is of `arch`) if the file has the
 * numbering of `from`; NULL if there is none. */
static const struct adl_tensor *find(const struct adl_match *match, const struct adl_arch *arch,
                                     const struct adl_arch *from, const struct adl_param *param)
{
    char numbered[ADL_LIMIT_TENSOR_NAME_BYTES];
    size_t prefix = param->prefix; /* a few bytes, which the numbers do not depend on */
    memcpy(numbered, param->name, prefix);
    bool renumbered = arch->backbone->renumber &&
                      arch->backbone->renumber(arch, from, param->name + prefix, numbered + prefix,
                                               sizeof numbered - prefix);
    const struct adl_tensor *tensor =
        adl_tensors_find(match->tensors, renumbered ? numbered : param->name);
    if (!tensor && arch->backbone->former_name &&
        arch->backbone->former_name(param->name + prefix, numbered + prefix,
                                    sizeof numbered - prefix))
        tensor = adl_tensors_find(match->tensors, numbered);
    return tensor;
}

/* Returns how well the numbering of `from` fits the file. */
static size_t score(const struct adl_match *match, const struct adl_arch *arch,
                    const struct adl_arch *from)
{
    size_t points = 0, params = (size_t)adl_graph_param_count(match->graph);
    for (size_t i = 0; i < params; i++) {
        const struct adl_param *param = adl_graph_param(match->graph, (int)i);
        const struct adl_tensor *tensor = find(match, arch, from, param);
        if (tensor)
            points += same_shape(param, tensor) ? params + 1 : 1;
    }
    return points;
}

/* Returns whether a tensor belongs to a classifier beside the network, which helps in training
 * alone: torchvision's Inception has AuxLogits, its GoogLeNet aux1 and aux2. */
static bool is_auxiliary(const char *name)
{
    static const char *const parts[] = {"AuxLogits.", "aux1.", "aux2."};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(name, parts[i], strlen(parts[i])) == 0)
            return true;
    return false;
}

/* Returns whether a tensor is one of PyTorch's counters, in batch norms (only training without a
 * momentum would use them) or of torch.optim.swa_utils.AveragedModel, or belongs to the few-box
 * head, which is not a parameter of the network (file/foreground.h), or to a model in 8 bits. */
static bool is_ignored(const struct adl_match *match, const char *name)
{
    return adl_text_ends_with(name, "num_batches_tracked") || !strcmp(name, "n_averaged") ||
           adl_text_ends_with(name, ".n_averaged") || !strncmp(name, "foreground.", 11) ||
           is_auxiliary(name) || adl_quantised_is_scale(match->tensors, name);
}

/* Marks the tensors that are used, and counts how many fit and how many do not. */
static void count(struct adl_match *match, const struct adl_backbone *backbone)
{
    size_t tensors = adl_tensors_count(match->tensors);
    size_t next = 0; /* files nearly always have the order of the network */

    for (int i = 0; i < adl_graph_param_count(match->graph); i++) {
        if (!match->found[i]) {
            match->missing++;
            continue;
        }
        if (adl_match_fits(match, i))
            match->fitting++;
        else
            match->misshapen++;
        for (size_t k = 0; k < tensors; k++) {
            size_t index = (next + k) % tensors;
            if (adl_tensors_at(match->tensors, index) == match->found[i]) {
                match->used[index] = true;
                next = index + 1;
                break;
            }
        }
    }
    for (size_t i = 0; i < tensors; i++) {
        const char *name = adl_tensors_at(match->tensors, i)->name;
        if (is_ignored(match, name) || (backbone->is_unused && backbone->is_unused(name)))
            match->used[i] = true;
        if (!match->used[i])
            match->unexpected++;
    }
}

int adl_match_find(struct adl_match *match, const struct adl_arch *arch,
                   const struct adl_graph *graph, const struct adl_tensors *tensors,
                   struct adl_error *err)
{
    int params = adl_graph_param_count(graph);
    *match = (struct adl_match){.graph = graph, .tensors = tensors};
    match->found = adl_calloc((size_t)params, sizeof *match->found);
    match->used = adl_calloc(adl_tensors_count(tensors), sizeof *match->used);
    if (!match->found || !match->used) {
        adl_match_release(match);
        return adl_fail_nomem(err, "the weights' names");
    }

    struct adl_arch best = *arch;
    size_t best_score = score(match, arch, arch);
    for (int i = 1; i < FORMER && arch->backbone->renumber; i++) {
        if (i & 4 && !adl_arch_branches(arch))
            break;
        struct adl_arch from = variant(arch, i);
        size_t points = score(match, arch, &from);
        if (points > best_score) {
            best = from;
            best_score = points;
        }
    }
    for (int i = 0; i < params; i++)
        match->found[i] = find(match, arch, &best, adl_graph_param(graph, i));
    count(match, arch->backbone);
    return 0;
}

void adl_match_share(struct adl_match *match, const struct adl_arch *arch)
{
    int params = adl_graph_param_count(match->graph);
    for (int i = 0; i < params; i++)
        if (adl_graph_param(match->graph, i)->part > 1 && match->found[i])
            return;
    for (int i = 0; i < params; i++) {
        const struct adl_param *param = adl_graph_param(match->graph, i);
        int first =
            param->part > 1 ? adl_graph_find_param(match->graph, param->name + param->prefix) : -1;
        if (first >= 0)
            match->found[i] = match->found[first];
    }
    match->missing = match->misshapen = match->fitting = match->unexpected = 0;
    count(match, arch->backbone);
}

void adl_match_release(struct adl_match *match)
{
    adl_free(match->found);
    adl_free(match->used);
    *match = (struct adl_match){0};
}

bool adl_match_fits(const struct adl_match *match, int param)
{
    return match->found[param] &&
           same_shape(adl_graph_param(match->graph, param), match->found[param]);
}

const char *adl_match_shape(const struct adl_param *param, char *text, size_t size)
{
    struct adl_tensor tensor = {.rank = param->rank};
    memcpy(tensor.shape, param->shape, (size_t)param->rank * sizeof *param->shape);
    return adl_tensor_shape_text(&tensor, text, size);
}

void adl_match_summary(const struct adl_match *match, char *text, size_t size)
{
    struct adl_name_quoted missing = {""}, unexpected = {""};
    char misshapen[256] = "";
    for (int i = adl_graph_param_count(match->graph) - 1; i >= 0; i--) {
        const struct adl_param *param = adl_graph_param(match->graph, i);
        if (!match->found[i]) {
            missing = adl_name_quote(param->name, strlen(param->name));
        } else if (!adl_match_fits(match, i)) {
            char is[80], needed[80];
            snprintf(misshapen, sizeof misshapen, "%s is %s, not %s", param->name,
                     adl_tensor_shape_text(match->found[i], is, sizeof is),
                     adl_match_shape(param, needed, sizeof needed));
        }
    }
    for (size_t i = adl_tensors_count(match->tensors); i-- > 0;)
        if (!match->used[i]) {
            const char *name = adl_tensors_at(match->tensors, i)->name;
            unexpected = adl_name_quote(name, strlen(name));
        }

    const struct {
        size_t count;
        const char *kind, *first;
    } rows[] = {{match->missing, "missing", missing.text},
                {match->unexpected, "unexpected", unexpected.text},
                {match->misshapen, "misshapen", misshapen}};
    size_t used = 0;
    if (size)
        text[0] = '\0';
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].count || used >= size)
            continue;
        int put = snprintf(text + used, size - used, "%s%zu %s (%s%s)", used ? ", " : "",
                           rows[i].count, rows[i].kind, rows[i].first,
                           rows[i].count > 2   ? " and others"
                           : rows[i].count > 1 ? " and another"
                                               : "");
        used += put > 0 ? (size_t)put : 0;
    }
}
