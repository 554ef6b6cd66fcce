/* Writing ONNX: each op of the graph as one or two nodes of operator set 13.
 *
 * The numbers of the fields are those of onnx.proto. All padding is written out
 * for the model's input size: what TensorFlow's "SAME" and a pool's ceil_mode
 * amount to differs between runtimes, explicit numbers do not. */

#include "models/onnx.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/protobuf.h"
#include "models/model_parts.h"
#include "ops/ops.h"

#define IR_VERSION 8
#define OPERATOR_SET 13

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
enum graph_field {
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12
};
enum node_field { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum attribute_field {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20
};
enum attribute_type { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7 };
enum tensor_field { TENSOR_DIMS = 1, TENSOR_DATA_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW_DATA = 9 };
enum element_type { ELEMENT_FLOAT = 1, ELEMENT_INT64 = 7 };
enum { INFO_NAME = 1, INFO_TYPE = 2, INFO_DOC = 3 };
enum { TYPE_TENSOR = 1, TENSOR_ELEMENT = 1, TENSOR_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1, DIM_PARAM = 2 };

/* Initializers that are no parameters, written when a node asks for them. */
#define ZERO "constant.zero"
#define SIX "constant.six"
#define MAP_AXES "constant.map_axes"

struct writer {
    const struct adl_graph *graph;
    struct adl_shape *shapes; /* by value, at the model's input size */
    const char **names;       /* by value, in the file */
    bool *flat;               /* by value: [N, C] in the file, not [N, C, 1, 1] */
    struct adl_protobuf out;  /* the GraphProto */
    bool clips, unsqueezes;   /* constants needed */
};

/* --- nodes ------------------------------------------------------------------- */

static struct adl_protobuf node_of(const char *op, const char *name)
{
    struct adl_protobuf node = {0};
    adl_protobuf_text(&node, NODE_OP, op);
    adl_protobuf_text(&node, NODE_NAME, name);
    return node;
}

static void take(struct adl_protobuf *node, const char *input)
{
    adl_protobuf_text(node, NODE_INPUT, input);
}

static void set_int(struct adl_protobuf *node, const char *name, int value)
{
    struct adl_protobuf attribute = {0};
    adl_protobuf_text(&attribute, ATTRIBUTE_NAME, name);
    adl_protobuf_int(&attribute, ATTRIBUTE_I, value);
    adl_protobuf_int(&attribute, ATTRIBUTE_TYPE, TYPE_INT);
    adl_protobuf_message(node, NODE_ATTRIBUTE, &attribute);
}

static void set_ints(struct adl_protobuf *node, const char *name, const int *values, size_t count)
{
    struct adl_protobuf attribute = {0};
    adl_protobuf_text(&attribute, ATTRIBUTE_NAME, name);
    for (size_t i = 0; i < count; i++)
        adl_protobuf_int(&attribute, ATTRIBUTE_INTS, values[i]);
    adl_protobuf_int(&attribute, ATTRIBUTE_TYPE, TYPE_INTS);
    adl_protobuf_message(node, NODE_ATTRIBUTE, &attribute);
}

static void set_float(struct adl_protobuf *node, const char *name, double value)
{
    struct adl_protobuf attribute = {0};
    adl_protobuf_text(&attribute, ATTRIBUTE_NAME, name);
    adl_protobuf_float(&attribute, ATTRIBUTE_F, (float)value);
    adl_protobuf_int(&attribute, ATTRIBUTE_TYPE, TYPE_FLOAT);
    adl_protobuf_message(node, NODE_ATTRIBUTE, &attribute);
}

static void finish(struct writer *w, struct adl_protobuf *node, const char *output)
{
    adl_protobuf_text(node, NODE_OUTPUT, output);
    adl_protobuf_message(&w->out, GRAPH_NODE, node);
}

/* The node's own value. */
static const char *output_of(const struct writer *w, const struct adl_node *node)
{
    return w->names[node->output];
}

static struct adl_protobuf start(const struct writer *w, const struct adl_node *node,
                                 const char *op)
{
    return node_of(op, output_of(w, node));
}

static const char *param_name(const struct writer *w, int id)
{
    return adl_graph_param(w->graph, id)->name;
}

/* A value in the other of its two forms, made by a node before the one that
 * needs it; `text` has room for its name. */
struct form {
    char text[512];
};

static const char *reformed(struct writer *w, const struct adl_node *node, int input,
                            const char *op, struct form *form)
{
    snprintf(form->text, sizeof form->text, "%s.input%d", output_of(w, node), input);
    struct adl_protobuf extra = node_of(op, form->text);
    take(&extra, w->names[node->inputs[input]]);
    if (w->flat[node->inputs[input]]) {
        take(&extra, MAP_AXES);
        w->unsqueezes = true;
    } else {
        set_int(&extra, "axis", 1);
    }
    finish(w, &extra, form->text);
    return form->text;
}

/* Input number `input` of a node as [N, C, h, w]. */
static const char *as_map(struct writer *w, const struct adl_node *node, int input,
                          struct form *form)
{
    int value = node->inputs[input];
    return w->flat[value] ? reformed(w, node, input, "Unsqueeze", form) : w->names[value];
}

/* As [N, C]. */
static const char *as_vector(struct writer *w, const struct adl_node *node, int input,
                             struct form *form)
{
    int value = node->inputs[input];
    return w->flat[value] ? w->names[value] : reformed(w, node, input, "Flatten", form);
}

/* --- ops ----------------------------------------------------------------------- */

static void write_conv(struct writer *w, const struct adl_node *node)
{
    const struct adl_conv_attr *a = node->attr;
    struct form form;
    int pads[4];
    const char *input = as_map(w, node, 0, &form);
    struct adl_protobuf conv = start(w, node, "Conv");
    adl_conv_padding(a, w->shapes[node->inputs[0]], pads);
    take(&conv, input);
    take(&conv, param_name(w, node->params[0]));
    if (a->bias)
        take(&conv, param_name(w, node->params[1]));
    set_ints(&conv, "kernel_shape", (int[]){a->r, a->s}, 2);
    set_ints(&conv, "strides", (int[]){a->stride, a->stride}, 2);
    set_ints(&conv, "pads", pads, 4);
    set_int(&conv, "group", a->groups);
    finish(w, &conv, output_of(w, node));
}

static void write_batchnorm(struct writer *w, const struct adl_node *node)
{
    const struct adl_batchnorm_attr *a = node->attr;
    struct form form;
    const char *input = as_map(w, node, 0, &form);
    struct adl_protobuf norm = start(w, node, "BatchNormalization");
    take(&norm, input);
    for (int i = 0; i < node->param_count; i++)
        take(&norm, param_name(w, node->params[i]));
    set_float(&norm, "epsilon", a->eps);
    finish(w, &norm, output_of(w, node));
}

/* Element by element, in whichever form the input has. */
static struct adl_protobuf start_elementwise(struct writer *w, const struct adl_node *node,
                                             const char *op)
{
    struct adl_protobuf message = start(w, node, op);
    take(&message, w->names[node->inputs[0]]);
    w->flat[node->output] = w->flat[node->inputs[0]];
    return message;
}

static void write_relu(struct writer *w, const struct adl_node *node)
{
    struct adl_protobuf relu = start_elementwise(w, node, "Relu");
    finish(w, &relu, output_of(w, node));
}

static void write_relu6(struct writer *w, const struct adl_node *node)
{
    struct adl_protobuf clip = start_elementwise(w, node, "Clip");
    take(&clip, ZERO);
    take(&clip, SIX);
    w->clips = true;
    finish(w, &clip, output_of(w, node));
}

static void write_sigmoid(struct writer *w, const struct adl_node *node)
{
    struct adl_protobuf sigmoid = start_elementwise(w, node, "Sigmoid");
    finish(w, &sigmoid, output_of(w, node));
}

/* What the last window hangs over the edge. */
static int overhang(const struct adl_pool_attr *a, int in, int out)
{
    return a->ceil_mode ? ADL_MAX((out - 1) * a->stride + a->size - in - a->pad, 0) : a->pad;
}

static struct adl_protobuf start_pool(struct writer *w, const struct adl_node *node, const char *op)
{
    const struct adl_pool_attr *a = node->attr;
    struct adl_shape in = w->shapes[node->inputs[0]], out = w->shapes[node->output];
    const int pads[4] = {a->pad, a->pad, overhang(a, in.h, out.h), overhang(a, in.w, out.w)};
    struct form form;
    const char *input = as_map(w, node, 0, &form);
    struct adl_protobuf pool = start(w, node, op);
    take(&pool, input);
    set_ints(&pool, "kernel_shape", (int[]){a->size, a->size}, 2);
    set_ints(&pool, "strides", (int[]){a->stride, a->stride}, 2);
    set_ints(&pool, "pads", pads, 4);
    return pool;
}

static void write_maxpool(struct writer *w, const struct adl_node *node)
{
    struct adl_protobuf pool = start_pool(w, node, "MaxPool");
    finish(w, &pool, output_of(w, node));
}

static void write_avgpool(struct writer *w, const struct adl_node *node)
{
    struct adl_protobuf pool = start_pool(w, node, "AveragePool");
    set_int(&pool, "count_include_pad", 1);
    finish(w, &pool, output_of(w, node));
}

static void write_global_avgpool(struct writer *w, const struct adl_node *node)
{
    struct form form;
    const char *input = as_map(w, node, 0, &form);
    struct adl_protobuf pool = start(w, node, "GlobalAveragePool");
    take(&pool, input);
    finish(w, &pool, output_of(w, node));
}

static void write_linear(struct writer *w, const struct adl_node *node)
{
    const struct adl_linear_attr *a = node->attr;
    struct form form;
    const char *input = as_vector(w, node, 0, &form);
    struct adl_protobuf gemm = start(w, node, "Gemm");
    take(&gemm, input);
    take(&gemm, param_name(w, node->params[0]));
    if (a->bias)
        take(&gemm, param_name(w, node->params[1]));
    set_int(&gemm, "transB", 1);
    w->flat[node->output] = true;
    finish(w, &gemm, output_of(w, node));
}

/* Several maps in, one out; a vector becomes a 1 x 1 map, which ONNX's
 * multiplication spreads over the other. */
static struct adl_protobuf start_joining(struct writer *w, const struct adl_node *node,
                                         const char *op)
{
    struct form forms[ADL_MAX_OP_INPUTS];
    const char *inputs[ADL_MAX_OP_INPUTS];
    for (int i = 0; i < node->input_count; i++)
        inputs[i] = as_map(w, node, i, &forms[i]);
    struct adl_protobuf message = start(w, node, op);
    for (int i = 0; i < node->input_count; i++)
        take(&message, inputs[i]);
    return message;
}

static void write_add(struct writer *w, const struct adl_node *node)
{
    struct adl_protobuf add = start_joining(w, node, "Add");
    finish(w, &add, output_of(w, node));
}

static void write_concat(struct writer *w, const struct adl_node *node)
{
    struct adl_protobuf concat = start_joining(w, node, "Concat");
    set_int(&concat, "axis", 1);
    finish(w, &concat, output_of(w, node));
}

static void write_scale(struct writer *w, const struct adl_node *node)
{
    struct adl_protobuf mul = start_joining(w, node, "Mul");
    finish(w, &mul, output_of(w, node));
}

static const struct {
    const struct adl_op_def *def;
    void (*write)(struct writer *w, const struct adl_node *node);
} ops[] = {
    {&adl_op_conv, write_conv},       {&adl_op_batchnorm, write_batchnorm},
    {&adl_op_relu, write_relu},       {&adl_op_relu6, write_relu6},
    {&adl_op_sigmoid, write_sigmoid}, {&adl_op_maxpool, write_maxpool},
    {&adl_op_avgpool, write_avgpool}, {&adl_op_global_avgpool, write_global_avgpool},
    {&adl_op_linear, write_linear},   {&adl_op_add, write_add},
    {&adl_op_concat, write_concat},   {&adl_op_scale, write_scale},
};

static int write_node(struct writer *w, const struct adl_node *node, struct adl_error *err)
{
    if (node->def->training_only) {
        w->names[node->output] = w->names[node->inputs[0]];
        w->flat[node->output] = w->flat[node->inputs[0]];
        return 0;
    }
    for (size_t i = 0; i < ADL_COUNT(ops); i++)
        if (ops[i].def == node->def) {
            ops[i].write(w, node);
            return 0;
        }
    return adl_fail(err, ADL_ERR_UNSUPPORTED, "%s is an op \"%s\", which cannot be written as ONNX",
                    output_of(w, node), node->def->name);
}

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

/* Raw data are little-endian, as memory is. */
static void write_scalar(struct writer *w, const char *name, float value)
{
    struct adl_protobuf tensor = tensor_of(name, ELEMENT_FLOAT, 0, NULL);
    adl_protobuf_bytes(&tensor, TENSOR_RAW_DATA, &value, sizeof value);
    adl_protobuf_message(&w->out, GRAPH_INITIALIZER, &tensor);
}

static void write_constants(struct writer *w)
{
    static const int64_t axes[2] = {2, 3};
    if (w->clips) {
        write_scalar(w, ZERO, 0);
        write_scalar(w, SIX, 6);
    }
    if (w->unsqueezes) {
        struct adl_protobuf tensor = tensor_of(MAP_AXES, ELEMENT_INT64, 1, (size_t[]){2});
        adl_protobuf_bytes(&tensor, TENSOR_RAW_DATA, axes, sizeof axes);
        adl_protobuf_message(&w->out, GRAPH_INITIALIZER, &tensor);
    }
}

static void write_params(struct writer *w, const float *const *params)
{
    for (int i = 0; i < adl_graph_param_count(w->graph); i++) {
        const struct adl_param *param = adl_graph_param(w->graph, i);
        struct adl_protobuf tensor =
            tensor_of(param->name, ELEMENT_FLOAT, param->rank, param->shape);
        adl_protobuf_borrow(&tensor, TENSOR_RAW_DATA, params[i], param->count * sizeof(float));
        adl_protobuf_message(&w->out, GRAPH_INITIALIZER, &tensor);
    }
}

/* --- inputs and outputs ------------------------------------------------------------ */

static void write_info(struct writer *w, enum graph_field field, const char *name, const int *dims,
                       size_t rank, const char *doc)
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

static void write_output(struct writer *w, const char *name, int channels, struct adl_shape map,
                         const char *doc)
{
    write_info(w, GRAPH_OUTPUT, name, (int[]){channels, map.h, map.w}, 3, doc);
}

/* A value of the graph under the name of an output. */
static void write_alias(struct writer *w, int value, const char *op, const char *name)
{
    struct adl_protobuf alias = node_of(op, name);
    take(&alias, w->names[value]);
    finish(w, &alias, name);
}

/* The rows of the classifier as a 1x1 convolution over the features. */
static int write_maps(struct writer *w, int features, struct adl_error *err)
{
    static const char weight[] = "maps.weight";
    int classifier = adl_graph_classifier(w->graph);
    const struct adl_param *rows = classifier < 0 ? NULL : adl_graph_param(w->graph, classifier);
    if (!rows || rows->rank != 2 || rows->shape[1] != (size_t)w->shapes[features].c)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "no classifier weights the features into class maps");
    struct adl_protobuf kernel = node_of("Unsqueeze", weight);
    take(&kernel, rows->name);
    take(&kernel, MAP_AXES);
    w->unsqueezes = true;
    finish(w, &kernel, weight);

    struct adl_protobuf conv = node_of("Conv", "maps");
    take(&conv, w->names[features]);
    take(&conv, weight);
    set_ints(&conv, "kernel_shape", (int[]){1, 1}, 2);
    finish(w, &conv, "maps");
    return 0;
}

static int write_outputs(struct writer *w, struct adl_error *err)
{
    int logits = adl_graph_output(w->graph, ADL_OUTPUT_LOGITS);
    int features = adl_graph_output(w->graph, ADL_OUTPUT_FEATURES);
    int class_map = adl_graph_output(w->graph, ADL_OUTPUT_CLASS_MAP);
    int classes = w->shapes[logits].c;
    struct adl_shape map = w->shapes[class_map < 0 ? features : class_map];

    write_alias(w, logits, w->flat[logits] ? "Identity" : "Flatten", "logits");
    write_alias(w, features, "Identity", "features");
    if (class_map >= 0)
        write_alias(w, class_map, "Identity", "maps");
    else if (write_maps(w, features, err) < 0)
        return -1;
    write_info(w, GRAPH_OUTPUT, "logits", &classes, 1, "a score for each class, before softmax");
    write_output(w, "features", w->shapes[features].c, w->shapes[features],
                 "the last map before pooling");
    write_output(w, "maps", classes, map,
                 "the activation map of each class, neither averaged nor normalised");
    return 0;
}

static void write_input(struct writer *w, const struct adl_model *model)
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

static int write_graph(struct writer *w, const struct adl_model *model, struct adl_error *err)
{
    size_t values = (size_t)adl_graph_value_count(w->graph);
    w->shapes = adl_malloc(values, sizeof *w->shapes);
    w->names = adl_malloc(values, sizeof *w->names);
    w->flat = adl_calloc(values, sizeof *w->flat);
    if (!w->shapes || !w->names || !w->flat)
        return adl_fail_nomem(err, "the ONNX graph");
    if (adl_graph_infer(w->graph, model->input_h, model->input_w, w->shapes, err) < 0)
        return -1;
    for (size_t i = 0; i < values; i++)
        w->names[i] = adl_graph_value(w->graph, (int)i)->name;

    adl_protobuf_text(&w->out, GRAPH_NAME, model->arch.backbone->name);
    write_input(w, model);
    for (int i = 0; i < adl_graph_node_count(w->graph); i++)
        if (write_node(w, adl_graph_node(w->graph, i), err) < 0)
            return -1;
    if (write_outputs(w, err) < 0)
        return -1;
    write_constants(w);
    write_params(w, model->params);
    return 0;
}

static void write_model(struct adl_protobuf *file, struct writer *w, const char *description)
{
    struct adl_protobuf opset = {0}, entry = {0};
    adl_protobuf_int(file, MODEL_IR_VERSION, IR_VERSION);
    adl_protobuf_text(file, MODEL_PRODUCER_NAME, "adl-server");
    adl_protobuf_text(file, MODEL_PRODUCER_VERSION, ADL_VERSION);
    adl_protobuf_int(&opset, OPSET_VERSION, OPERATOR_SET);
    adl_protobuf_message(file, MODEL_OPSET_IMPORT, &opset);
    adl_protobuf_text(&entry, ENTRY_KEY, "adl");
    adl_protobuf_text(&entry, ENTRY_VALUE, description);
    adl_protobuf_message(file, MODEL_METADATA_PROPS, &entry);
    adl_protobuf_message(file, MODEL_GRAPH, &w->out);
}

int adl_onnx_write(const struct adl_model *model, const char *path, struct adl_error *err)
{
    struct writer w = {.graph = model->graph};
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
    adl_free(w.shapes);
    adl_free(w.names);
    adl_free(w.flat);
    adl_free(description);
    return result;
}
