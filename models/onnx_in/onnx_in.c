/* Reads an ONNX file into the tensors of a model file: finds the input and the scores, reads the
 * nodes between them in order, finds the end, and writes the description. See onnx_in.h. */

#include "models/onnx_in/onnx_in.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "io/file.h"
#include "io/json_text.h"
#include "models/file/load.h"
#include "models/onnx_in/import.h"

#define FIRST_OPSET 9
#define LAST_OPSET 21
#define DEFAULT_SIDE 224

/* --- ends of the graph ---------------------------------------------------------------------------
 */

/* Returns the one input that is no weight; NULL with an error. */
static const struct adl_onnx_port *find_input(const struct adl_import *im, struct adl_error *err)
{
    const struct adl_onnx_proto *proto = im->proto;
    const struct adl_onnx_port *found = NULL;
    for (size_t i = 0; i < proto->input_count; i++) {
        if (adl_import_find(im, proto->inputs[i].name)->kind == ADL_IMPORT_CONSTANT)
            continue;
        if (found) {
            adl_fail(err, ADL_ERR_UNSUPPORTED, "the network has several inputs, %s and %s",
                     adl_name_quote(found->name, strlen(found->name)).text,
                     adl_name_quote(proto->inputs[i].name, strlen(proto->inputs[i].name)).text);
            return NULL;
        }
        found = &proto->inputs[i];
    }
    if (!found)
        adl_fail(err, ADL_ERR_FORMAT, "the network has no input");
    return found;
}

/* Returns the output that has the scores: the one called "logits", as in our own files, or else the
 * first. */
static const struct adl_onnx_port *find_output(const struct adl_onnx_proto *proto,
                                               struct adl_error *err)
{
    for (size_t i = 0; i < proto->output_count; i++)
        if (strcmp(proto->outputs[i].name, "logits") == 0)
            return &proto->outputs[i];
    if (proto->output_count == 0)
        adl_fail(err, ADL_ERR_FORMAT, "the network has no output");
    return proto->output_count ? &proto->outputs[0] : NULL;
}

/* Makes the input a value of the network, in the layout that its shape says. */
static int set_input(struct adl_import *im, const struct adl_onnx_port *port,
                     const struct adl_onnx_in_options *options, struct adl_error *err)
{
    struct adl_import_value *value = adl_import_find(im, port->name);
    bool last = port->rank == 4 && port->dims[1] != 3 && port->dims[3] == 3;
    const int64_t *side = port->dims + (last ? 1 : 2);
    int64_t channels = port->rank == 4 ? port->dims[last ? 3 : 1] : 3;
    int64_t h = options->input_h ? options->input_h : port->rank == 4 ? side[0] : -1;
    int64_t w = options->input_w ? options->input_w : port->rank == 4 ? side[1] : -1;

    if (port->type != 0 && port->type != ADL_ONNX_TYPE_FLOAT)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "the network's input is not float32; export it in float32");
    if ((port->rank != 4 && port->rank != -1) || (channels != 3 && channels != -1))
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "the network's input is not a batch of images with three channels");
    h = h < 1 ? DEFAULT_SIDE : h;
    w = w < 1 ? DEFAULT_SIDE : w;
    if (h > ADL_LIMIT_INPUT_SIDE || w > ADL_LIMIT_INPUT_SIDE)
        return adl_fail(err, ADL_ERR_LIMIT, "the network's input has more than %d rows or columns",
                        ADL_LIMIT_INPUT_SIDE);
    im->batch = port->rank == 4 && port->dims[0] > 0 && port->dims[0] <= ADL_LIMIT_BATCH
                    ? (int)port->dims[0]
                    : 1;
    im->graph = adl_graph_create((struct adl_shape){(int)h, (int)w, 3}, err);
    im->stored = im->graph ? adl_stored_create(err) : NULL;
    im->weights = im->stored ? adl_tensors_create(err) : NULL;
    if (!im->weights)
        return -1;
    *value = (struct adl_import_value){.name = value->name,
                                       .kind = ADL_IMPORT_MAP,
                                       .readers = value->readers,
                                       .reader = value->reader,
                                       .producer = -1};
    memcpy(value->axes, last ? "NHWC" : "NCHW", sizeof "NCHW");
    return 0;
}

/* --- nodes ---------------------------------------------------------------------------------------
 */

/* Computes what depends on constants alone, before the nodes that look at what comes after them. */
static int fold_constants(struct adl_import *im, struct adl_error *err)
{
    for (size_t n = 0; n < im->proto->node_count; n++) {
        if (!im->needed[n])
            continue;
        const struct adl_onnx_node_proto *node = &im->proto->nodes[n];
        const struct adl_import_value *first = adl_import_in(im, node, 0);
        if (strcmp(node->op, "Constant") != 0 && (!first || first->kind != ADL_IMPORT_CONSTANT))
            continue;
        int folded = *node->domain ? 0 : adl_import_fold(im, node, err);
        if (folded < 0)
            return -1;
        im->done[n] = folded > 0;
    }
    return 0;
}

static int read_nodes(struct adl_import *im, struct adl_error *err)
{
    for (size_t n = 0; n < im->proto->node_count; n++)
        if (im->needed[n] && !im->done[n] && adl_import_node(im, &im->proto->nodes[n], err) < 0)
            return -1;
    return 0;
}

/* --- the description -----------------------------------------------------------------------------
 */

/* Copies what the description of one of our own files says about classes and pixels, and how maps
 * are cut, unless that needs what the network does not have any more. */
static int add_own(struct adl_import *im, json_t *json, struct adl_error *err)
{
    static const char *const kept[] = {"classes", "input", "multi_label"};
    json_t *own = im->proto->adl ? json_loads(im->proto->adl, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *cam = json_object_get(own, "cam");
    int failed = 0;

    for (size_t i = 0; i < ADL_COUNT(kept); i++)
        if (json_object_get(own, kept[i]))
            failed |= json_object_set(json, kept[i], json_object_get(own, kept[i]));
    if (cam && !json_object_get(cam, "foreground") && !json_object_get(cam, "map_stride") &&
        !json_object_get(cam, "map_layer"))
        failed |= json_object_set(json, "cam", cam);
    else if (cam)
        adl_str_puts(&im->notes, "the map rule needs what an ONNX file does not have; calibrate "
                                 "the model again");
    json_decref(own);
    return failed ? adl_fail_nomem(err, "the model's description") : 0;
}

static int describe(struct adl_import *im, int classes, bool several, struct adl_error *err)
{
    struct adl_shape in = adl_graph_value(im->graph, 0)->shape;
    json_t *json = json_pack("{s:i, s:{s:s, s:i}}", "version", 1, "arch", "name", "onnx",
                             "num_classes", classes);
    char *text = NULL;
    int result = -1;

    if (!json) {
        adl_fail_nomem(err, "the model's description");
        goto out;
    }
    if (add_own(im, json, err) < 0)
        goto out;
    json_t *arch = json_object_get(json, "arch");
    json_t *input = json_object_get(json, "input");
    int failed = 0;
    if (!json_is_object(input)) {
        input = json_object();
        failed |= json_object_set_new(json, "input", input);
    }
    failed |= json_object_set_new(arch, "graph", adl_stored_to_json(im->stored, true));
    failed |= json_object_set_new(input, "size", json_pack("[i, i]", in.h, in.w));
    if (im->bytes && im->activations) {
        failed |= json_object_set_new(json, "precision", json_string("int8"));
        failed |= json_object_set(json, "activations", im->activations);
    }
    if (several && !json_object_get(json, "multi_label"))
        failed |= json_object_set_new(json, "multi_label", json_object());
    if (failed) {
        adl_fail_nomem(err, "the model's description");
        goto out;
    }
    text = adl_json_to_text(json, JSON_COMPACT | JSON_REAL_PRECISION(17), NULL, err);
    result = text ? adl_tensors_set_meta(im->weights, "adl", text, err) : -1;
out:
    adl_free(text);
    json_decref(json);
    return result;
}

/* Writes where the network comes from. */
static int set_source(struct adl_import *im, struct adl_error *err)
{
    const char *producer = *im->proto->producer ? im->proto->producer : "an unknown program";
    im->stored->source = adl_arena_printf(&im->stored->arena, "%.100s, operator set %lld", producer,
                                          (long long)im->proto->opset);
    return im->stored->source ? 0 : adl_fail_nomem(err, "the network");
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static int import(struct adl_import *im, const struct adl_onnx_in_options *options,
                  struct adl_error *err)
{
    const struct adl_onnx_proto *proto = im->proto;
    const struct adl_onnx_port *output = find_output(proto, err);
    bool several = false;

    if (!output)
        return -1;
    if (proto->opset < FIRST_OPSET || proto->opset > LAST_OPSET)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "the file has operator set %lld; export it with one from %d to %d",
                        (long long)proto->opset, FIRST_OPSET, LAST_OPSET);
    if (adl_import_open(im, output->name, err) < 0)
        return -1;
    const struct adl_onnx_port *input = find_input(im, err);
    if (!input || set_input(im, input, options, err) < 0 || fold_constants(im, err) < 0 ||
        adl_import_check_ops(im, err) < 0 || read_nodes(im, err) < 0)
        return -1;
    const struct adl_import_value *scores = adl_import_find(im, output->name);
    if (adl_import_find_end(im, scores, &several, err) < 0)
        return -1;
    if (set_source(im, err) < 0 || describe(im, adl_import_shape(im, scores).c, several, err) < 0)
        return -1;
    return im->notes.length ? adl_tensors_set_note(im->weights, im->notes.data, err) : 0;
}

/* Returns the bytes that weights of the model and computed constants of a file may have together.
 */
static size_t room_of(size_t length)
{
    return ADL_MAX(ADL_LIMIT_ONNX_EXPANSION * length, ADL_LIMIT_ONNX_EXPANSION_BYTES);
}

/* Reads the bytes of the file files->path, or of an unknown one. */
static struct adl_tensors *parse(const void *bytes, size_t length, struct adl_onnx_files *files,
                                 const struct adl_onnx_in_options *options, struct adl_error *err)
{
    static const struct adl_onnx_in_options defaults = {0};
    struct adl_onnx_proto proto;
    struct adl_import im = {
        .proto = &proto, .map_layer = options ? options->map_layer : NULL, .batch = 1};
    struct adl_tensors *tensors = NULL;
    int result = adl_onnx_proto_read(&proto, bytes, length, files, err);

    im.room = room_of(length + files->bytes);
    if (result == 0 && import(&im, options ? options : &defaults, err) == 0) {
        tensors = im.weights;
        im.weights = NULL;
    }
    adl_import_close(&im);
    adl_onnx_proto_release(&proto);
    adl_onnx_files_release(files);
    return tensors;
}

struct adl_tensors *adl_onnx_in_parse(const void *bytes, size_t length,
                                      const struct adl_onnx_in_options *options,
                                      struct adl_error *err)
{
    struct adl_onnx_files files = {0};
    return parse(bytes, length, &files, options, err);
}

struct adl_tensors *adl_onnx_in_read(const char *path, const struct adl_onnx_in_options *options,
                                     struct adl_error *err)
{
    struct adl_onnx_files files = {.path = path};
    size_t length;
    void *bytes = adl_file_read(path, ADL_LIMIT_PROTOBUF_BYTES, &length, err);
    if (!bytes)
        return NULL;
    struct adl_tensors *tensors = parse(bytes, length, &files, options, err);
    if (!tensors)
        adl_error_context(err, "%s", path);
    adl_free(bytes);
    return tensors;
}

struct adl_model *adl_onnx_in_load(const char *path, const struct adl_onnx_in_options *options,
                                   struct adl_error *err)
{
    struct adl_tensors *tensors = adl_onnx_in_read(path, options, err);
    struct adl_model *model = tensors ? adl_model_from_tensors(tensors, NULL, err) : NULL;
    if (tensors && !model)
        adl_error_context(err, "%s", path);
    adl_tensors_free(tensors);
    return model;
}
