/* A model in memory: its creation and release, its weights and its class names.
 *
 * Weights are large (ResNet-50 has 100 MB), so they are in memory only once: float32 data
 * move from the set of tensors that a file was read into to the model's set, and each tensor
 * there is freed as soon as it is packed into the plan. */

#include "models/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bf16.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "models/backbones/stored.h"
#include "models/head.h"

#define DEFAULT_SIDE 224

/* Mean and standard deviation of ImageNet's images, for R, G and B from 0 to 1, as
 * torchvision's weights expect. */
static const float default_mean[3] = {0.485f, 0.456f, 0.406f};
static const float default_std[3] = {0.229f, 0.224f, 0.225f};

/* --- weights ------------------------------------------------------------------- */

/* Sets the values of a parameter that no file sets; see adl_model_create. */
static void reset(const struct adl_param *param, float *values)
{
    bool one = param->role == ADL_PARAM_BN_WEIGHT || param->role == ADL_PARAM_BN_VAR;
    for (size_t i = 0; i < param->count; i++)
        values[i] = one ? 1.0f : 0.0f;
}

static struct adl_tensor *make_weight(const struct adl_param *param, struct adl_tensors *set,
                                      struct adl_error *err)
{
    return adl_tensors_add_unset(set, param->name, ADL_F32, param->rank, param->shape, err);
}

/* Moves the data of the tensor `name` of `from` into the set. */
static struct adl_tensor *take_weight(const struct adl_param *param, struct adl_tensors *from,
                                      const char *name, struct adl_tensors *set,
                                      struct adl_error *err)
{
    void *data = adl_tensors_take_data(from, name);
    struct adl_tensor *tensor =
        adl_tensors_add_data(set, param->name, ADL_F32, param->rank, param->shape, data, err);
    if (!tensor)
        adl_free(data);
    return tensor;
}

int adl_model_make_weights(const struct adl_graph *graph, const struct adl_tensor *const *found,
                           struct adl_tensors *from, struct adl_tensors **weights,
                           const float ***params, struct adl_error *err)
{
    int count = adl_graph_param_count(graph);
    struct adl_tensors *set = adl_tensors_create(err);
    const float **values = adl_malloc((size_t)count, sizeof *values);
    if (!set)
        goto out;
    if (!values) {
        adl_fail_nomem(err, "the weights");
        goto out;
    }
    for (int i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        const struct adl_tensor *source = found ? found[i] : NULL;
        bool take = source && source->dtype == ADL_F32;
        struct adl_tensor *tensor =
            take ? take_weight(param, from, source->name, set, err) : make_weight(param, set, err);
        if (!tensor)
            goto out;
        if (!source)
            reset(param, tensor->data);
        else if (!take)
            adl_tensor_to_f32(source, tensor->data);
        values[i] = tensor->data;
    }
    *weights = set;
    *params = values;
    return 0;
out:
    adl_tensors_free(set);
    adl_free(values);
    return -1;
}

float *adl_model_param(struct adl_model *model, int id)
{
    /* The weights were added in the order of the graph's parameters. */
    return adl_tensors_at(model->weights, (size_t)id)->data;
}

void adl_model_update_digest(struct adl_model *model)
{
    struct adl_sha256 hash;
    adl_sha256_init(&hash);
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(model->weights, (size_t)i);
        adl_sha256_update(&hash, tensor->name, strlen(tensor->name) + 1);
        adl_sha256_update(&hash, tensor->data, adl_tensor_bytes(tensor));
    }
    if (model->foreground)
        adl_head_digest(model->foreground, &hash);
    adl_sha256_hex(&hash, model->digest);
}

int adl_model_set_foreground(struct adl_model *model, const struct adl_foreground_head *head,
                             struct adl_error *err)
{
    struct adl_foreground_head *copy = NULL;

    if (head && adl_head_check(model->graph, head, err) < 0)
        return -1;
    if (head && !(copy = adl_head_copy(head)))
        return adl_fail_nomem(err, "the foreground head");
    adl_head_free(model->foreground);
    model->foreground = copy;
    model->map.foreground = copy;
    return 0;
}

int adl_model_set_class_thresholds(struct adl_model *model, const float *thresholds,
                                   struct adl_error *err)
{
    float *copy = NULL;

    if (thresholds) {
        copy = adl_malloc(model->class_count, sizeof *copy);
        if (!copy)
            return adl_fail_nomem(err, "the thresholds of classes");
        memcpy(copy, thresholds, model->class_count * sizeof *copy);
    }
    adl_free(model->class_thresholds);
    model->class_thresholds = copy;
    model->map.class_thresholds = copy;
    return 0;
}

int adl_model_change_map(struct adl_model *model, const struct adl_map_changes *changes,
                         struct adl_error *err)
{
    const struct adl_map_rule before = model->map;

    if (adl_map_rule_change(&model->map, changes, model->foreground, err) < 0)
        return -1;
    if (!adl_map_rule_equal(&before, &model->map))
        model->certainty.has_confidence = false;
    return 0;
}

const struct adl_confidence *adl_model_confidence(const struct adl_model *model,
                                                  const struct adl_map_rule *rule)
{
    bool known = model->certainty.has_confidence && adl_map_rule_equal(rule, &model->map);
    return known ? &model->certainty.confidence : NULL;
}

/* The plan's callback `release`, which is called once a parameter is packed. */
static void drop_weight(void *context, int param)
{
    struct adl_model *model = context;
    const char *name = adl_tensors_at(model->weights, (size_t)param)->name;
    adl_free(adl_tensors_take_data(model->weights, name));
    model->params[param] = NULL;
}

int adl_model_keep_layer(struct adl_model *model, const struct adl_map_views *views,
                         struct adl_error *err)
{
    if (model->layer && !strcmp(adl_layer_net_name(model->layer), views->layer.name))
        return 0;
    return adl_model_keep_layer_of(model, model->params, views, err);
}

int adl_model_keep_layer_of(struct adl_model *model, const float *const *params,
                            const struct adl_map_views *views, struct adl_error *err)
{
    if (views->layer.method == ADL_LAYER_NONE)
        return 0;
    adl_layer_net_free(model->layer);
    model->layer = adl_layer_net_create(model->graph, params, views->layer.name, err);
    return model->layer ? 0 : -1;
}

int adl_model_round_bf16(struct adl_model *model, struct adl_error *err)
{
    for (int id = 0; !model->bf16 && id < adl_graph_param_count(model->graph); id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        float *values = adl_model_param(model, id);
        if (!adl_quantisation_takes_bf16(param))
            continue;
        for (size_t i = 0; i < param->count; i++) {
            float rounded = adl_bf16_to_float(adl_bf16_from_float(values[i]));
            if (isinf(rounded) && !isinf(values[i]))
                return adl_fail(err, ADL_ERR_UNSUPPORTED,
                                "tensor %s: the value %g at %zu is too large for bf16", param->name,
                                (double)values[i], i);
            values[i] = rounded;
        }
    }
    model->bf16 = true;
    model->precision = ADL_PRECISION_BF16;
    return 0;
}

const char *const adl_model_precision_names[] = {"auto", "fp32", "bf16", "int8", NULL};

int adl_model_choose_precision(struct adl_model *model, int choice, const char *path,
                               struct adl_error *err)
{
    if (choice == 0)
        return 0;
    if (choice - 1 == ADL_PRECISION_INT8 && !model->quantisation)
        return adl_fail(err, ADL_ERR_ARG,
                        "%s is float32; make an int8 model of it with adl-server convert %s "
                        "OUT.safetensors --precision int8 --calibrate DIRECTORY-OF-PHOTOGRAPHS",
                        path, path);
    if (choice - 1 == ADL_PRECISION_BF16)
        return adl_model_round_bf16(model, err);
    model->precision = (enum adl_precision)(choice - 1);
    return 0;
}

void adl_model_plan_precision(const struct adl_model *model, struct adl_plan_options *options)
{
    options->precision = model->precision;
    options->quantisation = model->quantisation;
}

void adl_model_plan_options(const struct adl_model *model, struct adl_plan_options *options)
{
    adl_model_plan_precision(model, options);
    if (model->layer)
        adl_plan_keep(options, adl_layer_net_value(model->layer));
    for (int i = 0; model->foreground && i < model->foreground->layer_count; i++)
        adl_plan_keep(options, model->foreground->layers[i].value);
}

struct adl_plan *adl_model_into_plan(struct adl_model *model,
                                     const struct adl_plan_options *options, struct adl_error *err)
{
    if (!model->layer && adl_model_keep_layer(model, &model->map.views, err) < 0) {
        adl_model_drop_weights(model);
        return NULL;
    }
    struct adl_plan_options dropping = *options;
    dropping.release = drop_weight;
    dropping.release_context = model;
    adl_model_plan_options(model, &dropping);
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &dropping, err);
    adl_model_drop_weights(model);
    return plan;
}

struct adl_views *adl_model_open_views(struct adl_model *model, struct adl_plan *plan,
                                       struct adl_pool *pool, int batch, struct adl_error *err)
{
    if (!model->stride1 && model->arch.last_stride == 2) {
        struct adl_arch arch = model->arch;
        arch.last_stride = 1;
        model->stride1 = adl_arch_build(&arch, model->input_h, model->input_w, err);
        if (!model->stride1)
            return NULL;
    }
    struct adl_views *views = adl_views_create(plan, model->stride1, pool, batch, err);
    if (views)
        adl_views_set_layer(views, model->layer);
    return views;
}

struct adl_views *adl_model_into_views(struct adl_model *model, struct adl_pool *pool, int batch,
                                       struct adl_error *err)
{
    const struct adl_plan_options options = {
        .input_h = model->input_h, .input_w = model->input_w, .pool = pool};
    struct adl_plan *plan = adl_model_into_plan(model, &options, err);
    struct adl_views *views = plan ? adl_model_open_views(model, plan, pool, batch, err) : NULL;

    adl_plan_unref(plan); /* the views keep their own reference */
    return views;
}

void adl_model_drop_weights(struct adl_model *model)
{
    adl_tensors_free(model->weights);
    adl_free(model->params);
    model->weights = NULL;
    model->params = NULL;
}

/* --- creation and release ------------------------------------------------------------------------
 */

struct adl_model *adl_model_new(struct adl_error *err)
{
    struct adl_model *model = adl_calloc(1, sizeof *model);
    if (!model) {
        adl_fail_nomem(err, "a model");
        return NULL;
    }
    model->input_h = model->input_w = DEFAULT_SIDE;
    memcpy(model->mean, default_mean, sizeof model->mean);
    memcpy(model->std, default_std, sizeof model->std);
    model->map.threshold = ADL_MODEL_THRESHOLD;
    model->labels = (struct adl_label_rule){.threshold = ADL_LABEL_THRESHOLD};
    model->certainty = (struct adl_certainty)ADL_CERTAINTY_NONE;
    return model;
}

struct adl_model *adl_model_create(const struct adl_arch *arch, int input_h, int input_w,
                                   struct adl_error *err)
{
    struct adl_model *model = adl_model_new(err);
    if (!model)
        return NULL;
    model->arch = *arch;
    model->class_count = (size_t)arch->num_classes;
    model->input_h = input_h;
    model->input_w = input_w;
    model->graph = adl_arch_build(arch, input_h, input_w, err);
    if (!model->graph)
        goto out;
    ADL_TRY(adl_model_make_weights(model->graph, NULL, NULL, &model->weights, &model->params, err));
    return model;
out:
    adl_model_free(model);
    return NULL;
}

static void free_classes(char **classes, size_t count)
{
    for (size_t i = 0; classes && i < count; i++)
        adl_free(classes[i]);
    adl_free(classes);
}

void adl_model_free(struct adl_model *model)
{
    if (!model)
        return;
    adl_model_drop_weights(model);
    adl_graph_free(model->graph);
    adl_graph_free(model->stride1);
    adl_layer_net_free(model->layer);
    free_classes(model->classes, model->class_count);
    adl_quantisation_free(model->quantisation);
    json_decref(model->activations);
    json_decref(model->training);
    json_decref(model->metrics);
    adl_free(model->note);
    json_decref(model->calibration);
    adl_head_free(model->foreground);
    adl_free(model->class_thresholds);
    adl_stored_free(model->stored);
    adl_free(model);
}

int adl_model_set_methods(struct adl_model *model, struct adl_method_set methods,
                          struct adl_error *err)
{
    struct adl_arch arch = model->arch;
    struct adl_tensors *weights = NULL;
    const float **params = NULL;
    if (model->quantisation)
        return adl_fail(err, ADL_ERR_ARG,
                        "the network is in int8 and cannot get layers of a training method; "
                        "convert the float32 model that it was made from");
    if (!adl_method_set_alike(methods, arch.methods))
        return adl_fail(err, ADL_ERR_ARG,
                        "the network is that of the method %s, and that of %s has other layers; "
                        "`train --init` takes over those that both have",
                        adl_method_set_text(arch.methods).text, adl_method_set_text(methods).text);
    if (model->foreground && model->foreground->layer_count > 0 && arch.backbone->renumber)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "the few-box head reads layers that have other names with other methods; "
                        "convert a model without a head, and calibrate that");
    arch.methods = methods;
    struct adl_graph *graph = adl_arch_build(&arch, model->input_h, model->input_w, err);
    if (!graph)
        return -1;
    if (model->weights) {
        if (adl_model_make_weights(graph, NULL, NULL, &weights, &params, err) < 0) {
            adl_graph_free(graph);
            return -1;
        }
        /* Layers of methods have no parameters, so both variants have equal parameters in
         * equal order. */
        for (int i = 0; i < adl_graph_param_count(graph); i++)
            memcpy(adl_tensors_at(weights, (size_t)i)->data, model->params[i],
                   adl_graph_param(graph, i)->count * sizeof(float));
    }
    adl_model_drop_weights(model);
    adl_graph_free(model->graph);
    adl_graph_free(model->stride1);
    model->arch = arch;
    model->graph = graph;
    model->stride1 = NULL;
    if (model->foreground)
        adl_head_renumber(model->foreground, graph);
    adl_layer_net_free(model->layer);
    model->layer = NULL;
    model->weights = weights;
    model->params = params;
    if (weights && model->digest[0])
        adl_model_update_digest(model);
    return 0;
}

/* --- classes ----------------------------------------------------------------------- */

static int class_by_id(const struct adl_model *model, const char *text)
{
    int id = 0;
    for (const char *digit = text; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return -1;
        id = 10 * id + (*digit - '0');
        if (id >= model->arch.num_classes)
            return -1;
    }
    return *text ? id : -1;
}

int adl_model_find_class(const struct adl_model *model, const char *text)
{
    int count = model->classes ? model->arch.num_classes : 0;
    /* Labels are tried before ids: if classes are called "0" to "10" and sorted as text, "10"
     * is the third, and whoever writes "10" means the label. */
    for (int i = 0; i < count; i++)
        if (strcmp(model->classes[i], text) == 0)
            return i;
    int id = class_by_id(model, text);
    if (id >= 0)
        return id;
    for (int i = 0; i < count; i++)
        if (strcasecmp(model->classes[i], text) == 0)
            return i;
    for (int i = 0; i < count; i++) {
        size_t first = strcspn(model->classes[i], ",");
        if (first > 0 && strlen(text) == first && strncasecmp(model->classes[i], text, first) == 0)
            return i;
    }
    return -1;
}

const char *adl_model_label(const struct adl_model *model, int class_id, char *text, size_t size)
{
    if (model->classes && class_id >= 0 && class_id < model->arch.num_classes)
        return model->classes[class_id];
    snprintf(text, size, "class %d", class_id);
    return text;
}

static int copy_class(char **copy, const char *name, size_t id, struct adl_error *err)
{
    if (strlen(name) > ADL_LIMIT_CLASS_NAME_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "the name of class %zu has %zu bytes, more than %d", id,
                        strlen(name), ADL_LIMIT_CLASS_NAME_BYTES);
    if (!adl_utf8_valid(name))
        return adl_fail(err, ADL_ERR_ARG, "the name of class %zu is not UTF-8 text", id);
    *copy = adl_strdup(name);
    return *copy ? 0 : adl_fail_nomem(err, "class names");
}

int adl_model_set_classes(struct adl_model *model, const char *const *names, size_t count,
                          struct adl_error *err)
{
    if (count != (size_t)model->arch.num_classes)
        return adl_fail(err, ADL_ERR_ARG, "%zu class name%s for a model of %d class%s", count,
                        ADL_S(count), model->arch.num_classes, ADL_ES(model->arch.num_classes));
    char **classes = adl_calloc(count, sizeof *classes);
    if (!classes)
        return adl_fail_nomem(err, "class names");
    for (size_t i = 0; i < count; i++)
        ADL_TRY(copy_class(&classes[i], names[i], i, err));
    free_classes(model->classes, model->class_count);
    model->classes = classes;
    model->class_count = count;
    return 0;
out:
    free_classes(classes, count);
    return -1;
}
