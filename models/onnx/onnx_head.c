/* Writes the few-box head (wsol/foreground.h): a 1x1 convolution with one output channel of each
 * map that it reads, their sum in the head's grid, and a sigmoid. The logits of a smaller map are
 * enlarged to the grid by two products with constant matrices, which are second factors because
 * OpenCV's importer takes no others. */

#include <stdio.h>

#include "base/mem.h"
#include "models/onnx/onnx_parts.h"

/* Room for the name of a value of a layer. */
enum { NAME_BYTES = ADL_LIMIT_LAYER_NAME_BYTES + 64 };

struct name {
    char text[NAME_BYTES];
};

/* Returns the name of a part of the head that belongs to a layer; "": to the last map. */
static struct name name_of(const char *layer, const char *part)
{
    struct name name;
    snprintf(name.text, sizeof name.text, "foreground%s%s.%s", *layer ? "." : "", layer, part);
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

/* Writes the product of a map with the matrix, from x to, that enlarges its `from` columns to `to`
 * columns. */
static int write_enlarged(struct adl_onnx_writer *w, const char *input, const char *matrix_name,
                          int from_columns, int to_columns, const char *output,
                          struct adl_error *err)
{
    size_t from = (size_t)from_columns, to = (size_t)to_columns;
    float *matrix = adl_calloc(from * to, sizeof *matrix);

    if (!matrix)
        return adl_fail_nomem(err, "the ONNX graph");
    for (size_t i = 0; i < to; i++) {
        struct adl_foreground_between b = adl_foreground_between(i, from, to);
        matrix[b.first * to + i] += (float)(1 - b.share);
        matrix[b.second * to + i] += (float)b.share;
    }
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

/* A map that the head reads, and what its tensors are called: `layer` is "" for the last map. */
struct part {
    const char *layer;
    int value;
    size_t channels;
    const float *weights;
    const char *bias; /* NULL: none */
};

/* Writes the logits of a map in the grid of the head and returns their name. */
static int write_part(struct adl_onnx_writer *w, const struct part *part, struct adl_shape grid,
                      struct name *output, struct adl_error *err)
{
    const char *layer = part->layer;
    struct adl_shape shape = w->shapes[part->value];
    struct name weight = name_of(layer, "weight");
    struct name logits = name_of(layer, "logits");
    struct name rows = name_of(layer, "rows"), columns = name_of(layer, "columns");
    struct name wide = name_of(layer, "wide"), turned = name_of(layer, "turned");
    struct name large = name_of(layer, "large");

    write_logits(w, part->value, weight.text, part->weights, part->channels, part->bias,
                 logits.text);
    *output = logits;
    if (shape.h == grid.h && shape.w == grid.w)
        return 0;
    if (write_enlarged(w, logits.text, columns.text, shape.w, grid.w, wide.text, err) < 0)
        return -1;
    write_transposed(w, wide.text, turned.text);
    if (write_enlarged(w, turned.text, rows.text, shape.h, grid.h, large.text, err) < 0)
        return -1;
    *output = name_of(layer, "enlarged");
    write_transposed(w, large.text, output->text);
    return 0;
}

static struct adl_foreground_map map_of(const struct adl_onnx_writer *w, int value)
{
    struct adl_shape shape = w->shapes[value];
    return (struct adl_foreground_map){.h = (size_t)shape.h, .w = (size_t)shape.w};
}

struct adl_shape adl_onnx_head_grid(const struct adl_onnx_writer *w,
                                    const struct adl_foreground_head *head, int features)
{
    struct adl_foreground_map last = map_of(w, features), maps[ADL_LIMIT_HEAD_LAYERS];
    size_t rows, columns;

    for (int i = 0; i < head->layer_count; i++)
        maps[i] = map_of(w, head->layers[i].value);
    adl_foreground_grid(head, &last, maps, &rows, &columns);
    return (struct adl_shape){.h = (int)rows, .w = (int)columns, .c = w->shapes[features].c};
}

int adl_onnx_write_head(struct adl_onnx_writer *w, const struct adl_foreground_head *head,
                        int features, struct adl_error *err)
{
    static const char bias[] = "foreground.bias";
    struct adl_shape grid = adl_onnx_head_grid(w, head, features);
    struct part part = {"", features, head->channels, head->weights, bias};
    struct name sum, logits, next;

    adl_onnx_add_tensor(w, bias, (size_t[]){1}, 1, head->weights + adl_foreground_channels(head));
    if (write_part(w, &part, grid, &sum, err) < 0)
        return -1;
    for (int i = 0; i < head->layer_count; i++) {
        const struct adl_foreground_layer *layer = &head->layers[i];
        part = (struct part){layer->name, layer->value, layer->channels,
                             part.weights + part.channels, NULL};
        if (write_part(w, &part, grid, &logits, err) < 0)
            return -1;
        next = name_of(layer->name, "sum");
        write_op(w, "Add", sum.text, logits.text, next.text);
        sum = next;
    }
    write_op(w, "Sigmoid", sum.text, NULL, "foreground");
    return 0;
}
