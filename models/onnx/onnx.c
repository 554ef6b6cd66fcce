/* Writes ONNX files: the container, the inputs and outputs of the graph, and its initializers.
 * onnx_nodes.c writes the nodes.
 *
 * An ONNX file is one protocol buffer, a ModelProto: versions, metadata and a GraphProto,
 * which has nodes (operator, names of inputs and outputs, attributes), initializers (the
 * weights, as raw little-endian data) and descriptions of its inputs and outputs. Values
 * are connected by name. The field numbers below are those of onnx.proto in the repository
 * onnx/onnx. io/protobuf.h borrows the weights, so they are not copied.
 *
 * The class activation maps are a separate output: if the network has no class maps, they are
 * a 1x1 convolution of the features with the classifier's rows as kernels. The few-box head, where
 * the model has one, is an output of its own (onnx_head.c). */

#include "models/onnx/onnx.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/file/description.h"
#include "models/onnx/onnx_int8.h"
#include "models/onnx/onnx_parts.h"

/* IR version 5 belongs to operator set 10, and 7 to 13. */
#define IR_VERSION(opset) ((opset) < 13 ? 5 : 7)

enum model_field {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER_NAME = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_GRAPH = 7,
    MODEL_OPSET_IMPORT = 8,
    MODEL_METADATA_PROPS = 14
};
enum { OPSET_VERSION = 2 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum tensor_field { TENSOR_DIMS = 1, TENSOR_DATA_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW_DATA = 9 };
enum element_type { ELEMENT_FLOAT = 1 };
enum { INFO_NAME = 1, INFO_TYPE = 2, INFO_DOC = 3 };
enum { TYPE_TENSOR = 1, TENSOR_ELEMENT = 1, TENSOR_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1, DIM_PARAM = 2 };

/* --- initializers ---------------------------------------------------------------- */

static struct adl_protobuf tensor_of(const char *name, enum element_type type, int rank,
                                     const size_t *shape)
{
    struct adl_protobuf tensor = {0};
    for (int i = 0; i < rank; i++)
        adl_protobuf_int(&tensor, TENSOR_DIMS, (int64_t)shape[i]);
    adl_protobuf_int(&tensor, TENSOR_DATA_TYPE, type);
    adl_protobuf_text(&tensor, TENSOR_NAME, name);
    return tensor;
}

/* Sets used[id] for the parameters that an output depends on, except those of the convolutions that
 * onnx_int8.c writes. */
static void find_used(const struct adl_onnx_writer *w, bool *used)
{
    for (int i = 0; i < adl_graph_node_count(w->graph); i++) {
        const struct adl_node *node = adl_graph_node(w->graph, i);
        bool leaves = !node->training_only && adl_onnx_int8_leaves(w->int8, node);
        for (int k = 0; k < node->param_count && leaves; k++)
            if (node->params[k] >= 0)
                used[node->params[k]] = true;
    }
}

/* Writes the weights as raw data, which are little-endian, as in memory. The weight of a linear
 * layer, K x C, becomes the kernel of a 1x1 convolution, K x C x 1 x 1. Those of branches that only
 * training has are left out. */
static int write_params(struct adl_onnx_writer *w, const float *const *params,
                        struct adl_error *err)
{
    bool *used = adl_calloc((size_t)adl_graph_param_count(w->graph), sizeof *used);

    if (!used)
        return adl_fail_nomem(err, "the ONNX graph");
    find_used(w, used);
    for (int i = 0; i < adl_graph_param_count(w->graph); i++) {
        const struct adl_param *param = adl_graph_param(w->graph, i);
        if (!used[i])
            continue;
        size_t shape[ADL_LIMIT_RANK] = {1, 1, 1, 1};
        memcpy(shape, param->shape, (size_t)param->rank * sizeof *shape);
        struct adl_protobuf tensor =
            tensor_of(param->name, ELEMENT_FLOAT, param->rank == 2 ? 4 : param->rank, shape);
        adl_protobuf_borrow(&tensor, TENSOR_RAW_DATA, params[i], param->count * sizeof(float));
        adl_protobuf_message(&w->out, GRAPH_INITIALIZER, &tensor);
    }
    adl_free(used);
    return 0;
}

/* --- inputs and outputs ------------------------------------------------------------ */

static void write_info(struct adl_onnx_writer *w, enum adl_onnx_graph_field field, const char *name,
                       const int *dims, size_t rank, const char *doc)
{
    struct adl_protobuf info = {0}, type = {0}, tensor = {0}, shape = {0}, dim = {0};
    adl_protobuf_text(&dim, DIM_PARAM, "N");
    adl_protobuf_message(&shape, SHAPE_DIM, &dim);
    for (size_t i = 0; i < rank; i++) {
        adl_protobuf_int(&dim, DIM_VALUE, dims[i]);
        adl_protobuf_message(&shape, SHAPE_DIM, &dim);
    }
    adl_protobuf_int(&tensor, TENSOR_ELEMENT, ELEMENT_FLOAT);
    adl_protobuf_message(&tensor, TENSOR_SHAPE, &shape);
    adl_protobuf_message(&type, TYPE_TENSOR, &tensor);
    adl_protobuf_text(&info, INFO_NAME, name);
    adl_protobuf_message(&info, INFO_TYPE, &type);
    adl_protobuf_text(&info, INFO_DOC, doc);
    adl_protobuf_message(&w->out, field, &info);
}

static void write_output(struct adl_onnx_writer *w, const char *name, int channels,
                         struct adl_shape map, const char *doc)
{
    write_info(w, GRAPH_OUTPUT, name, (int[]){channels, map.h, map.w}, 3, doc);
}

/* Gives a value of the graph the name of an output, by an operator that copies its elements. */
static void write_alias(struct adl_onnx_writer *w, int value, const char *op, const char *name)
{
    struct adl_protobuf alias = adl_onnx_node(op, name);
    adl_onnx_take(&alias, w->names[value]);
    adl_onnx_finish(w, &alias, name);
}

/* Writes maps[k] = sum over c of classifier[k, c] * features[c]: the classifier, which is written
 * as a 1x1 convolution of the pooled features, at every position of the map without its bias. */
static int write_maps(struct adl_onnx_writer *w, int features, struct adl_error *err)
{
    int classifier = adl_graph_classifier(w->graph);
    const struct adl_param *rows = classifier < 0 ? NULL : adl_graph_param(w->graph, classifier);
    if (!rows || rows->count != rows->shape[0] * (size_t)w->shapes[features].c)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "no classifier weights the features into class maps");
    struct adl_protobuf conv = adl_onnx_node("Conv", "maps");
    adl_onnx_take(&conv, w->names[features]);
    adl_onnx_take(&conv, rows->name);
    adl_onnx_set_ints(&conv, "kernel_shape", (int[]){1, 1}, 2);
    adl_onnx_finish(w, &conv, "maps");
    return 0;
}

static int write_outputs(struct adl_onnx_writer *w, const struct adl_model *model,
                         struct adl_error *err)
{
    int logits = adl_graph_output(w->graph, ADL_OUTPUT_LOGITS);
    int features = adl_graph_output(w->graph, ADL_OUTPUT_FEATURES);
    int class_map = adl_graph_output(w->graph, ADL_OUTPUT_CLASS_MAP);
    int classes = w->shapes[logits].c;
    struct adl_shape map = w->shapes[class_map < 0 ? features : class_map];

    write_alias(w, logits, "Flatten", "logits");
    write_alias(w, features, "Identity", "features");
    if (class_map >= 0)
        write_alias(w, class_map, "Identity", "maps");
    else if (write_maps(w, features, err) < 0)
        return -1;
    write_info(w, GRAPH_OUTPUT, "logits", &classes, 1,
               model->labels.several ? "a score for each class, before the sigmoid"
                                     : "a score for each class, before softmax");
    write_output(w, "features", w->shapes[features].c, w->shapes[features],
                 "the last map before pooling");
    write_output(w, "maps", classes, map,
                 "the activation map of each class, neither averaged nor normalised");
    if (!model->foreground)
        return 0;
    write_output(w, "foreground", 1, adl_onnx_head_grid(w, model->foreground, features),
                 "the few-box head: the probability of an object at each position; the map that "
                 "boxes are cut from is this times the square root of the class's map between "
                 "its minimum, 0, and its maximum, 1, enlarged bilinearly to as many positions");
    return adl_onnx_write_head(w, model->foreground, features, err);
}

static void write_input(struct adl_onnx_writer *w, const struct adl_model *model)
{
    struct adl_shape in = w->shapes[0];
    char doc[300];
    snprintf(doc, sizeof doc,
             "RGB from 0 to 1, minus (%g, %g, %g), divided by (%g, %g, %g); images are resized to "
             "this size whatever their aspect ratio",
             (double)model->mean[0], (double)model->mean[1], (double)model->mean[2],
             (double)model->std[0], (double)model->std[1], (double)model->std[2]);
    write_info(w, GRAPH_INPUT, w->names[0], (int[]){in.c, in.h, in.w}, 3, doc);
}

/* --- the file ---------------------------------------------------------------------- */

static int write_graph(struct adl_onnx_writer *w, const struct adl_model *model,
                       struct adl_error *err)
{
    size_t values = (size_t)adl_graph_value_count(w->graph);
    w->shapes = adl_malloc(values, sizeof *w->shapes);
    w->names = adl_malloc(values, sizeof *w->names);
    if (!w->shapes || !w->names)
        return adl_fail_nomem(err, "the ONNX graph");
    if (adl_graph_infer(w->graph, model->input_h, model->input_w, w->shapes, err) < 0)
        return -1;
    for (size_t i = 0; i < values; i++)
        w->names[i] = adl_graph_value(w->graph, (int)i)->name;
    w->opset = ADL_ONNX_OPSET_F32;
    if (model->quantisation && model->precision == ADL_PRECISION_INT8) {
        w->opset = ADL_ONNX_OPSET_INT8;
        w->int8 = adl_onnx_int8_create(model, w->shapes, err);
        if (!w->int8)
            return -1;
    }

    adl_protobuf_text(&w->out, GRAPH_NAME, model->arch.backbone->name);
    write_input(w, model);
    for (int i = 0; i < adl_graph_node_count(w->graph); i++)
        if (!adl_graph_node(w->graph, i)->training_only &&
            adl_onnx_write_node(w, adl_graph_node(w->graph, i), err) < 0)
            return -1;
    if (write_outputs(w, model, err) < 0)
        return -1;
    if (write_params(w, model->params, err) < 0)
        return -1;
    return 0;
}

static void write_model(struct adl_protobuf *file, struct adl_onnx_writer *w,
                        const char *description)
{
    struct adl_protobuf opset = {0}, entry = {0};
    adl_protobuf_int(file, MODEL_IR_VERSION, IR_VERSION(w->opset));
    adl_protobuf_text(file, MODEL_PRODUCER_NAME, "adl-server");
    adl_protobuf_text(file, MODEL_PRODUCER_VERSION, ADL_VERSION);
    adl_protobuf_int(&opset, OPSET_VERSION, w->opset);
    adl_protobuf_message(file, MODEL_OPSET_IMPORT, &opset);
    adl_protobuf_text(&entry, ENTRY_KEY, "adl");
    adl_protobuf_text(&entry, ENTRY_VALUE, description);
    adl_protobuf_message(file, MODEL_METADATA_PROPS, &entry);
    adl_protobuf_message(file, MODEL_GRAPH, &w->out);
}

int adl_onnx_write(const struct adl_model *model, const char *path, struct adl_error *err)
{
    struct adl_onnx_writer w = {.graph = model->graph};
    struct adl_protobuf file = {0};
    char *description = NULL;
    int result = -1;

    if (!model->weights)
        return adl_fail(err, ADL_ERR_INTERNAL, "%s: the model's weights were dropped", path);
    description = adl_model_description(model, err);
    if (!description || write_graph(&w, model, err) < 0) {
        adl_error_context(err, "%s", path);
        goto out;
    }
    write_model(&file, &w, description);
    ADL_TRY(adl_protobuf_write(path, &file, err));
    result = 0;
out:
    adl_protobuf_release(&file);
    adl_protobuf_release(&w.out);
    adl_onnx_int8_free(w.int8);
    adl_free(w.shapes);
    adl_free(w.names);
    adl_free(description);
    return result;
}
