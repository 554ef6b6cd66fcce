/* Implements `info`, which shows the description of a model file and the cost of running it on
 * this machine. */

#include <stdio.h>

#include "base/mem.h"
#include "kernels/blas.h"
#include "methods/methods.h"
#include "models/backbones/stored.h"
#include "models/file/certainty.h"
#include "models/file/description.h"
#include "models/file/load.h"
#include "ops/ops.h"
#include "plan/plan.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/options/arch_options.h"
#include "server/tasks/default_model.h"
#include "server/tasks/json_out.h"

struct settings {
    bool json;
    bool plan;
    const char *key;
    struct adl_arch_settings arch;
};

/* The values that are shown besides the model's description. */
struct facts {
    const char *path;
    uint64_t parameters;
    double gflops;
    bool has_attention;
    uint64_t attention_parameters, attention_macs; /* what attention adds to the plain network */
    double adl_fraction; /* of the methods' layers in the forward arithmetic of training */
    size_t weight_bytes;
    size_t arena_bytes;
    const char *isa;
};

/* Returns the fraction of the layers of methods in the forward arithmetic of training. Such a layer
 * averages its H x W x C map over the channels and multiplies it by an H x W mask: an addition and
 * a multiplication per value, which count as one multiply-add. */
static double layers_fraction(const struct adl_graph *graph, struct adl_method_set methods,
                              uint64_t macs)
{
    double values = 0;
    for (int i = 0; i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        for (const struct adl_method *m = adl_method_next(methods, NULL); m;
             m = adl_method_next(methods, m))
            if (node->def == m->layer)
                values += (double)adl_shape_count(adl_graph_value(graph, node->output)->shape);
    }
    return values / (double)macs;
}

/* Sets what the network's attention adds to its plain network. Multiply-adds are those of its
 * convolutions and linear layers, at the model's input size. */
static void count_attention(const struct adl_model *model, struct facts *facts)
{
    const struct adl_graph *graph = model->graph;
    bool (*is_attention)(const char *name) = model->arch.backbone->is_attention;

    facts->has_attention = is_attention != NULL;
    for (int i = 0; is_attention && i < adl_graph_param_count(graph); i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        if (is_attention(param->name) && adl_param_is_trained(param))
            facts->attention_parameters += param->count;
    }
    for (int i = 0; is_attention && i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        struct adl_shape in[ADL_MAX_OP_INPUTS];
        for (int k = 0; k < node->input_count; k++)
            in[k] = adl_graph_value(graph, node->inputs[k])->shape;
        const struct adl_value *output = adl_graph_value(graph, node->output);
        if (node->def->macs && is_attention(output->name))
            facts->attention_macs += node->def->macs(node, in, output->shape);
    }
}

static json_t *attention_json(const struct facts *facts)
{
    return json_pack("{s:{s:I, s:I}, s:{s:I, s:I}}", "attention", "parameters",
                     (json_int_t)facts->attention_parameters, "multiply_adds",
                     (json_int_t)facts->attention_macs, "adl", "parameters", (json_int_t)0,
                     "multiply_adds", (json_int_t)0);
}

/* Prints where layers of methods may stand in a network from ONNX; a star marks where they stand
 * unless --adl-positions says otherwise, or where this network has them. */
static void print_places(const struct adl_model *model)
{
    const char *name, *title = "ADL may follow";

    for (int i = 0; (name = adl_arch_place_name(&model->arch, i)); i++, title = "") {
        int value = adl_graph_find_value(model->graph, name);
        struct adl_shape s = {0};
        if (value >= 0)
            s = adl_graph_value(model->graph, value)->shape;
        printf("%-14s %s (%dx%dx%d)%s\n", title, name, s.h, s.w, s.c,
               model->arch.adl_places >> i & 1 ? " *" : "");
    }
}

/* The same as a list of objects; NULL when out of memory. */
static json_t *places_json(const struct adl_model *model)
{
    json_t *list = json_array();
    const char *name;

    for (int i = 0; list && (name = adl_arch_place_name(&model->arch, i)); i++) {
        int value = adl_graph_find_value(model->graph, name);
        struct adl_shape s = {0};
        if (value >= 0)
            s = adl_graph_value(model->graph, value)->shape;
        json_t *row = json_pack("{s:s, s:[i, i, i], s:b}", "name", name, "map", s.h, s.w, s.c,
                                "used", (int)(model->arch.adl_places >> i & 1));
        if (json_array_append_new(list, row) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static int print_json(const struct adl_model *model, const struct facts *facts,
                      struct adl_error *err)
{
    int result = -1;
    json_t *root = adl_model_to_json(model);
    json_t *more =
        json_pack("{s:s+, s:I, s:I, s:f, s:f, s:s, s:s, s:s, s:{s:I, s:I}}", "file", facts->path,
                  "", "class_count", (json_int_t)model->class_count, "parameters",
                  (json_int_t)facts->parameters, "gflops", facts->gflops, "adl_arithmetic_share",
                  facts->adl_fraction, "digest", model->digest, "cpu_path", facts->isa, "blas",
                  adl_blas_version(), "memory", "weights_bytes", (json_int_t)facts->weight_bytes,
                  "arena_bytes", (json_int_t)facts->arena_bytes);
    if (more && facts->has_attention &&
        json_object_set_new(more, "adds_at_inference", attention_json(facts)) < 0) {
        json_decref(more);
        more = NULL;
    }
    if (more && model->stored && json_object_set_new(more, "adl_places", places_json(model)) < 0) {
        json_decref(more);
        more = NULL;
    }
    if (!root || !more || json_object_update(root, more) < 0)
        adl_fail_nomem(err, "JSON");
    else
        result = adl_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9), err);
    json_decref(root);
    json_decref(more);
    return result;
}

static void print_object(const char *title, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        printf("%-14s%s: ", title, key);
        if (json_is_string(value))
            fputs(json_string_value(value), stdout);
        else
            json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        puts("");
        title = "";
    }
}

static void print_head(const struct adl_foreground_head *head)
{
    printf("few-box head on the last map");
    for (int i = 0; i < head->layer_count; i++)
        printf("%s%s", i + 1 < head->layer_count ? ", " : " and ", head->layers[i].name);
    printf("; ");
}

static void print_map_rule(const struct adl_map_rule *rule)
{
    char views[100];

    printf("%-14s", "map");
    if (rule->foreground)
        print_head(rule->foreground);
    printf("%s weights, %s", adl_map_weights_names[rule->weights],
           adl_map_normalise_names[rule->normalise]);
    if (adl_map_has_percentile(rule->normalise))
        printf(" %.6g", rule->percentile);
    if (rule->classes > 1)
        printf(", mean of %d classes", rule->classes);
    printf("%s, threshold %.6g\n", adl_map_views_describe(&rule->views, views, sizeof views),
           rule->threshold);
    const struct adl_object_rule objects = adl_object_rule_used(&rule->objects);
    printf("%-14sparted at saddles %.6g below the peak, between parts of %.6g of the map\n",
           "objects", objects.prominence, objects.area);
}

/* Prints how a network from ONNX ends, as it was found by structure. */
static void print_stored(const struct adl_stored *stored)
{
    printf("%-14s%s, %d layers\n", "came from", stored->source ? stored->source : "ONNX",
           stored->count);
    printf("%-14s%s\n", "last map", stored->nodes[stored->features - 1].name);
    if (stored->class_map > 0)
        printf("%-14s%s\n", "class map", stored->nodes[stored->class_map - 1].name);
    if (stored->classifier)
        printf("%-14s%s\n", "classifier", stored->classifier);
}

static void print_table(const struct adl_model *model, const struct facts *facts)
{
    char arch[100], label[40];
    size_t shown = model->class_count < 5 ? model->class_count : 5;

    adl_arch_describe(&model->arch, arch, sizeof arch);
    printf("%-14s%s\n", "file", facts->path);
    printf("%-14s%s\n", "architecture", arch);
    if (model->stored) {
        print_stored(model->stored);
        print_places(model);
    }
    printf("%-14s%zu", "classes", model->class_count);
    if (model->classes) {
        for (size_t i = 0; i < shown; i++)
            printf("%s%s", i ? ", " : ": ", adl_model_label(model, (int)i, label, sizeof label));
        printf("%s", shown < model->class_count ? ", ..." : "");
    }
    if (model->quantisation)
        printf("\n%-14sint8", "precision");
    else if (model->bf16)
        printf("\n%-14sbf16", "precision");
    printf("\n%-14s%llu\n", "parameters", (unsigned long long)facts->parameters);
    printf("%-14s%.3f at %dx%d\n", "GFLOPs", facts->gflops, model->input_h, model->input_w);
    if (facts->has_attention)
        printf("%-14sadds %llu parameters, %.2f million multiply-adds at inference; ADL 0 and 0\n",
               "attention", (unsigned long long)facts->attention_parameters,
               1e-6 * (double)facts->attention_macs);
    if (adl_arch_has_layers(&model->arch))
        printf("%-14s0 parameters, %.4f %% of arithmetic in training, nothing at inference\n",
               "layers add", 100 * facts->adl_fraction);
    printf("%-14s%dx%d, mean %.6g %.6g %.6g, std %.6g %.6g %.6g\n", "input", model->input_h,
           model->input_w, (double)model->mean[0], (double)model->mean[1], (double)model->mean[2],
           (double)model->std[0], (double)model->std[1], (double)model->std[2]);
    print_map_rule(&model->map);
    if (model->labels.several)
        printf("%-14sany number of classes, present from a probability of %.6g on\n", "labels",
               model->labels.threshold);
    if (adl_certainty_is_known(&model->certainty))
        printf("%-14stemperature %.3g%s%s\n", "certainty", model->certainty.temperature,
               model->certainty.has_presence ? ", presence of classes" : "",
               model->certainty.has_confidence ? ", confidence of boxes" : "");
    printf("%-14s%s\n", "digest", model->digest);
    printf("%-14s%.1f MiB of weights, %.1f MiB per image being processed\n", "memory",
           (double)facts->weight_bytes / (double)ADL_MIB,
           (double)facts->arena_bytes / (double)ADL_MIB);
    printf("%-14s%s; %s\n", "runs on", facts->isa, adl_blas_version());
    print_object("training", model->training);
    print_object("metrics", model->metrics);
    print_object("calibration", model->calibration);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    struct adl_model_options load = {.key = s->key};
    struct adl_plan *plan = NULL;
    struct adl_model *model = NULL;
    struct adl_str dump = {0};
    char shipped[ADL_DEFAULT_MODEL_PATH];
    int result = -1;

    if (s->plan && s->json)
        return adl_fail(err, ADL_ERR_ARG, "--plan prints a table; omit --json");
    const char *path =
        adl_model_or_default(options->operand_count ? options->operands[0] : NULL, shipped, err);
    if (path)
        model = adl_arch_load_model(path, &s->arch, &load, err);
    if (!model)
        goto out;
    struct adl_plan_options plan_options = {.input_h = model->input_h, .input_w = model->input_w};
    /* As the model is served: with the maps that its rule needs beside the last. */
    ADL_TRY(adl_model_keep_layer(model, &model->map.views, err));
    adl_model_plan_options(model, &plan_options);
    plan = adl_plan_create(model->graph, model->params, &plan_options, err);
    if (!plan)
        goto out;
    if (s->plan) {
        adl_plan_dump(plan, &dump);
        char *text = adl_str_take(&dump, NULL, err);
        if (!text)
            goto out;
        fputs(text, stdout);
        adl_free(text);
        result = 0;
        goto out;
    }
    struct facts facts = {
        .path = path,
        .parameters = adl_graph_trainable(model->graph),
        .gflops = 2e-9 * (double)adl_plan_macs(plan),
        .adl_fraction = layers_fraction(model->graph, model->arch.methods, adl_plan_macs(plan)),
        .weight_bytes = adl_plan_weight_bytes(plan),
        .arena_bytes = adl_plan_arena_bytes(plan),
        .isa = adl_plan_isa_name(plan)};
    count_attention(model, &facts);
    if (s->json) {
        ADL_TRY(print_json(model, &facts, err));
    } else {
        print_table(model, &facts);
    }
    result = 0;
out:
    adl_plan_unref(plan);
    adl_model_free(model);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_JSON(struct settings),
    {"plan", ADL_FLAG(struct settings, plan),
     .help = "print the steps of the execution plan, with their kernels and memory"},
    ADL_OPTION_KEY(struct settings),
    ADL_ARCH_OPTIONS(struct settings, arch),
    {0},
};

const struct adl_command adl_command_info = {
    .name = "info",
    .summary = "Show the network, classes, cost and provenance of a model file",
    .usage = "[options] [FILE]",
    .description = "Without FILE, the model that ships. GFLOPs are at the model's input size and "
                   "count a multiply-add as two "
                   "operations. The memory for weights is that of the weights as they are packed "
                   "for this processor.",
    .examples = "  adl-server info cub-resnet50.safetensors\n"
                "  adl-server info --plan cub-resnet50.safetensors\n",
    .options = table,
    .max_operands = 1,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
