/* Writes and reads the description in a model file: the JSON object `adl` of its metadata.
 *
 * Reading is strict about known keys (a wrong type or range is an error that names the key) and
 * lenient about the others: absent keys have defaults, unknown ones are ignored.
 * "resize" is written for human readers; all images are resized directly to the input size,
 * bilinear and antialiased, without regard to their aspect ratio. */

#include "models/file/description.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "io/json_text.h"
#include "models/backbones/stored.h"
#include "models/file/certainty.h"
#include "models/file/quantised.h"

#define VERSION 1

/* --- writing ----------------------------------------------------------------- */

/* Returns the shortest decimal that reads back as the same float: 0.485 instead of
 * 0.48500001430511475. Nine digits are always enough. */
static json_t *short_real(float value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if ((float)strtod(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *reals(const float *values, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, short_real(values[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *classes_json(const struct adl_model *model)
{
    json_t *array = json_array();
    for (size_t i = 0; i < model->class_count; i++)
        if (json_array_append_new(array, json_string(model->classes[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* Adds the keys of the map rule. Those with the values of the reference's rule are left out, so
 * that a model with that rule has the file that it had before there were rules. */
static int add_rule(json_t *cam, const struct adl_map_rule *rule)
{
    int failed = json_object_set_new(cam, "threshold", json_real(rule->threshold));

    if (rule->weights != ADL_MAP_WEIGHTS_ALL)
        failed |= json_object_set_new(cam, "map_weights",
                                      json_string(adl_map_weights_names[rule->weights]));
    if (rule->normalise != ADL_MAP_MINMAX)
        failed |= json_object_set_new(cam, "map_normalise",
                                      json_string(adl_map_normalise_names[rule->normalise]));
    if (adl_map_has_percentile(rule->normalise))
        failed |= json_object_set_new(cam, "map_percentile", json_real(rule->percentile));
    if (rule->classes > 1)
        failed |= json_object_set_new(cam, "map_classes", json_integer(rule->classes));
    if (rule->objects.prominence != 0 || rule->objects.area != 0) {
        failed |=
            json_object_set_new(cam, "object_prominence", json_real(rule->objects.prominence));
        failed |= json_object_set_new(cam, "object_area", json_real(rule->objects.area));
    }
    if (rule->views.flip)
        failed |= json_object_set_new(cam, "map_flip", json_true());
    if (rule->views.scale_count > 0) {
        json_t *scales = json_array();
        for (int i = 0; i < rule->views.scale_count; i++)
            failed |= json_array_append_new(scales, json_real(rule->views.scales[i]));
        failed |= json_object_set_new(cam, "map_scales", scales);
    }
    if (rule->views.stride1)
        failed |= json_object_set_new(cam, "map_stride", json_integer(1));
    if (rule->views.layer.method != ADL_LAYER_NONE) {
        char text[ADL_MAP_LAYER_TEXT_BYTES];
        failed |= json_object_set_new(cam, "map_layer",
                                      json_string(adl_map_layer_text(&rule->views.layer, text)));
    }
    return failed;
}

/* Adds the thresholds of single classes: a list with null for a class without one. */
static int add_class_thresholds(json_t *cam, const struct adl_model *model)
{
    json_t *list;

    if (!model->map.class_thresholds)
        return 0;
    list = json_array();
    int failed = list == NULL;
    for (size_t i = 0; i < model->class_count; i++) {
        float threshold = model->map.class_thresholds[i];
        failed |= json_array_append_new(list, threshold >= 0 ? short_real(threshold) : json_null());
    }
    return failed | json_object_set_new(cam, "class_thresholds", list);
}

json_t *adl_model_to_json(const struct adl_model *model)
{
    json_t *json = json_object(), *input = json_object(), *cam = json_object();
    int failed = 0;
    failed |= json_object_set_new(input, "size", json_pack("[ii]", model->input_h, model->input_w));
    failed |= json_object_set_new(input, "resize", json_string("bilinear"));
    failed |= json_object_set_new(input, "mean", reals(model->mean, 3));
    failed |= json_object_set_new(input, "std", reals(model->std, 3));
    failed |= add_rule(cam, &model->map);
    failed |= add_class_thresholds(cam, model);
    if (model->foreground)
        failed |= json_object_set_new(cam, "foreground", json_boolean(model->map.foreground));

    failed |= json_object_set_new(json, "version", json_integer(VERSION));
    failed |= json_object_set_new(json, "arch", adl_arch_to_json(&model->arch));
    if (model->quantisation)
        failed |= json_object_set_new(json, "precision", json_string("int8"));
    else if (model->bf16)
        failed |= json_object_set_new(json, "precision", json_string("bf16"));
    if (model->classes)
        failed |= json_object_set_new(json, "classes", classes_json(model));
    failed |= json_object_set(json, "input", input);
    failed |= json_object_set(json, "cam", cam);
    if (model->labels.several)
        failed |= json_object_set_new(json, "multi_label",
                                      json_pack("{s:f}", "threshold", model->labels.threshold));
    if (adl_certainty_is_known(&model->certainty))
        failed |= json_object_set_new(json, "certainty", adl_certainty_to_json(&model->certainty));
    if (model->training)
        failed |= json_object_set(json, "training", model->training);
    if (model->metrics)
        failed |= json_object_set(json, "metrics", model->metrics);
    if (model->calibration)
        failed |= json_object_set(json, "calibration", model->calibration);
    json_decref(input);
    json_decref(cam);
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

char *adl_model_description(const struct adl_model *model, struct adl_error *err)
{
    json_t *json = adl_model_to_json(model);
    if (json && model->stored &&
        json_object_set_new(json_object_get(json, "arch"), "graph",
                            adl_stored_to_json(model->stored, true)) < 0) {
        json_decref(json);
        json = NULL;
    }
    if (json && model->quantisation &&
        json_object_set_new(json, "activations", adl_quantised_ranges(model)) < 0) {
        json_decref(json);
        json = NULL;
    }
    bool failed = false;
    json_t *packed = json && model->quantisation ? adl_quantised_packed(model, &failed) : NULL;
    if (failed || (packed && json_object_set_new(json, "packed", packed) < 0)) {
        json_decref(json);
        json = NULL;
    }
    char *text = adl_json_to_text(json, JSON_COMPACT | JSON_REAL_PRECISION(15), NULL, err);
    json_decref(json);
    return text;
}

/* --- reading ----------------------------------------------------------------- */

static int read_version(const json_t *json, struct adl_error *err)
{
    const json_t *version = json_object_get(json, "version");
    if (!version)
        return 0;
    if (!json_is_integer(version) || json_integer_value(version) < 1)
        return adl_fail(err, ADL_ERR_FORMAT, "version is not a positive integer");
    if (json_integer_value(version) != VERSION)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "version %lld is newer than this program, which reads version %d",
                        (long long)json_integer_value(version), VERSION);
    return 0;
}

/* Returns whether the backbones differ, or a field of `requested` is neither the backbone's default
 * nor the value in the file. */
static bool contradicts(const struct adl_arch *requested, const struct adl_arch *stated)
{
    struct adl_arch d;
    adl_arch_init(&d, requested->backbone);
#define DIFFERS(field) (requested->field != d.field && requested->field != stated->field)
    return requested->backbone != stated->backbone || DIFFERS(num_classes) || DIFFERS(bn_eps) ||
           DIFFERS(large_feature_map) || DIFFERS(width) || DIFFERS(activation) ||
           DIFFERS(padding) || DIFFERS(last_stride);
#undef DIFFERS
}

static int read_arch(struct adl_model *model, const json_t *json, const struct adl_arch *requested,
                     struct adl_error *err)
{
    const json_t *arch = json_object_get(json, "arch");
    if (!arch) {
        if (!requested)
            return adl_fail(err, ADL_ERR_FORMAT,
                            "the file does not say its architecture; write it in with adl-server "
                            "convert --arch ARCH IN OUT (bench, forward, info and step take --arch "
                            "themselves)");
        model->arch = *requested;
        return adl_arch_check(requested, err);
    }
    if (adl_arch_from_json(&model->arch, arch, err) < 0)
        return -1;
    if (model->arch.backbone == &adl_backbone_onnx) {
        model->stored = adl_stored_from_json(json_object_get(arch, "graph"), err);
        if (!model->stored)
            return adl_error_context(err, "arch");
        model->arch.stored = model->stored;
    }
    if (!requested)
        return 0;
    if (contradicts(requested, &model->arch)) {
        char stated_text[100], requested_text[100];
        adl_arch_describe(&model->arch, stated_text, sizeof stated_text);
        adl_arch_describe(requested, requested_text, sizeof requested_text);
        return adl_fail(err, ADL_ERR_ARG,
                        "the file says it is %s, %d class%s, bn_eps %g, and %s, %d class%s, bn_eps "
                        "%g was requested; leave out --arch and its options",
                        stated_text, model->arch.num_classes, ADL_ES(model->arch.num_classes),
                        model->arch.bn_eps, requested_text, requested->num_classes,
                        ADL_ES(requested->num_classes), requested->bn_eps);
    }
    if (!adl_arch_has_method(&model->arch)) {
        model->arch.methods = requested->methods;
        model->arch.rounds = requested->rounds;
    }
    return 0;
}

static int read_classes(struct adl_model *model, const json_t *json, struct adl_error *err)
{
    const json_t *classes = json_object_get(json, "classes");
    size_t count = json_array_size(classes);
    model->class_count = (size_t)model->arch.num_classes;
    if (!classes || json_is_null(classes))
        return 0;
    if (!json_is_array(classes))
        return adl_fail(err, ADL_ERR_FORMAT, "classes is not a list");
    if (count == 0)
        return 0;
    if (count != model->class_count)
        return adl_fail(err, ADL_ERR_FORMAT, "classes has %zu name%s and arch %zu class%s", count,
                        ADL_S(count), model->class_count, ADL_ES(model->class_count));
    model->classes = adl_calloc(count, sizeof *model->classes);
    if (!model->classes)
        return adl_fail_nomem(err, "class names");
    for (size_t i = 0; i < count; i++) {
        const json_t *name = json_array_get(classes, i);
        if (!json_is_string(name))
            return adl_fail(err, ADL_ERR_FORMAT, "the name of class %zu is not text", i);
        if (json_string_length(name) > ADL_LIMIT_CLASS_NAME_BYTES)
            return adl_fail(err, ADL_ERR_LIMIT, "the name of class %zu has %zu bytes, more than %d",
                            i, json_string_length(name), ADL_LIMIT_CLASS_NAME_BYTES);
        model->classes[i] = adl_strdup(json_string_value(name));
        if (!model->classes[i])
            return adl_fail_nomem(err, "class names");
    }
    return 0;
}

static int read_side(const json_t *value, int *side, struct adl_error *err)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > ADL_LIMIT_INPUT_SIDE)
        return adl_fail(err, ADL_ERR_FORMAT, "input.size is not two integers from 1 to %d",
                        ADL_LIMIT_INPUT_SIDE);
    *side = (int)number;
    return 0;
}

/* Reads three finite numbers, for R, G and B. Pixels are divided by std, so with `divisor` they
 * have to be normal numbers: neither 0 nor so small that the quotient overflows. */
static int read_channels(const json_t *input, const char *key, bool divisor, float *out,
                         struct adl_error *err)
{
    const json_t *array = json_object_get(input, key);
    if (!array)
        return 0;
    bool fine = json_is_array(array) && json_array_size(array) == 3;
    for (size_t i = 0; fine && i < 3; i++) {
        const json_t *number = json_array_get(array, i);
        out[i] = (float)json_number_value(number);
        fine = json_is_number(number) && isfinite(out[i]) && !(divisor && !isnormal(out[i]));
    }
    if (!fine)
        return adl_fail(err, ADL_ERR_FORMAT, "input.%s is not three finite numbers%s", key,
                        divisor ? " other than 0" : "");
    return 0;
}

static int read_input(struct adl_model *model, const json_t *json, struct adl_error *err)
{
    const json_t *input = json_object_get(json, "input");
    if (!input)
        return 0;
    if (!json_is_object(input))
        return adl_fail(err, ADL_ERR_FORMAT, "input is not a JSON object");
    const json_t *size = json_object_get(input, "size");
    if (size) {
        if (json_array_size(size) != 2)
            return adl_fail(err, ADL_ERR_FORMAT, "input.size is not two integers from 1 to %d",
                            ADL_LIMIT_INPUT_SIDE);
        ADL_TRY(read_side(json_array_get(size, 0), &model->input_h, err));
        ADL_TRY(read_side(json_array_get(size, 1), &model->input_w, err));
    }
    ADL_TRY(read_channels(input, "mean", false, model->mean, err));
    ADL_TRY(read_channels(input, "std", true, model->std, err));
    return 0;
out:
    return -1;
}

/* Reads a number from 0 to 1; leaves *out unchanged if the key is absent. */
static int read_fraction(const json_t *cam, const char *key, double *out, struct adl_error *err)
{
    const json_t *member = json_object_get(cam, key);
    double value = json_number_value(member);
    if (!member)
        return 0;
    if (!json_is_number(member) || !(value >= 0 && value <= 1))
        return adl_fail(err, ADL_ERR_FORMAT, "cam.%s is not a number from 0 to 1", key);
    *out = value;
    return 0;
}

/* Reads a name and sets *out to its index in `names`; leaves it unchanged if the key is absent. */
static int read_choice(const json_t *cam, const char *key, const char *const *names, int *out,
                       struct adl_error *err)
{
    const json_t *member = json_object_get(cam, key);
    const char *text = json_string_value(member);
    if (!member)
        return 0;
    for (int i = 0; text && names[i]; i++)
        if (!strcmp(text, names[i])) {
            *out = i;
            return 0;
        }
    return adl_fail(err, ADL_ERR_UNSUPPORTED,
                    "cam.%s is not one of the values that this program knows, such as \"%s\"", key,
                    names[0]);
}

/* Reads the views that maps are averaged over. */
static int read_views(const json_t *cam, struct adl_map_views *views, struct adl_error *err)
{
    const json_t *flip = json_object_get(cam, "map_flip");
    const json_t *stride = json_object_get(cam, "map_stride");
    const json_t *list = json_object_get(cam, "map_scales"), *number;
    const json_t *layer = json_object_get(cam, "map_layer");
    double scales[ADL_LIMIT_MAP_SCALES];
    size_t i;

    if (flip && !json_is_boolean(flip))
        return adl_fail(err, ADL_ERR_FORMAT, "cam.map_flip is not true or false");
    views->flip = json_is_true(flip);
    json_int_t value = json_integer_value(stride);
    if (stride && (!json_is_integer(stride) || value < 1 || value > 2))
        return adl_fail(err, ADL_ERR_FORMAT, "cam.map_stride is not 1 or 2");
    views->stride1 = value == 1;
    bool fine = !list || (json_is_array(list) && json_array_size(list) <= ADL_LIMIT_MAP_SCALES);
    if (fine && list) {
        /* What is not a number reads as 0, which is no scale. */
        json_array_foreach(list, i, number) scales[i] = json_number_value(number);
        views->scale_count = adl_map_scales_sort(scales, json_array_size(list), views->scales);
        fine = views->scale_count >= 0;
    }
    if (!fine)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "cam.map_scales is not a list of 1 to %d different numbers from %g to %g",
                        ADL_LIMIT_MAP_SCALES, ADL_MAP_SCALE_MIN, ADL_MAP_SCALE_MAX);
    if (layer && !json_is_null(layer)) {
        const char *text = json_is_string(layer) ? json_string_value(layer) : "";
        if (adl_map_layer_parse(text, &views->layer, err) < 0) {
            err->kind = ADL_ERR_FORMAT;
            return adl_error_context(err, "cam.map_layer");
        }
    }
    return 0;
}

/* Reads "class_thresholds": a number from 0 to 1, or null, for each class. */
static int read_class_thresholds(struct adl_model *model, const json_t *cam, struct adl_error *err)
{
    const json_t *list = json_object_get(cam, "class_thresholds"), *item;
    size_t i, count = json_array_size(list);

    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list) || count != model->class_count)
        return adl_fail(err, ADL_ERR_FORMAT, "cam.class_thresholds is not a list of %zu value%s",
                        model->class_count, ADL_S(model->class_count));
    float *thresholds = adl_malloc(count, sizeof *thresholds);
    if (!thresholds)
        return adl_fail_nomem(err, "the thresholds of classes");
    int result = 0;
    json_array_foreach(list, i, item)
    {
        double value = json_is_null(item) ? -1 : json_number_value(item);
        if (!json_is_null(item) && (!json_is_number(item) || !(value >= 0 && value <= 1)))
            result =
                adl_fail(err, ADL_ERR_FORMAT,
                         "cam.class_thresholds[%zu] is neither a number from 0 to 1 nor null", i);
        thresholds[i] = (float)value;
    }
    if (result == 0)
        result = adl_model_set_class_thresholds(model, thresholds, err);
    adl_free(thresholds);
    return result;
}

static int read_cam(struct adl_model *model, const json_t *json, struct adl_error *err)
{
    const json_t *cam = json_object_get(json, "cam");
    if (!cam)
        return 0;
    if (!json_is_object(cam))
        return adl_fail(err, ADL_ERR_FORMAT, "cam is not a JSON object");
    struct adl_map_rule *rule = &model->map;
    int weights = 0, normalise = 0;
    ADL_TRY(read_choice(cam, "map_weights", adl_map_weights_names, &weights, err));
    ADL_TRY(read_choice(cam, "map_normalise", adl_map_normalise_names, &normalise, err));
    rule->weights = (enum adl_map_weights)weights;
    rule->normalise = (enum adl_map_normalise)normalise;
    rule->percentile = adl_map_default_percentile(rule->normalise);
    ADL_TRY(read_fraction(cam, "map_percentile", &rule->percentile, err));
    ADL_TRY(read_fraction(cam, "threshold", &rule->threshold, err));
    const json_t *classes = json_object_get(cam, "map_classes");
    if (classes && (!json_is_integer(classes) || json_integer_value(classes) < 1 ||
                    json_integer_value(classes) > ADL_LIMIT_MAP_CLASSES))
        return adl_fail(err, ADL_ERR_FORMAT, "cam.map_classes is not an integer from 1 to %d",
                        ADL_LIMIT_MAP_CLASSES);
    rule->classes = (int)json_integer_value(classes);
    if (json_object_get(cam, "object_prominence") || json_object_get(cam, "object_area"))
        rule->objects = adl_object_rule_used(&(struct adl_object_rule){0});
    ADL_TRY(read_fraction(cam, "object_prominence", &rule->objects.prominence, err));
    ADL_TRY(read_fraction(cam, "object_area", &rule->objects.area, err));
    ADL_TRY(read_views(cam, &rule->views, err));
    ADL_TRY(read_class_thresholds(model, cam, err));
    const json_t *foreground = json_object_get(cam, "foreground");
    if (foreground && !json_is_boolean(foreground))
        return adl_fail(err, ADL_ERR_FORMAT, "cam.foreground is not true or false");
    model->foreground_off = json_is_false(foreground);
    return 0;
out:
    return -1;
}

static int read_precision(struct adl_model *model, const json_t *json, struct adl_error *err)
{
    const json_t *precision = json_object_get(json, "precision");
    const char *name = json_string_value(precision);

    if (!precision || json_is_null(precision) || (name && !strcmp(name, "fp32")))
        return 0;
    if (name && !strcmp(name, "bf16")) {
        model->precision = ADL_PRECISION_BF16;
        return 0;
    }
    if (!name || strcmp(name, "int8") != 0)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "precision is not one that this program knows: fp32, bf16 and int8");
    model->precision = ADL_PRECISION_INT8;
    model->activations = json_incref(json_object_get(json, "activations"));
    return 0;
}

/* Reads that images may have several classes: {"threshold": 0.5}, or null where they have one. A
 * reader that does not know the key takes the largest score, which is that of the most probable
 * class in any case. */
static int read_labels(struct adl_model *model, const json_t *json, struct adl_error *err)
{
    const json_t *labels = json_object_get(json, "multi_label");
    const json_t *threshold = json_object_get(labels, "threshold");
    double value = json_number_value(threshold);

    if (!labels || json_is_null(labels))
        return 0;
    if (!json_is_object(labels))
        return adl_fail(err, ADL_ERR_FORMAT, "multi_label is not a JSON object");
    if (threshold && (!json_is_number(threshold) || !(value >= 0 && value <= 1)))
        return adl_fail(err, ADL_ERR_FORMAT, "multi_label.threshold is not a number from 0 to 1");
    model->labels.several = true;
    if (threshold)
        model->labels.threshold = value;
    return 0;
}

/* Finds where a network from ONNX may have layers of methods, and reads where it has them. */
static int read_stored_places(struct adl_model *model, const json_t *json, struct adl_error *err)
{
    if (!model->stored)
        return 0;
    if (adl_stored_find_places(model->stored, model->arch.num_classes, model->input_h,
                               model->input_w, err) < 0)
        return adl_error_context(err, "arch");
    model->arch.adl_places = model->stored->place_default;
    return adl_arch_read_places(&model->arch, json_object_get(json, "arch"), err);
}

/* Reads an object that is kept as it is and written back. */
static int read_kept(json_t *json, const char *key, json_t **kept, struct adl_error *err)
{
    json_t *member = json_object_get(json, key);
    if (!member || json_is_null(member))
        return 0;
    if (!json_is_object(member))
        return adl_fail(err, ADL_ERR_FORMAT, "%s is not a JSON object", key);
    *kept = json_incref(member);
    return 0;
}

int adl_model_read_description(struct adl_model *model, const char *text,
                               const struct adl_arch *requested, struct adl_error *err)
{
    json_error_t where;
    int result = -1;
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, &where) : json_object();
    if (!json) {
        if (!text || json_error_code(&where) == json_error_out_of_memory)
            return adl_fail_nomem(err, "the model's description");
        return adl_fail(err, ADL_ERR_FORMAT, "metadata \"adl\" is not a JSON object (byte %d)",
                        where.position);
    }
    if (!json_is_object(json)) {
        adl_fail(err, ADL_ERR_FORMAT, "metadata \"adl\" is not a JSON object");
        goto out;
    }
    ADL_TRY(read_version(json, err));
    ADL_TRY(read_arch(model, json, requested, err));
    ADL_TRY(read_classes(model, json, err));
    ADL_TRY(read_precision(model, json, err));
    ADL_TRY(read_input(model, json, err));
    ADL_TRY(read_stored_places(model, json, err));
    ADL_TRY(read_cam(model, json, err));
    ADL_TRY(read_labels(model, json, err));
    ADL_TRY(adl_certainty_from_json(&model->certainty, json_object_get(json, "certainty"), err));
    ADL_TRY(read_kept(json, "training", &model->training, err));
    ADL_TRY(read_kept(json, "metrics", &model->metrics, err));
    ADL_TRY(read_kept(json, "calibration", &model->calibration, err));
    result = 0;
out:
    if (result < 0 && text && err->kind != ADL_ERR_ARG)
        adl_error_context(err, "metadata \"adl\"");
    json_decref(json);
    return result;
}
