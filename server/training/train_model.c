/* Makes the network that a training run starts from: architecture, weights and input
 * normalisation. Options take precedence. Properties that no option sets come from the model
 * file of --init, if it contains a description, because weights fit only the activation, padding
 * and input that they were trained with. A resumed run takes these properties from its state. */

#include "server/training/train_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/plural.h"
#include "base/str.h"
#include "graph/upper.h"
#include "io/json_text.h"
#include "models/file/description.h"
#include "models/file/foreground.h"
#include "models/file/load.h"
#include "models/head.h"
#include "models/onnx_in/onnx_in.h"
#include "server/options/arch_options.h"
#include "server/options/channels.h"
#include "server/tasks/default_model.h"
#include "server/training/run_record.h"
#include "train/init.h"

/* Sets *init to the file of --init, or NULL; "default" is resolved into `path`. */
static int find_init(const struct adl_train_settings *s, char path[ADL_DEFAULT_MODEL_PATH],
                     const char **init, struct adl_error *err)
{
    *init = s->init;
    if (!s->init || strcmp(s->init, "default") != 0)
        return 0;
    *init = path;
    return adl_default_model(path, err);
}

/* Takes the properties that no option sets from the file's architecture. The size of the feature
 * maps is excepted: weights do not depend on it, and localization profits from large maps. */
static void complete_arch(struct adl_arch *arch, const struct adl_arch_settings *s,
                          const struct adl_arch *from)
{
    if (!(s->width > 0))
        arch->width = from->width;
    if (s->activation < 0)
        arch->activation = from->activation;
    if (s->padding < 0)
        arch->padding = from->padding;
    if (!(s->bn_eps > 0))
        arch->bn_eps = from->bn_eps;
    /* The finer map of a network that was trained for it stays; a coarser one is asked for. */
    if (!s->last_stride && from->last_stride < arch->last_stride)
        arch->last_stride = from->last_stride;
    if (s->methods < 0) {
        arch->methods = from->methods;
        arch->adl_places = from->adl_places;
    }
    if (!s->rounds)
        arch->rounds = from->rounds;
}

/* Fails if a label is probably wrong. Without class names and without --num-classes, the largest
 * label determines the number of classes, so a wrong label could make a network with hundreds of
 * classes that no image has. */
static int check_labels(const struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_dataset *d = run->train;
    struct adl_dataset_stray stray;
    char others[60] = "", gap[60];

    int found = d->classes ? 0 : adl_dataset_find_stray(d, &stray, err);
    if (found <= 0)
        return found;
    if (stray.count > 1)
        snprintf(others, sizeof others, " (and %zu more images like it)", stray.count - 1);
    if (stray.next == stray.classes + 1)
        snprintf(gap, sizeof gap, "class %zu", stray.classes);
    else
        snprintf(gap, sizeof gap, "the classes %zu to %zu", stray.classes, stray.next - 1);
    return adl_fail(err, ADL_ERR_FORMAT,
                    "%s: the image %.200s has class %d, which no other image has%s, while no image "
                    "has %s; correct its label, or give --num-classes %zu if the label is right",
                    adl_train_data(run->settings), d->images[stray.image].id,
                    d->images[stray.image].class_id, others, gap, d->class_count);
}

/* Takes the network that a file describes, and where layers of methods stand in it. */
static int choose_stored(struct adl_arch *arch, const struct adl_arch_settings *s,
                         const struct adl_model *from, struct adl_error *err)
{
    if (!from || !from->arch.stored)
        return adl_fail(err, ADL_ERR_ARG,
                        "--arch onnx: --init has to name an ONNX file, or a model file of a "
                        "network that came from one");
    arch->stored = from->arch.stored;
    arch->adl_places = from->arch.adl_places;
    if (s->adl_positions)
        return adl_arch_set_places(arch, s->adl_positions, err);
    if (adl_arch_has_layers(arch) && !arch->adl_places)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "this network has no map that every path goes through, where layers of a "
                        "method could stand; choose a method without layers, such as cam");
    return 0;
}

static int choose_arch(const struct adl_train_run *run, const struct adl_model *from,
                       struct adl_arch *arch, struct adl_error *err)
{
    struct adl_arch_settings s = run->settings->arch;
    bool given;

    if (s.num_classes && (size_t)s.num_classes < run->train->class_count)
        return adl_fail(err, ADL_ERR_ARG, "--num-classes %d: the data set has %zu class%s",
                        s.num_classes, run->train->class_count, ADL_ES(run->train->class_count));
    if (!s.num_classes && check_labels(run, err) < 0)
        return -1;
    if (!s.num_classes)
        s.num_classes = (int)run->train->class_count;
    /* The default is the smallest network, which trains in minutes. */
    if (s.arch < 0)
        s.arch = adl_arch_choice_of(from ? from->arch.backbone : &adl_backbone_mobilenet_v1);
    if (adl_arch_settings_get(&s, arch, &given, err) < 0)
        return -1;
    adl_method_network_values(run->settings->method.values, arch->method_values);
    if (from && from->arch.backbone == arch->backbone)
        complete_arch(arch, &s, &from->arch);
    if (arch->backbone == &adl_backbone_onnx)
        return choose_stored(arch, &s, from, err);
    return 0;
}

/* Returns the values of a parameter in model->weights, from which the model file is written. */
static float *weights_of(const struct adl_model *model, int param)
{
    return adl_tensors_find(model->weights, adl_graph_param(model->graph, param)->name)->data;
}

/* Returns whether a parameter belongs to the classifier, or to what a method builds in its place.
 * The head of a backbone may have more layers, but only the classifier has an output for each
 * class. */
static bool is_classifier(const struct adl_arch *arch, const struct adl_param *param)
{
    return (adl_arch_is_head(arch, param) && param->rank > 0 &&
            param->shape[0] == (size_t)arch->num_classes) ||
           adl_arch_is_branch(param->name + param->prefix);
}

/* Fails if the file has less than half of the network's parameters, because training would then
 * begin from mostly random weights, which is not what --init is meant for; warns if it has more
 * but not all. Parameters are counted as tensors, and those of the classifier are left out, since
 * a new classifier is common with --init. `report` is the table of the parameters that do not
 * fit. */
static int check_taken(struct adl_train_run *run, const char *init, const bool *taken,
                       const char *report, struct adl_error *err)
{
    const struct adl_model *model = run->model;
    size_t expected = 0, found = 0, total = 0;
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        bool body = !is_classifier(&model->arch, adl_graph_param(model->graph, i));
        expected += body;
        found += body && taken[i];
        total += taken[i];
    }
    if (2 * found < expected) {
        char network[100];
        fputs(report ? report : "", stderr);
        adl_arch_describe(&model->arch, network, sizeof network);
        return adl_fail(err, ADL_ERR_FORMAT,
                        "hardly matches %s: it has %zu of the %zu parameters below the "
                        "classifier; the table above shows the nearest names; choose the --arch "
                        "or --key that fits the file, or omit --init",
                        network, found, expected);
    }
    if (found < expected)
        adl_str_printf(&run->remarks,
                       "%sadl-server: train: warning: %s has only %zu of the %zu parameters below "
                       "the classifier; the table above shows which are missing\n",
                       report ? report : "", init, found, expected);
    adl_str_printf(&run->remarks,
                   "%s: %zu of %d parameters taken; the others are initialised anew\n", init, total,
                   adl_graph_param_count(model->graph));
    return 0;
}

/* Initialises all weights from the seed, then overwrites those that are in the file `init`. */
static int fill_weights(struct adl_train_run *run, const char *init, struct adl_tensors *weights,
                        struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    struct adl_model *model = run->model;
    int result = -1, count = adl_graph_param_count(model->graph);
    struct adl_str report = {0};
    bool *taken = adl_calloc((size_t)count, sizeof *taken);
    if (!taken)
        return adl_fail_nomem(err, "the weights");
    for (int i = 0; i < count; i++)
        adl_init_param(adl_graph_param(model->graph, i), (uint64_t)s->seed, weights_of(model, i));
    if (weights) {
        /* If nothing fits at all, the table shows why, so it is printed at once. */
        if (adl_model_take(model, weights, taken, &report, err) < 0) {
            fputs(report.data && !report.failed ? report.data : "", stderr);
            goto out;
        }
        ADL_TRY(check_taken(run, init, taken, report.data, err));
    }
    result = 0;
out:
    if (result < 0 && weights)
        adl_error_context(err, "%s", init);
    adl_str_release(&report);
    adl_free(taken);
    return result;
}

/* Names the classes as the data set does; further outputs (--num-classes) are named by their
 * index. */
static int name_classes(struct adl_model *model, const struct adl_dataset *data,
                        struct adl_error *err)
{
    size_t count = (size_t)model->arch.num_classes;
    struct adl_arena arena = {0};
    int result = -1;
    const char **names = adl_malloc(count, sizeof *names);
    if (!names)
        return adl_fail_nomem(err, "class names");
    for (size_t i = 0; i < count; i++) {
        names[i] =
            i < data->class_count ? data->classes[i] : adl_arena_printf(&arena, "class %zu", i);
        if (!names[i]) {
            adl_fail_nomem(err, "class names");
            goto out;
        }
    }
    result = adl_model_set_classes(model, names, count, err);
out:
    adl_arena_release(&arena);
    adl_free(names);
    return result;
}

/* Gives the model the few-box head that the state of a resumed run has: a list of numbers, and the
 * names of the layers that it reads. */
static int head_of_state(struct adl_train_run *run, struct adl_error *err)
{
    const json_t *list = json_object_get(run->state, "foreground"), *value;
    const json_t *layers = json_object_get(run->state, "foreground_layers");
    struct adl_foreground_head head = adl_head_begin(run->model->graph);
    size_t i, count = json_array_size(list);

    if (count == 0)
        return 0;
    json_array_foreach(layers, i, value)
    {
        const char *name = json_string_value(value);
        if (adl_head_add_layer(run->model->graph, &head, name ? name : "", err) < 0)
            return -1;
    }
    if (count != adl_foreground_channels(&head) + 1)
        return adl_fail(err, ADL_ERR_FORMAT, "the state of the run has a damaged foreground head");
    float *weights = adl_malloc(count, sizeof *weights);
    if (!weights)
        return adl_fail_nomem(err, "the foreground head");
    json_array_foreach(list, i, value) weights[i] = (float)json_number_value(value);
    head.weights = weights;
    int result = adl_model_set_foreground(run->model, &head, err);
    adl_free(weights);
    return result;
}

/* Keeps the rule by which maps are formed and cut. The few-box head is kept as well where the
 * features hardly change; elsewhere it would look for features that are no longer there. A method
 * that builds the upper end of the network has a last map of its own. */
static int keep_rule(struct adl_train_run *run, const struct adl_tensors *weights,
                     const struct adl_model *from, struct adl_error *err)
{
    struct adl_model *model = run->model;

    model->map = from->map;
    model->map.class_thresholds = NULL; /* of other classes, or of other weights */
    struct adl_map_layer *layer = &model->map.views.layer;
    if (layer->method != ADL_LAYER_NONE &&
        adl_graph_find_layer(model->graph, layer->name, &(struct adl_error){0}) < 0)
        layer->method = ADL_LAYER_NONE; /* of a network of another architecture */
    if (adl_map_views_check_stride(&model->map.views, model->arch.last_stride == 2,
                                   &(struct adl_error){0}) < 0)
        layer->method = ADL_LAYER_NONE; /* the map stride goes before it */
    if (!run->fine_tunes || !adl_method_set_alike(model->arch.methods, from->arch.methods))
        return 0;
    if (run->state) {
        if (head_of_state(run, err) < 0)
            return -1;
        if (from->foreground_off)
            model->map.foreground = NULL;
        return 0;
    }
    model->foreground_off = from->foreground_off;
    return adl_model_read_foreground(model, weights, err);
}

/* Returns whether somebody has chosen the rule of a model: by calibration, by its val split, or by
 * options of this program. A threshold of other origin, as in a file of ImageNet weights, was
 * chosen for other classes. */
static bool rule_was_chosen(const struct adl_model *from)
{
    const json_t *training = from->training;
    bool ours = json_object_get(training, "command") || json_object_get(training, "converted_from");

    return from->calibration || json_object_get(from->metrics, "max_box_acc") ||
           json_object_get(from->metrics, "pxap") || !adl_map_rule_is_reference(&from->map) ||
           (ours && fabs(from->map.threshold - ADL_MODEL_THRESHOLD) > 0);
}

/* Without boxes or masks to choose a threshold with, a new run takes the rule that is rarely far
 * off. A network with a class map of its own is left out, because the rule is that of weighted sums
 * of features. */
static void choose_rule(struct adl_train_run *run, const struct adl_model *from)
{
    bool truth = run->val && (run->val->box_count > 0 || run->val->masked);
    bool own_map = adl_graph_output(run->model->graph, ADL_OUTPUT_CLASS_MAP) >= 0;

    if (!run->state && !truth && !own_map && !(from && rule_was_chosen(from)))
        adl_map_rule_without_boxes(&run->model->map);
}

/* `from` loses the description of its network to the model. */
static int make_model(struct adl_train_run *run, const char *init, struct adl_tensors *weights,
                      struct adl_model *from, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    struct adl_arch arch;

    if (choose_arch(run, from, &arch, err) < 0)
        return -1;
    if (s->multi_label && adl_method_set_check_labels(arch.methods, err) < 0)
        return -1;
    struct adl_model *model = run->model = adl_model_create(&arch, s->crop_size, s->crop_size, err);
    if (model) {
        model->labels.several = s->multi_label;
        if (arch.stored) {
            model->stored = from->stored;
            from->stored = NULL;
        }
    }
    if (!model && arch.stored && from->input_h == from->input_w && from->input_h != s->crop_size)
        adl_error_context(err,
                          "the network was exported for images of %dx%d, as with --crop-size %d",
                          from->input_h, from->input_w, from->input_h);
    if (!model || fill_weights(run, init, weights, err) < 0)
        return -1;
    if (run->train->classes && name_classes(model, run->train, err) < 0)
        return -1;
    if (from && from->arch.backbone == arch.backbone) {
        memcpy(model->mean, from->mean, sizeof model->mean);
        memcpy(model->std, from->std, sizeof model->std);
        if (keep_rule(run, weights, from, err) < 0)
            return -1;
    }
    choose_rule(run, from);
    if (s->mean.count &&
        adl_channels_parse("mean", s->mean.items, s->mean.count, false, model->mean, err) < 0)
        return -1;
    return s->std.count
               ? adl_channels_parse("std", s->std.items, s->std.count, true, model->std, err)
               : 0;
}

/* Returns the network of a state that is resumed, as a model without graph and weights. The file
 * of --init, if the run was started with one, is not needed again. */
static struct adl_model *model_of_state(const json_t *state, struct adl_error *err)
{
    double mean[3], std[3];
    json_t *arch, *cam = json_object_get(state, "cam");
    struct adl_model *model = adl_model_new(err);
    char *text = NULL;
    if (!model)
        return NULL;
    if (json_unpack((json_t *)state, "{s:{s:o, s:[F, F, F], s:[F, F, F]}}", "config", "arch", &arch,
                    "mean", &mean[0], &mean[1], &mean[2], "std", &std[0], &std[1], &std[2]) < 0) {
        adl_fail(err, ADL_ERR_FORMAT, "%s: is damaged: it does not describe its network",
                 ADL_RUN_STATE);
        goto fail;
    }
    json_t *graph = json_object_get(state, "graph"), *whole = json_copy(arch);
    if (graph && json_object_set(whole, "graph", graph) < 0) {
        json_decref(whole);
        whole = NULL;
    }
    json_t *described = json_pack("{s:i, s:o, s:O*}", "version", 1, "arch", whole, "cam", cam);
    text = adl_json_to_text(described, JSON_COMPACT | JSON_REAL_PRECISION(17), NULL, err);
    json_decref(described);
    if (!text || adl_model_read_description(model, text, NULL, err) < 0)
        goto fail;
    adl_free(text);
    for (int i = 0; i < 3; i++) {
        model->mean[i] = (float)mean[i];
        model->std[i] = (float)std[i];
    }
    return model;
fail:
    adl_free(text);
    adl_model_free(model);
    return NULL;
}

/* Makes the network of a resumed run. Its weights are those of the state, which the caller loads
 * later. */
static int resume_model(struct adl_train_run *run, struct adl_error *err)
{
    struct adl_model *from = model_of_state(run->state, err);
    int result = from ? make_model(run, NULL, NULL, from, err) : -1;
    adl_model_free(from);
    return result;
}

/* Fewer training images than this rarely suffice for a network that starts from
 * random weights. */
#define FEW_IMAGES 2000

/* Returns the tensors of the file of --init. Of an ONNX file some layers depend on the size of the
 * images, so it is read for that of this run if that is possible. */
static struct adl_tensors *read_init(const struct adl_train_settings *s, const char *init,
                                     struct adl_error *err)
{
    const struct adl_onnx_in_options how = {.input_h = s->crop_size, .input_w = s->crop_size};
    struct adl_error other_size = {0};

    if (!adl_text_ends_with(init, ".onnx"))
        return adl_model_read_weights(init, s->key, s->prefix, err);
    struct adl_tensors *tensors = adl_onnx_in_read(init, &how, &other_size);
    return tensors ? tensors : adl_onnx_in_read(init, NULL, err);
}

int adl_train_make_model(struct adl_train_run *run, struct adl_error *err)
{
    char path[ADL_DEFAULT_MODEL_PATH];
    const char *init;
    if (run->state)
        return resume_model(run, err);
    if (find_init(run->settings, path, &init, err) < 0)
        return -1;
    struct adl_tensors *weights = init ? read_init(run->settings, init, err) : NULL;
    if (init && !weights)
        return -1;
    if (!run->follows && weights && adl_tensors_note(weights))
        fprintf(stderr, "%s: %s\n", init, adl_tensors_note(weights));
    struct adl_model *from = weights ? adl_model_described(weights) : NULL;
    int result = make_model(run, init, weights, from, err);
    if (from)
        run->origin = json_incref(from->training);
    adl_model_free(from);
    adl_tensors_free(weights);
    if (result == 0 && !init && run->train->count < FEW_IMAGES)
        adl_str_printf(&run->remarks,
                       "%zu %s few for random initial weights; training from pretrained ones, "
                       "such as with --init default, will give better results\n",
                       run->train->count, run->train->count == 1 ? "image is" : "images are");
    return result;
}
