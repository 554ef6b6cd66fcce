/* Lists the backbones, and converts architectures to text, to JSON and to graphs.
 *
 * An architecture is a backbone and a handful of parameters (struct adl_arch). As JSON it is
 * the `arch` object of a model file, the one place that has to say everything that decides
 * the shapes of the weights:
 *
 *   {"name": "mobilenet_v1", "num_classes": 104, "bn_eps": 1e-05, "adl": true, "width": 0.5,
 *    "activation": "relu", "padding": "symmetric", "last_stride": 1}
 *
 * An absent key means the backbone's default, so a key that a later version adds does not
 * change older files. */

#include "models/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/name.h"
#include "io/tensor.h"
#include "methods/methods.h"
#include "models/backbones/stored.h"

#define DEFAULT_ROUNDS 3 /* Wei et al. 2017 stop after three */

#define ADDRESS(name) &adl_backbone_##name,
const struct adl_backbone *const adl_backbones[] = {ADL_BACKBONES(ADDRESS) NULL};

const struct adl_backbone *adl_backbone_find(const char *name)
{
    for (const struct adl_backbone *const *b = adl_backbones; *b; b++)
        if (strcmp((*b)->name, name) == 0)
            return *b;
    return strcmp(adl_backbone_onnx.name, name) == 0 ? &adl_backbone_onnx : NULL;
}

void adl_arch_init(struct adl_arch *arch, const struct adl_backbone *backbone)
{
    *arch = (struct adl_arch){
        .backbone = backbone,
        .num_classes = 1000,
        .rounds = DEFAULT_ROUNDS,
        .adl_places = backbone->adl_default,
        .bn_eps = backbone->bn_eps,
        .width = 1,
        .activation = ADL_ACT_RELU,
        .padding = ADL_PAD_SYMMETRIC,
        .last_stride = backbone->last_stride ? backbone->last_stride : 1,
    };
    adl_method_defaults(arch->method_values);
}

/* --- places of ADL --------------------------------------------------------------- */

int adl_arch_set_places(struct adl_arch *arch, const char *names, struct adl_error *err)
{
    const struct adl_backbone *backbone = arch->backbone;
    uint32_t places = 0;

    if (!backbone->adl_places && !arch->stored)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "the places of ADL in %s are fixed: others would shift the numbers in its "
                        "parameters' names",
                        backbone->name);
    for (const char *name = names;; name++) {
        size_t length = strcspn(name, ",");
        uint32_t bit = adl_arch_place(arch, name, length);
        if (!bit) {
            int count = 0;
            while (adl_arch_place_name(arch, count))
                count++;
            if (count == 0)
                return adl_fail(err, ADL_ERR_UNSUPPORTED,
                                "%s: this network has no map that ADL could follow",
                                backbone->name);
            return adl_fail(err, ADL_ERR_ARG,
                            "%s: ADL cannot follow %s; it can follow the layers from %s to %s%s",
                            backbone->name, adl_name_quote(name, length).text,
                            adl_arch_place_name(arch, 0), adl_arch_place_name(arch, count - 1),
                            arch->stored ? ", which `adl-server info` lists" : "");
        }
        places |= bit;
        name += length;
        if (!*name)
            break;
    }
    arch->adl_places = places;
    return 0;
}

/* --- ranges ---------------------------------------------------------------------- */

int adl_arch_check(const struct adl_arch *arch, struct adl_error *err)
{
    const struct adl_method *branches = adl_arch_branches(arch);

    if (arch->num_classes < 1 || arch->num_classes > ADL_LIMIT_CLASSES)
        return adl_fail(err, ADL_ERR_ARG, "num_classes is %d, not 1 to %d", arch->num_classes,
                        ADL_LIMIT_CLASSES);
    if (!isfinite(arch->bn_eps) || arch->bn_eps <= 0 || arch->bn_eps > 1)
        return adl_fail(err, ADL_ERR_ARG, "bn_eps is %g, not above 0 and at most 1", arch->bn_eps);
    if (arch->large_feature_map && !arch->backbone->has_large_map)
        return adl_fail(err, ADL_ERR_ARG, "%s has no large feature map", arch->backbone->name);
    if (adl_method_set_check(arch->methods, err) < 0)
        return -1;
    if (branches &&
        !(adl_arch_has_fine_base(arch) ? arch->backbone->has_fine_base : arch->backbone->has_base))
        return adl_fail(err, ADL_ERR_ARG, "the method %s is not available for %s", branches->name,
                        arch->backbone->name);
    if (branches && adl_arch_has_fine_base(arch) && arch->large_feature_map)
        return adl_fail(err, ADL_ERR_ARG,
                        "the method %s has maps of its own size; leave out the large feature map",
                        branches->name);
    if (adl_arch_rounds(arch) && (arch->rounds < 2 || arch->rounds > ADL_MAX_PARTS))
        return adl_fail(err, ADL_ERR_ARG, "rounds is %d, not 2 to %d", arch->rounds, ADL_MAX_PARTS);
    if (arch->last_stride != 1 && (arch->last_stride != 2 || !arch->backbone->last_stride))
        return adl_fail(err, ADL_ERR_ARG, "last_stride is %d, not %s", arch->last_stride,
                        arch->backbone->last_stride ? "1 or 2" : "1");
    if (branches && adl_arch_has_named_stages(arch) && arch->last_stride == 2)
        return adl_fail(err, ADL_ERR_ARG,
                        "the method %s needs three maps of the size of the last one, which %s has "
                        "with a last stride of 1 only",
                        branches->name, arch->backbone->name);
    if (arch->backbone->has_options &&
        (!isfinite(arch->width) || arch->width < 0.25 || arch->width > 1))
        return adl_fail(err, ADL_ERR_ARG, "width is %g, not 0.25 to 1", arch->width);
    return 0;
}

/* --- JSON -------------------------------------------------------------------- */

static const char *const activation_names[] = {"relu", "relu6", NULL};
static const char *const padding_names[] = {"symmetric", "tf_same", NULL};

/* Returns the names of the layers that ADL follows; NULL when out of memory. */
static json_t *places_to_json(const struct adl_arch *arch)
{
    json_t *list = json_array();
    int failed = list == NULL;
    const char *place;
    for (int i = 0; !failed && (place = adl_arch_place_name(arch, i)); i++)
        if (arch->adl_places >> i & 1)
            failed = json_array_append_new(list, json_string(place));
    if (failed) {
        json_decref(list);
        return NULL;
    }
    return list;
}

/* Writes the name of an option in files: acol_threshold. */
static void value_name(const struct adl_method_option *option, char *name, size_t size)
{
    snprintf(name, size, "%s", option->name);
    for (char *c = name; *c; c++)
        *c = *c == '-' ? '_' : *c;
}

/* Adds the options of the methods that the network depends on and that are not at their default. */
static int values_to_json(const struct adl_arch *arch, json_t *json)
{
    const struct adl_method_option *option;
    const struct adl_method *method;
    char name[80];

    for (size_t i = 0; (option = adl_method_option_at(i, &method)); i++) {
        const union adl_method_value value = arch->method_values[i];
        const bool choice = option->kind == ADL_METHOD_CHOICE;
        if (!option->in_network || !adl_method_set_has(arch->methods, method) ||
            (choice ? (double)value.integer : value.number) == option->value)
            continue;
        value_name(option, name, sizeof name);
        if (json_object_set_new(json, name,
                                choice ? json_string(option->choices[value.integer])
                                       : json_real(value.number)) < 0)
            return -1;
    }
    return 0;
}

json_t *adl_arch_to_json(const struct adl_arch *arch)
{
    json_t *json = json_pack("{s:s, s:i, s:f}", "name", arch->backbone->name, "num_classes",
                             arch->num_classes, "bn_eps", arch->bn_eps);
    int failed = json == NULL;
    if (arch->large_feature_map)
        failed |= json_object_set_new(json, "large_feature_map", json_true());
    /* In files, "adl": true says that the network has the layers that may shift the numbers in
     * parameter names; "method" is there if the network has anything else of a method. */
    struct adl_method_set network = adl_method_set_network(arch->methods);
    if (adl_arch_in_sequence(arch))
        failed |= json_object_set_new(json, "adl", json_true());
    if (network.bits != adl_method_set_sequence(network).bits)
        failed |=
            json_object_set_new(json, "method", json_string(adl_method_set_text(network).text));
    failed |= values_to_json(arch, json) < 0;
    if (adl_arch_rounds(arch))
        failed |= json_object_set_new(json, "rounds", json_integer(arch->rounds));
    if (adl_arch_has_layers(arch) && arch->adl_places != arch->backbone->adl_default)
        failed |= json_object_set_new(json, "adl_positions", places_to_json(arch));
    if (arch->backbone->has_options) {
        failed |= json_object_set_new(json, "width", json_real(arch->width));
        failed |= json_object_set_new(json, "activation",
                                      json_string(activation_names[arch->activation]));
        failed |= json_object_set_new(json, "padding", json_string(padding_names[arch->padding]));
    }
    if (arch->backbone->last_stride)
        failed |= json_object_set_new(json, "last_stride", json_integer(arch->last_stride));
    if (arch->stored)
        failed |= json_object_set_new(json, "graph", adl_stored_to_json(arch->stored, false));
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* Each of the following readers leaves its result unchanged when the key is absent. */

static int read_bool(const json_t *json, const char *key, bool *out, struct adl_error *err)
{
    const json_t *member = json_object_get(json, key);
    if (!member)
        return 0;
    if (!json_is_boolean(member))
        return adl_fail(err, ADL_ERR_FORMAT, "arch: %s is neither true nor false", key);
    *out = json_is_true(member);
    return 0;
}

static int read_int(const json_t *json, const char *key, int max, int *out, struct adl_error *err)
{
    const json_t *member = json_object_get(json, key);
    if (!member)
        return 0;
    json_int_t value = json_integer_value(member);
    if (!json_is_integer(member) || value < 1 || value > max)
        return adl_fail(err, ADL_ERR_FORMAT, "arch: %s is not an integer from 1 to %d", key, max);
    *out = (int)value;
    return 0;
}

static int read_double(const json_t *json, const char *key, double *out, struct adl_error *err)
{
    const json_t *member = json_object_get(json, key);
    if (!member)
        return 0;
    if (!json_is_number(member))
        return adl_fail(err, ADL_ERR_FORMAT, "arch: %s is not a number", key);
    *out = json_number_value(member);
    return 0;
}

/* Reads a text and stores its index in `names`, of which there are two. */
static int read_choice(const json_t *json, const char *key, const char *const *names, int *out,
                       struct adl_error *err)
{
    const json_t *member = json_object_get(json, key);
    if (!member)
        return 0;
    const char *text = json_string_value(member);
    for (int i = 0; text && names[i]; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return 0;
        }
    return adl_fail(err, ADL_ERR_FORMAT, "arch: %s is neither \"%s\" nor \"%s\"", key, names[0],
                    names[1]);
}

static int read_method(const json_t *json, struct adl_arch *arch, struct adl_error *err)
{
    const json_t *named = json_object_get(json, "method");
    struct adl_error unknown = {0};
    bool adl = false;

    if (read_bool(json, "adl", &adl, err) < 0)
        return -1;
    arch->methods = (struct adl_method_set){0};
    if (adl)
        arch->methods = adl_method_set_toggle_sequence(arch->methods);
    if (!named)
        return 0;
    const char *names = json_string_value(named);
    if (!names || adl_method_set_parse(names, &arch->methods, &unknown) < 0)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "arch: the training method is not known");
    return 0;
}

static int read_values(const json_t *json, struct adl_arch *arch, struct adl_error *err)
{
    const struct adl_method_option *option;
    char name[80];

    for (size_t i = 0; (option = adl_method_option_at(i, NULL)); i++) {
        if (!option->in_network)
            continue;
        double *value = &arch->method_values[i].number;
        value_name(option, name, sizeof name);
        if (option->kind == ADL_METHOD_CHOICE) {
            if (read_choice(json, name, option->choices, &arch->method_values[i].integer, err) < 0)
                return -1;
            continue;
        }
        if (read_double(json, name, value, err) < 0)
            return -1;
        if (!(*value >= option->min && *value <= option->max))
            return adl_fail(err, ADL_ERR_FORMAT, "arch: %s is %g, not %g to %g", name, *value,
                            option->min, option->max);
    }
    return 0;
}

int adl_arch_read_places(struct adl_arch *arch, const json_t *json, struct adl_error *err)
{
    const json_t *list = json_object_get(json, "adl_positions");
    uint32_t places = 0;

    if (!list)
        return 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        uint32_t bit = name ? adl_arch_place(arch, name, strlen(name)) : 0;
        if (!bit)
            return adl_fail(err, ADL_ERR_FORMAT,
                            "arch: adl_positions: ADL cannot follow entry %zu in %s", i,
                            arch->backbone->name);
        places |= bit;
    }
    if (!places)
        return adl_fail(err, ADL_ERR_FORMAT, "arch: adl_positions is not a list of names");
    arch->adl_places = places;
    return 0;
}

static int read_backbone(const json_t *json, const struct adl_backbone **backbone,
                         struct adl_error *err)
{
    if (!json_is_object(json))
        return adl_fail(err, ADL_ERR_FORMAT, "arch is not a JSON object");
    const char *name = json_string_value(json_object_get(json, "name"));
    if (!name)
        return adl_fail(err, ADL_ERR_FORMAT, "arch: name is missing or not text");
    *backbone = adl_backbone_find(name);
    if (!*backbone)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "arch: no network is called %s",
                        adl_name_quote(name, strlen(name)).text);
    return 0;
}

int adl_arch_from_json(struct adl_arch *arch, const json_t *json, struct adl_error *err)
{
    const struct adl_backbone *backbone;
    struct adl_arch a;
    struct adl_error range = {0};
    int activation = ADL_ACT_RELU, padding = ADL_PAD_SYMMETRIC;

    ADL_TRY(read_backbone(json, &backbone, err));
    adl_arch_init(&a, backbone);
    ADL_TRY(read_int(json, "num_classes", ADL_LIMIT_CLASSES, &a.num_classes, err));
    ADL_TRY(read_double(json, "bn_eps", &a.bn_eps, err));
    ADL_TRY(read_bool(json, "large_feature_map", &a.large_feature_map, err));
    ADL_TRY(read_method(json, &a, err));
    ADL_TRY(read_values(json, &a, err));
    ADL_TRY(read_int(json, "rounds", ADL_MAX_PARTS, &a.rounds, err));
    /* A description of the network itself is read later, and says where its places are. */
    if (backbone != &adl_backbone_onnx)
        ADL_TRY(adl_arch_read_places(&a, json, err));
    if (backbone->has_options) {
        ADL_TRY(read_double(json, "width", &a.width, err));
        ADL_TRY(read_choice(json, "activation", activation_names, &activation, err));
        ADL_TRY(read_choice(json, "padding", padding_names, &padding, err));
        a.activation = (enum adl_activation)activation;
        a.padding = (enum adl_padding)padding;
    }
    if (backbone->last_stride)
        ADL_TRY(read_int(json, "last_stride", 2, &a.last_stride, err));
    if (adl_arch_check(&a, &range) < 0)
        return adl_fail(err, ADL_ERR_FORMAT, "arch: %s", range.message);
    *arch = a;
    return 0;
out:
    return -1;
}

/* --- text and graph ------------------------------------------------------------ */

void adl_arch_describe(const struct adl_arch *arch, char *text, size_t size)
{
    char options[64] = "", rounds[32] = "", stride[16] = "";
    if (adl_arch_rounds(arch))
        snprintf(rounds, sizeof rounds, " in %d rounds", arch->rounds);
    if (arch->backbone->has_options)
        snprintf(options, sizeof options, " %g %s %s", arch->width,
                 activation_names[arch->activation], padding_names[arch->padding]);
    if (arch->backbone->last_stride && arch->last_stride != arch->backbone->last_stride)
        snprintf(stride, sizeof stride, " stride %d", arch->last_stride);
    snprintf(
        text, size, "%s%s%s%s%s%s%s", arch->backbone->name, options, stride,
        arch->large_feature_map ? " large feature map" : "", adl_arch_has_method(arch) ? " " : "",
        adl_arch_has_method(arch) ? adl_method_set_text(adl_method_set_network(arch->methods)).text
                                  : "",
        rounds);
}

static void build_one(struct adl_graph *graph, const void *context)
{
    const struct adl_arch *arch = context;
    arch->backbone->build(graph, arch);
}

struct adl_graph *adl_arch_build(const struct adl_arch *arch, int input_h, int input_w,
                                 struct adl_error *err)
{
    struct adl_graph *graph = NULL;
    ADL_TRY(adl_arch_check(arch, err));
    if (input_h < 1 || input_h > ADL_LIMIT_INPUT_SIDE || input_w < 1 ||
        input_w > ADL_LIMIT_INPUT_SIDE) {
        adl_fail(err, ADL_ERR_ARG, "the input is %d x %d, but each side must be 1 to %d", input_h,
                 input_w, ADL_LIMIT_INPUT_SIDE);
        goto out;
    }
    graph = adl_graph_create((struct adl_shape){input_h, input_w, 3}, err);
    if (!graph)
        goto out;
    ADL_TRY(adl_graph_finish(graph, err)); /* fails if there was no memory for the input */
    if (adl_arch_rounds(arch))
        adl_method_add_rounds(
            graph, adl_arch_rounds(arch),
            (struct adl_method_rounds){.count = arch->rounds, .build = build_one, .context = arch});
    else
        build_one(graph, arch);
    if (adl_graph_finish(graph, err) < 0) {
        adl_error_context(err, "%s at %d x %d", arch->backbone->name, input_h, input_w);
        goto out;
    }
    return graph;
out:
    adl_graph_free(graph);
    return NULL;
}
