/* Writes the few-box head (wsol/foreground.h): a 1x1 convolution with one output channel of each
 * map that it reads, their sum, and a sigmoid. The logits of a larger map are averaged over the
 * areas of the last map's positions by two products with constant matrices, which are second
 * factors because OpenCV's importer takes no others. */

#include <stdio.h>

#include "base/mem.h"
#include "models/onnx/onnx_parts.h"

/* Room for the name of a value of a layer. */
enum { NAME_BYTES = ADL_LIMIT_LAYER_NAME_BYTES + 64 };

struct name {
    char text[NAME_BYTES];
};

static struct name name_of(const char *layer, const char *part)
{
    struct name name;
    snprintf(name.text, sizeof name.text, "foreground.%s%s", layer, part);
    return name;
}

static void write_op(struct adl_onnx_writer *w, const char *op, const char *a, const char *b,
                     const char *output)
{
    struct adl_protobuf node = adl_onnx_node(op, output);
    adl_onnx_take(&node, a);
    if (b)
        adl_onnx_take(&node, b);
    adl_onnx_finish(w, &node, output);
}

/* Writes the logits of one map. bias: the name of an initializer; NULL: none. */
static void write_logits(struct adl_onnx_writer *w, int value, const char *weight_name,
                         const float *weights, size_t channels, const char *bias,
                         const char *output)
{
    const size_t dims[] = {1, channels, 1, 1};
    struct adl_protobuf conv = adl_onnx_node("Conv", output);

    adl_onnx_add_tensor(w, weight_name, dims, 4, weights);
    adl_onnx_take(&conv, w->names[value]);
    adl_onnx_take(&conv, weight_name);
    if (bias)
        adl_onnx_take(&conv, bias);
    adl_onnx_set_ints(&conv, "kernel_shape", (int[]){1, 1}, 2);
    adl_onnx_finish(w, &conv, output);
}

/* Writes the product of a map with the matrix, from x to, that averages its `from` columns over
 * `to` cells. */
static int write_averages(struct adl_onnx_writer *w, const char *input, const char *matrix_name,
                          int from_columns, int to_columns, const char *output,
                          struct adl_error *err)
{
    size_t from = (size_t)from_columns, to = (size_t)to_columns;
    float *matrix = adl_calloc(from * to, sizeof *matrix);

    if (!matrix)
        return adl_fail_nomem(err, "the ONNX graph");
    for (size_t i = 0; i < from; i++)
        for (size_t cell = 0; cell < to; cell++)
            matrix[i * to + cell] = (float)adl_foreground_covered(i, i, from, cell, to);
    adl_onnx_add_tensor(w, matrix_name, (size_t[]){from, to}, 2, matrix);
    write_op(w, "MatMul", input, matrix_name, output);
    adl_free(matrix);
    return 0;
}

static void write_transposed(struct adl_onnx_writer *w, const char *input, const char *output)
{
    struct adl_protobuf node = adl_onnx_node("Transpose", output);
    adl_onnx_take(&node, input);
    adl_onnx_set_ints(&node, "perm", (int[]){0, 1, 3, 2}, 4);
    adl_onnx_finish(w, &node, output);
}

/* Writes the logits of a layer at the positions of the last map and returns their name. */
static int write_layer(struct adl_onnx_writer *w, const struct adl_foreground_layer *layer,
                       const float *weights, struct adl_shape last, struct name *output,
                       struct adl_error *err)
{
    struct adl_shape shape = w->shapes[layer->value];
    struct name weight = name_of(layer->name, ".weight"), logits = name_of(layer->name, ".logits");
    struct name rows = name_of(layer->name, ".rows"), columns = name_of(layer->name, ".columns");
    struct name tall = name_of(layer->name, ".tall"), wide = name_of(layer->name, ".wide");
    struct name small = name_of(layer->name, ".small");

    write_logits(w, layer->value, weight.text, weights, layer->channels, NULL, logits.text);
    *output = logits;
    if (shape.h == last.h && shape.w == last.w)
        return 0;
    if (write_averages(w, logits.text, columns.text, shape.w, last.w, tall.text, err) < 0)
        return -1;
    write_transposed(w, tall.text, wide.text);
    if (write_averages(w, wide.text, rows.text, shape.h, last.h, small.text, err) < 0)
        return -1;
    *output = name_of(layer->name, ".averages");
    write_transposed(w, small.text, output->text);
    return 0;
}

int adl_onnx_write_head(struct adl_onnx_writer *w, const struct adl_foreground_head *head,
                        int features, struct adl_error *err)
{
    static const char bias[] = "foreground.bias";
    const float *weights = head->weights;
    struct name sum = name_of("logits", ""), part, next;

    adl_onnx_add_tensor(w, bias, (size_t[]){1}, 1, weights + adl_foreground_channels(head));
    write_logits(w, features, "foreground.weight", weights, head->channels, bias, sum.text);
    weights += head->channels;
    for (int i = 0; i < head->layer_count; i++) {
        if (write_layer(w, &head->layers[i], weights, w->shapes[features], &part, err) < 0)
            return -1;
        weights += head->layers[i].channels;
        next = name_of(head->layers[i].name, ".sum");
        write_op(w, "Add", sum.text, part.text, next.text);
        sum = next;
    }
    write_op(w, "Sigmoid", sum.text, NULL, "foreground");
    return 0;
}
