/* Implements `convert`, which reads PyTorch or safetensors weights and writes a model file or
 * ONNX. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/sha256.h"
#include "base/size.h"
#include "base/str.h"
#include "data/lines.h"
#include "io/file.h"
#include "io/json_text.h"
#include "models/file/certainty.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/onnx/onnx.h"
#include "models/onnx_in/onnx_in.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/convert_int8.h"
#include "server/options/arch_options.h"
#include "server/options/channels.h"
#include "server/options/map_options.h"
#include "server/tasks/int8_model.h"
#include "server/tasks/json_out.h"

struct settings {
    const char *classes, *key, *prefix;
    bool allow_missing;
    const char *input_size, *mean, *std;
    int precision;
    const char *calibrate, *split;
    size_t max_size;
    struct adl_map_settings map;
    struct adl_arch_settings arch;
};

/* Parses "HEIGHTxWIDTH" in pixels, or one number for both. */
static int parse_input_size(const char *text, int *height, int *width, struct adl_error *err)
{
    char *end;
    long h = strtol(text, &end, 10), w = h;
    const char *second = end + 1;

    if (end != text && *end == 'x') {
        w = strtol(second, &end, 10);
        if (end == second)
            end = (char *)(uintptr_t)text;
    }
    if (end == text || *end || h < 1 || w < 1 || h > ADL_LIMIT_INPUT_SIDE ||
        w > ADL_LIMIT_INPUT_SIDE)
        return adl_fail(err, ADL_ERR_ARG,
                        "--input-size: \"%s\" is not HEIGHTxWIDTH with sides up to %d",
                        ADL_SHORT(text), ADL_LIMIT_INPUT_SIDE);
    *height = (int)h;
    *width = (int)w;
    return 0;
}

/* Reads class names, one per line, with LF or CRLF; empty lines at the end and a byte order mark
 * are ignored. */
static int read_classes(struct adl_model *model, const char *path, struct adl_error *err)
{
    const char **names = NULL;
    size_t length, count = 0;
    int result = -1;
    char *text = adl_file_read(path, ADL_LIMIT_CLASS_FILE_BYTES, &length, err);

    if (!text)
        return -1;
    if (strlen(text) != length) {
        adl_fail(err, ADL_ERR_FORMAT,
                 "%s: contains a NUL byte; it has to be text with one class per line", path);
        goto out;
    }
    names = adl_malloc(model->class_count + 1, sizeof *names);
    if (!names) {
        adl_fail_nomem(err, "class names");
        goto out;
    }
    while (length && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        text[--length] = '\0';
    for (char *line = text + adl_lines_bom_length(text, length); *line; count++) {
        size_t size = strcspn(line, "\n");
        char *next = line + size + (line[size] == '\n');
        line[size] = '\0';
        if (size && line[size - 1] == '\r')
            line[size - 1] = '\0';
        json_t *valid = json_string(line);
        json_decref(valid);
        if (!valid) {
            adl_fail(err, ADL_ERR_FORMAT, "%s: line %zu is not UTF-8", path, count + 1);
            goto out;
        }
        if (count < model->class_count)
            names[count] = line;
        line = next;
    }
    if (count != model->class_count) {
        adl_fail(err, ADL_ERR_FORMAT, "%s: has %zu name%s, but the network has %zu class%s", path,
                 count, ADL_S(count), model->class_count, ADL_ES(model->class_count));
        goto out;
    }
    result = adl_model_set_classes(model, names, count, err);
out:
    adl_free(names);
    adl_free(text);
    return result;
}

static int hash_file(const char *path, char hex[65], struct adl_error *err)
{
    struct adl_sha256 hash;
    unsigned char bytes[64 * 1024];
    size_t length;
    FILE *file = fopen(path, "rb");

    if (!file)
        return adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(errno));
    adl_sha256_init(&hash);
    while ((length = fread(bytes, 1, sizeof bytes, file)) > 0)
        adl_sha256_update(&hash, bytes, length);
    int failed = ferror(file);
    fclose(file);
    if (failed)
        return adl_fail(err, ADL_ERR_IO, "%s: cannot be read", path);
    adl_sha256_hex(&hash, hex);
    return 0;
}

/* Records the name and SHA-256 of the source in `training` of the model file. A
 * pipe is skipped: its name is meaningless later, and it cannot be read twice. */
static int record_source(struct adl_model *model, const char *path, struct adl_error *err)
{
    const char *slash = strrchr(path, '/');
    char digest[65];

    if (!strcmp(path, "-") || !adl_file_is_regular(path))
        return 0;
    if (hash_file(path, digest, err) < 0)
        return -1;
    if (!model->training)
        model->training = json_object();
    json_t *name = adl_json_from_text(slash ? slash + 1 : path);
    if (json_object_set_new(model->training, "converted_from", name) < 0 ||
        json_object_set_new(model->training, "sha256", json_string(digest)) < 0)
        return adl_fail_nomem(err, "provenance");
    return 0;
}

static int apply(struct adl_model *model, const struct settings *s,
                 const struct adl_options *options, struct adl_error *err)
{
    if (s->classes && read_classes(model, s->classes, err) < 0)
        return -1;
    if (s->mean && adl_channels_parse("mean", &s->mean, 1, false, model->mean, err) < 0)
        return -1;
    if (s->std && adl_channels_parse("std", &s->std, 1, true, model->std, err) < 0)
        return -1;
    if (adl_map_options_apply(&s->map, options, model->foreground, &model->map, err) < 0)
        return -1;
    if (adl_map_views_check_stride(&model->map.views, model->arch.last_stride == 2, err) < 0)
        return -1;
    if (adl_model_keep_layer(model, &model->map.views, err) < 0)
        return -1;
    if (s->input_size) {
        if (parse_input_size(s->input_size, &model->input_h, &model->input_w, err) < 0)
            return -1;
        struct adl_graph *graph = adl_arch_build(&model->arch, model->input_h, model->input_w, err);
        if (!graph)
            return adl_error_context(err, "--input-size %s", s->input_size);
        adl_graph_free(graph);
    }
    return 0;
}

/* Returns the name of the first difference between what the networks of two models see; NULL if
 * there is none. */
static const char *find_change_of_input(const struct adl_model *before,
                                        const struct adl_model *after)
{
    if (before->input_h != after->input_h || before->input_w != after->input_w)
        return "input size";
    if (memcmp(before->mean, after->mean, sizeof before->mean) != 0 ||
        memcmp(before->std, after->std, sizeof before->std) != 0)
        return "mean or std";
    return NULL;
}

/* Returns the name of the first difference between the models on which metrics depend, apart from
 * the weights: the preprocessing, and the rule and threshold of maps. NULL if there is none. */
static const char *find_change(const struct adl_model *before, const struct adl_model *after)
{
    const char *change = find_change_of_input(before, after);
    if (change)
        return change;
    return adl_map_rule_equal(&before->map, &after->map) ? NULL : "map rule or threshold";
}

/* Removes metrics that are not valid for the changed model. Returns the name of the change, or
 * NULL if the metrics are still valid. */
static const char *drop_stale_metrics(struct adl_model *model, const struct adl_model *before,
                                      bool rounded)
{
    const char *change = model->metrics ? find_change(before, model) : NULL;
    if (model->metrics && !change && rounded)
        change = "precision";
    if (change) {
        json_decref(model->metrics);
        model->metrics = NULL;
    }
    return change;
}

/* Removes what the changed model does not know any more about its certainty: of boxes, if they are
 * cut in another way; of everything, if the network sees other pixels. Returns the name of the
 * change, or NULL if nothing was removed. */
static const char *drop_stale_certainty(struct adl_model *model, const struct adl_model *before)
{
    const char *change = find_change(before, model);

    if (!change || !adl_certainty_is_known(&model->certainty))
        return NULL;
    if (find_change_of_input(before, model))
        model->certainty = (struct adl_certainty)ADL_CERTAINTY_NONE;
    else if (!model->certainty.has_confidence)
        return NULL;
    model->certainty.has_confidence = false;
    return change;
}

/* Checks the options of the precision, before anything is read. */
static int check_precision(const struct settings *s, const char *out, struct adl_error *err)
{
    bool int8 = s->precision == 1 + ADL_PRECISION_INT8;

    if (int8 && !s->calibrate)
        return adl_fail(err, ADL_ERR_ARG,
                        "--precision int8 needs --calibrate DIR, a directory of some hundred "
                        "photographs like those that the model is for; labels are not needed");
    if (adl_int8_check(s->precision, s->calibrate, err) < 0)
        return -1;
    if (s->max_size && (!int8 || adl_text_ends_with(out, ".onnx")))
        return adl_fail(err, ADL_ERR_ARG, "--max-size is for --precision int8 and safetensors");
    if (s->split && !s->calibrate)
        return adl_fail(err, ADL_ERR_ARG, "--split is for --calibrate");
    if (s->precision == 1 + ADL_PRECISION_BF16 && adl_text_ends_with(out, ".onnx"))
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "%s: a bf16 model can be written as safetensors only", out);
    return 0;
}

/* Changes the precision of the model. Returns 1 if the weights have changed, 0 if not, -1 on
 * failure. */
static int change_precision(struct adl_model *model, const struct settings *s, const char *in,
                            FILE *table, struct adl_error *err)
{
    const struct adl_convert_int8 how = {.model_path = in,
                                         .dir = s->calibrate,
                                         .split = s->split,
                                         .most_bytes = s->max_size,
                                         .table = table};

    if (s->precision == 1 + ADL_PRECISION_INT8)
        return adl_convert_int8(model, &how, err) < 0 ? -1 : 1;
    if (s->precision == 0)
        return 0;
    /* As fp32 it is the same network, in a longer file. */
    adl_quantisation_free(model->quantisation);
    model->quantisation = NULL;
    model->precision = ADL_PRECISION_F32;
    if (s->precision == 1 + ADL_PRECISION_F32) {
        model->bf16 = false;
        return 0;
    }
    bool rounded = model->bf16;
    if (adl_model_round_bf16(model, err) < 0)
        return -1;
    adl_model_update_digest(model);
    return !rounded;
}

/* Reads an ONNX file; --input-size counts from the start, because a network's shapes depend on it.
 */
static struct adl_model *load_onnx(const char *in, const struct settings *s, struct adl_error *err)
{
    struct adl_onnx_in_options how = {0};
    struct adl_arch arch;
    bool given;

    if (adl_arch_settings_get(&s->arch, &arch, &given, err) < 0)
        return NULL;
    if (given || s->key || s->prefix || s->allow_missing) {
        adl_fail(err, ADL_ERR_ARG,
                 "%s: an ONNX file says itself what its network is; leave out --arch, --key, "
                 "--prefix and --allow-missing",
                 in);
        return NULL;
    }
    if (s->input_size && parse_input_size(s->input_size, &how.input_h, &how.input_w, err) < 0)
        return NULL;
    struct adl_map_layer layer = {0};
    if (s->map.layer && adl_map_layer_parse(s->map.layer, &layer, err) < 0) {
        adl_error_context(err, "--map-layer");
        return NULL;
    }
    how.map_layer = layer.method != ADL_LAYER_NONE ? layer.name : NULL;
    struct adl_model *model = adl_onnx_in_load(in, &how, err);
    if (model && model->note)
        fprintf(stderr, "%s: %s\n", in, model->note);
    if (model && adl_arch_apply_methods(model, &s->arch, err) < 0) {
        adl_model_free(model);
        return NULL;
    }
    return model;
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    const char *in = options->operands[0], *out = options->operands[1];
    /* The table is the result, unless stdout receives the model. */
    FILE *table = strcmp(out, "-") ? stdout : stderr;
    struct adl_str report = {0};
    struct adl_model_options load = {
        .key = s->key, .prefix = s->prefix, .allow_missing = s->allow_missing, .report = &report};
    struct adl_model *model = NULL;
    char arch[100];
    int result = -1;

    if (check_precision(s, out, err) < 0)
        return -1;
    model = adl_text_ends_with(in, ".onnx") ? load_onnx(in, s, err)
                                            : adl_arch_load_model(in, &s->arch, &load, err);
    const char *misfits = report.data && !report.failed ? report.data : "";
    if (!model) {
        fputs(misfits, table);
        goto out;
    }
    /* A shallow copy, to compare numbers; the model owns its pointers. */
    const struct adl_model before = *model;
    ADL_TRY(apply(model, s, options, err));
    ADL_TRY(record_source(model, in, err)); /* before --max-size measures the file */
    fputs(misfits, table);
    int rounded = change_precision(model, s, in, table, err);
    ADL_TRY(rounded);
    const char *change = drop_stale_metrics(model, &before, rounded > 0);
    const char *unsure = drop_stale_certainty(model, &before);
    if (adl_text_ends_with(out, ".onnx"))
        ADL_TRY(adl_onnx_write(model, out, err));
    else
        ADL_TRY(adl_model_save(model, out, err));
    adl_arch_describe(&model->arch, arch, sizeof arch);
    fprintf(table, "%s: %s, %zu tensors, %zu class%s\n", out, arch,
            adl_tensors_count(model->weights), model->class_count, ADL_ES(model->class_count));
    if (change)
        fprintf(stderr,
                "adl-server: convert: %s: dropped the metrics of %s, which had another %s; measure "
                "them again with adl-server eval\n",
                out, in, change);
    if (unsure)
        fprintf(stderr,
                "adl-server: convert: %s: dropped how sure the model is, because %s had another "
                "%s; calibrate it again with adl-server calibrate\n",
                out, in, unsure);
    result = 0;
out:
    adl_str_release(&report);
    adl_model_free(model);
    return result;
}

static const struct adl_option table[] = {
    {"classes", ADL_STRING(struct settings, classes), .metavar = "FILE",
     .help = "read class names, one per line, in the order of the network's outputs"},
    ADL_OPTION_KEY(struct settings, .default_note = "the one that has a state_dict"),
    ADL_OPTION_PREFIX(struct settings),
    {"allow-missing", ADL_FLAG(struct settings, allow_missing),
     .help = "tolerate missing tensors (set to zero) and unexpected or misshapen ones"},
    {"input-size", ADL_STRING(struct settings, input_size), .metavar = "HxW",
     .default_note = "the file's, or 224x224", .help = "size that images are resized to"},
    {"mean", ADL_STRING(struct settings, mean), .metavar = "R,G,B",
     .default_note = "the file's or ImageNet's",
     .help = "mean of the input channels, with pixels scaled to 0..1"},
    {"std", ADL_STRING(struct settings, std), .metavar = "R,G,B",
     .default_note = "the file's or ImageNet's",
     .help = "standard deviation of the input channels"},
    {"precision", ADL_CHOICE(struct settings, precision), .choices = adl_model_precision_names,
     .value = "auto", .metavar = "NAME",
     .help = "write the model in bf16, in int8, for which --calibrate is needed, or in fp32; auto: "
             "as IN is"},
    {"calibrate", ADL_STRING(struct settings, calibrate), .metavar = "DIR",
     .help = "directory of photographs on which the ranges of int8 are chosen; with labels, "
             "accuracy is measured before and after"},
    {"split", ADL_STRING(struct settings, split), .metavar = "NAME",
     .default_note = "val, or else test",
     .help = "split of --calibrate DIR, with labels, on which accuracy is measured"},
    {"max-size", ADL_SIZE(struct settings, max_size), .min = 1024,
     .max = 1024.0 * 1024 * 1024 * 1024, .metavar = "BYTES",
     .default_note = "8 bits for each weight",
     .help =
         "with --precision int8: OUT takes at most this; weights of large layers keep fewer bits "
         "for it, 3 at least"},
    ADL_MAP_OPTIONS(struct settings, map, "threshold at which the normalised map is cut"),
    ADL_ARCH_OPTIONS(struct settings, arch),
    {0},
};

const struct adl_command adl_command_convert = {
    .name = "convert",
    .summary = "Convert PyTorch or safetensors weights to a model file or ONNX",
    .usage = "[options] IN OUT",
    .description =
        "IN is a PyTorch file (.pth, .pt, .pth.tar; nothing in it is executed), safetensors, or, "
        "if its name ends in .onnx, a CNN classifier that PyTorch, tf2onnx or Keras exported "
        "(operator sets 9 to 21): its network is stored in OUT, and its last map and its "
        "classifier are found by structure; where its end gives no class maps, --map-layer names a "
        "map "
        "whose LayerCAM does. OUT is safetensors with the names and layouts of the "
        "PyTorch state_dict, or ONNX if its name "
        "ends in .onnx. An ONNX file has the model's input size, any batch size, and the outputs "
        "logits, features and maps (the activation map of every class); of an int8 model it has "
        "QuantizeLinear and DequantizeLinear nodes. What all names "
        "have in front of them (module., net., encoder.) is removed. Tensors that do not match "
        "the network are listed with the nearest names, and OUT is not written. Parameter numbers "
        "that ADL layers shift are mapped in both directions. Metrics in a model file are dropped "
        "if its input size, mean, std, map rule or threshold changes, or its weights are "
        "rounded. With --precision bf16 the weights are rounded to the upper half of a float32 and "
        "take half of the space. With --precision int8 the weights take a quarter of the space and "
        "the network runs in 8 bits where that is faster; how often both agree on the photographs "
        "is printed, and if they have labels, the accuracy of both.",
    .examples = "  adl-server convert --arch resnet50 --num-classes 200 --classes cub.txt \\\n"
                "      last_checkpoint.pth.tar cub-resnet50.safetensors\n"
                "  adl-server convert --method adl cam.safetensors adl.safetensors\n"
                "  adl-server convert --arch mobilenet_v1 --activation relu6 --padding tf_same \\\n"
                "      --last-stride 2 --bn-eps 0.001 --mean 0.5 --std 0.5 google.pth "
                "mobilenet.safetensors\n"
                "  adl-server convert cub-resnet50.safetensors cub-resnet50.onnx\n"
                "  adl-server convert --classes imagenet.txt resnet18.onnx resnet18.safetensors\n"
                "  adl-server convert cub-resnet50.safetensors cub-int8.safetensors \\\n"
                "      --precision int8 --calibrate CUB_200_2011/images\n",
    .options = table,
    .min_operands = 2,
    .max_operands = 2,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
