/* Loads a model from a weight file: reads the tensors and the description, builds the graph,
 * matches the tensors to the graph's parameters, and moves the data. Tensors are matched before
 * any weights are allocated, so a file that describes a large network but does not hold it is
 * refused cheaply. */

#include "models/file/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "io/torch.h"
#include "methods/methods.h"
#include "models/file/description.h"
#include "models/file/foreground.h"
#include "models/file/match.h"
#include "models/file/packed.h"
#include "models/file/prefix.h"
#include "models/file/quantised.h"
#include "models/file/report.h"

/* Removes the prefixes of PyTorch's wrappers from names. The PyTorch reader has done so already,
 * but safetensors files that were converted from checkpoints still have them. */
static int unwrap_names(struct adl_tensors *tensors, struct adl_error *err)
{
    char bare[ADL_LIMIT_TENSOR_NAME_BYTES + 1];
    for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
        const char *name = adl_tensors_at(tensors, i)->name;
        adl_torch_unwrap(name, strlen(name), bare);
        if (strcmp(name, bare) != 0 && adl_tensors_rename(tensors, i, bare, err) < 0)
            return -1;
    }
    return 0;
}

struct adl_tensors *adl_model_read_weights(const char *path, const char *key, const char *prefix,
                                           struct adl_error *err)
{
    struct adl_tensors *tensors = adl_weights_read(path, key, err);
    if (tensors && (unwrap_names(tensors, err) < 0 || adl_packed_expand(tensors, err) < 0)) {
        adl_error_context(err, "%s", path);
        adl_tensors_free(tensors);
        return NULL;
    }
    if (!tensors || !prefix)
        return tensors;
    struct adl_tensors *chosen = adl_prefix_select(tensors, prefix, err);
    if (!chosen)
        adl_error_context(err, "%s", path);
    adl_tensors_free(tensors);
    return chosen;
}

static int write_report(const struct adl_match *match, struct adl_str *report,
                        struct adl_error *err)
{
    if (!report)
        return 0;
    adl_match_report(match, report);
    return report->failed ? adl_fail_nomem(err, "the report") : 0;
}

/* Returns whether the names of the tensors are those of the network with this method alone. */
static bool fits_method(const struct adl_model *model, const struct adl_method *method,
                        const struct adl_tensors *tensors)
{
    struct adl_arch arch = model->arch;
    struct adl_error ignored = {0};
    struct adl_match match = {0};

    arch.methods = adl_method_alone(method);
    struct adl_graph *graph = adl_arch_build(&arch, model->input_h, model->input_w, &ignored);
    bool fits = graph && adl_match_find(&match, &arch, graph, tensors, &ignored) == 0 &&
                match.missing + match.unexpected == 0;
    adl_match_release(&match);
    adl_graph_free(graph);
    return fits;
}

/* Returns the method whose branches or networks a file without a description has, if they are not
 * those that were asked for; NULL if there is none. */
static const struct adl_method *method_of(const struct adl_model *model,
                                          const struct adl_match *match)
{
    if (match->unexpected == 0 || adl_tensors_meta(match->tensors, "adl"))
        return NULL;
    for (size_t i = 0; adl_methods[i]; i++)
        if ((adl_methods[i]->branches || adl_methods[i]->rounds) &&
            fits_method(model, adl_methods[i], match->tensors))
            return adl_methods[i];
    return NULL;
}

static int fail_misfit(const struct adl_match *match, const struct adl_model *model,
                       struct adl_error *err)
{
    const struct adl_method *method = method_of(model, match);
    const struct adl_arch *arch = &model->arch;
    char network[100], summary[400];

    adl_arch_describe(arch, network, sizeof network);
    adl_match_summary(match, summary, sizeof summary);
    return adl_fail(err, ADL_ERR_FORMAT, "the weights do not fit %s with %d class%s: %s%s%s",
                    network, arch->num_classes, ADL_ES(arch->num_classes), summary,
                    method ? "; their names are those of --method " : "",
                    method ? method->name : "");
}

static int copy_fitting(const struct adl_match *match, struct adl_model *model, bool *taken,
                        struct adl_error *err)
{
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        bool fits = adl_match_fits(match, i);
        if (fits) {
            adl_tensor_to_f32(match->found[i], adl_model_param(model, i));
            if (adl_quantised_scale(match->tensors, match->found[i], adl_model_param(model, i),
                                    NULL, err) < 0)
                return -1;
        }
        if (taken)
            taken[i] = fits;
    }
    return 0;
}

/* Fails if a weight is not finite, either in the file or because its float64 is too large for
 * float32, and names the tensor. A network with such weights computes NaN. */
static int check_finite(const struct adl_model *model, struct adl_error *err)
{
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        const struct adl_param *param = adl_graph_param(model->graph, i);
        const float *values = model->params[i];
        size_t bad = 0, first = 0;
        for (size_t j = 0; j < param->count; j++)
            if (!isfinite(values[j]) && bad++ == 0)
                first = j;
        if (bad)
            return adl_fail(err, ADL_ERR_FORMAT,
                            "tensor %s is not finite: %zu of its %zu values are NaN or too large "
                            "for float32, the first at index %zu; the training run diverged or "
                            "the file is damaged",
                            param->name, bad, param->count, first);
    }
    return 0;
}

/* Adds to the message the architecture that a training script noted beside the weights. */
static void add_hint(const struct adl_tensors *tensors, struct adl_error *err)
{
    const char *name = adl_tensors_meta(tensors, "torch.architecture");
    if (!name)
        name = adl_tensors_meta(tensors, "torch.arch");
    if (name && err->kind == ADL_ERR_FORMAT)
        adl_error_context(err, "a checkpoint of %s", adl_name_quote(name, strlen(name)).text);
}

/* Sets found[id] to NULL for each parameter without a tensor of its shape. */
static void forget_misshapen(struct adl_match *match)
{
    for (int i = 0; i < adl_graph_param_count(match->graph); i++)
        if (!adl_match_fits(match, i))
            match->found[i] = NULL;
}

/* Appends a clause to the model's note for the user. */
static int add_note(struct adl_model *model, const char *note, struct adl_error *err)
{
    struct adl_str text = {0};
    adl_str_printf(&text, "%s%s%s", model->note ? model->note : "", model->note ? "; " : "", note);
    char *copy = text.failed ? NULL : adl_strdup(text.data);
    adl_str_release(&text);
    if (!copy)
        return adl_fail_nomem(err, "a note");
    adl_free(model->note);
    model->note = copy;
    return 0;
}

/* Builds the graph, removes the prefix of the tensors' names and matches the two. */
static int match_graph(struct adl_model *model, struct adl_tensors *tensors,
                       struct adl_match *match, struct adl_error *err)
{
    adl_match_release(match);
    adl_graph_free(model->graph);
    model->graph = adl_arch_build(&model->arch, model->input_h, model->input_w, err);
    if (!model->graph || adl_prefix_strip(tensors, &model->arch, model->graph, err) < 0)
        return -1;
    return adl_match_find(match, &model->arch, model->graph, tensors, err);
}

/* Returns the number of classes of the file's classifier; 0 if there is no classifier that fits but
 * for that number. The classifier of a method's branches is one, even where the reference
 * implementation does not train it at the head's rate. */
static size_t classes_of(const struct adl_model *model, const struct adl_match *match)
{
    size_t expected = (size_t)model->arch.num_classes;
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        const struct adl_param *param = adl_graph_param(model->graph, i);
        const struct adl_tensor *found = match->found[i];
        if (!found || param->rank < 2 || found->rank != param->rank ||
            param->shape[0] != expected ||
            !(adl_arch_is_head(&model->arch, param) ||
              adl_arch_is_branch(param->name + param->prefix)))
            continue;
        if (memcmp(found->shape + 1, param->shape + 1,
                   (size_t)(param->rank - 1) * sizeof *param->shape) == 0)
            return found->shape[0] <= ADL_LIMIT_CLASSES ? found->shape[0] : 0;
    }
    return 0;
}

/* Takes the number of classes from the file's classifier, if it has one. */
static int infer_classes(struct adl_model *model, struct adl_tensors *tensors,
                         struct adl_match *match, struct adl_error *err)
{
    char note[80];
    size_t count = classes_of(model, match);
    if (count == 0)
        return 0;
    snprintf(note, sizeof note, "%zu classes, as its classifier has", count);
    if (add_note(model, note, err) < 0)
        return -1;
    if (count == (size_t)model->arch.num_classes)
        return 0;
    model->arch.num_classes = (int)count;
    model->class_count = count;
    return match_graph(model, tensors, match, err);
}

/* Returns whether neither the file nor the user gives the number of classes. */
static bool lacks_count(const struct adl_tensors *tensors, const struct adl_model_options *options)
{
    struct adl_model *described = options->infer_classes ? adl_model_described(tensors) : NULL;
    bool lacks = options->infer_classes && !described;
    adl_model_free(described);
    return lacks;
}

/* Fills the model; the weights move out of `tensors`. */
static int load_into(struct adl_model *model, struct adl_tensors *tensors,
                     const struct adl_model_options *options, struct adl_error *err)
{
    const char *description = adl_tensors_meta(tensors, "adl");
    struct adl_match match = {0};
    int result = -1;

    if (adl_model_read_description(model, description, options->arch, err) < 0) {
        if (!description)
            add_hint(tensors, err);
        return -1;
    }
    if (adl_tensors_note(tensors))
        ADL_TRY(add_note(model, adl_tensors_note(tensors), err));
    ADL_TRY(match_graph(model, tensors, &match, err));
    if (!model->classes && lacks_count(tensors, options))
        ADL_TRY(infer_classes(model, tensors, &match, err));
    ADL_TRY(write_report(&match, options->report, err));
    bool perfect = match.missing + match.misshapen + match.unexpected == 0;
    if (match.fitting == 0 || (!perfect && !options->allow_missing)) {
        fail_misfit(&match, model, err);
        goto out;
    }
    forget_misshapen(&match);
    ADL_TRY(adl_model_make_weights(model->graph, match.found, tensors, &model->weights,
                                   &model->params, err));
    ADL_TRY(adl_quantised_read(model, tensors, match.found, err));
    if (model->precision == ADL_PRECISION_BF16)
        ADL_TRY(adl_model_round_bf16(model, err));
    ADL_TRY(check_finite(model, err));
    ADL_TRY(adl_model_read_foreground(model, tensors, err));
    adl_model_update_digest(model);
    result = 0;
out:
    adl_match_release(&match);
    return result;
}

struct adl_model *adl_model_from_tensors(struct adl_tensors *tensors,
                                         const struct adl_model_options *options,
                                         struct adl_error *err)
{
    static const struct adl_model_options defaults = {0};
    struct adl_model *model = adl_model_new(err);
    if (model && load_into(model, tensors, options ? options : &defaults, err) < 0) {
        adl_model_free(model);
        return NULL;
    }
    return model;
}

struct adl_model *adl_model_load(const char *path, const struct adl_model_options *options,
                                 struct adl_error *err)
{
    struct adl_tensors *tensors = adl_model_read_weights(path, options ? options->key : NULL,
                                                         options ? options->prefix : NULL, err);
    if (!tensors)
        return NULL;
    struct adl_model *model = adl_model_from_tensors(tensors, options, err);
    if (!model)
        adl_error_context(err, "%s", path);
    adl_tensors_free(tensors);
    return model;
}

struct adl_model *adl_model_described(const struct adl_tensors *tensors)
{
    const char *description = adl_tensors_meta(tensors, "adl");
    struct adl_error ignored = {0};
    struct adl_model *model = description ? adl_model_new(&ignored) : NULL;
    if (model && adl_model_read_description(model, description, NULL, &ignored) < 0) {
        adl_model_free(model);
        return NULL;
    }
    return model;
}

int adl_model_take(struct adl_model *model, struct adl_tensors *tensors, bool *taken,
                   struct adl_str *report, struct adl_error *err)
{
    struct adl_match match = {0};
    int result = -1;
    ADL_TRY(adl_prefix_strip(tensors, &model->arch, model->graph, err));
    ADL_TRY(adl_match_find(&match, &model->arch, model->graph, tensors, err));
    adl_match_share(&match, &model->arch);
    ADL_TRY(write_report(&match, report, err));
    if (match.fitting == 0) {
        fail_misfit(&match, model, err);
        goto out;
    }
    ADL_TRY(copy_fitting(&match, model, taken, err));
    ADL_TRY(check_finite(model, err));
    if (model->digest[0])
        adl_model_update_digest(model);
    result = 0;
out:
    adl_match_release(&match);
    return result;
}
