/* The union of class maps of several classifiers: each channel of each map is normalised to 0..1 by
 * its least and greatest value over the positions of the image, and the largest is taken,
 *
 *     y[i,k] = max over the inputs x of (x[i,k] - min x[.,k]) / (max x[.,k] - min x[.,k])
 *
 * A channel that is constant counts as 0 everywhere, and one with a NaN as NaN. It is an output
 * that no loss reads, so it passes no gradient. */

#include <math.h>
#include <string.h>

#include "ops/class_range.h"
#include "ops/ops.h"
#include "ops/train.h"

static int map_union_infer(const struct adl_node *node, const struct adl_shape *in,
                           struct adl_shape *out, struct adl_error *err)
{
    for (int i = 1; i < node->input_count; i++)
        if (in[i].h != in[0].h || in[i].w != in[0].w || in[i].c != in[0].c)
            return adl_fail(err, ADL_ERR_ARG,
                            "the maps are %dx%dx%d and %dx%dx%d, not of one shape", in[0].h,
                            in[0].w, in[0].c, in[i].h, in[i].w, in[i].c);
    *out = in[0];
    return 0;
}

/* Takes the maximum of `out` and a normalised map. */
static void map_union_take(const float *map, struct adl_shape shape, float *out)
{
    size_t classes = (size_t)shape.c, pixels = (size_t)shape.h * (size_t)shape.w;
    for (size_t c = 0; c < classes; c++) {
        struct class_range range = class_range_of(map, pixels, classes, c);
        for (size_t i = c; i < pixels * classes; i += classes) {
            float v = class_range_normalise(range, map[i]);
            out[i] = v > out[i] || isnan(v) ? v : out[i];
        }
    }
}

static void map_union_image(const float *const *in, int inputs, struct adl_shape shape,
                            size_t image, float *out)
{
    size_t count = adl_shape_count(shape);
    memset(out + image * count, 0, count * sizeof *out);
    for (int i = 0; i < inputs; i++)
        map_union_take(in[i] + image * count, shape, out + image * count);
}

static void map_union_forward(const struct adl_op_call *call)
{
    for (size_t n = 0; n < (size_t)call->batch; n++)
        map_union_image(call->in, call->node->input_count, call->out_shape, n, call->out);
}

static void map_union_train_image(const struct adl_train_call *call, size_t image)
{
    map_union_image(call->in, call->node->input_count, call->out_shape, image, call->out);
}

static void map_union_train(const struct adl_train_call *call)
{
    adl_train_images(call, map_union_train_image);
}

/* All inputs are detached, so there is nothing to do. */
static void map_union_backward(const struct adl_train_call *call)
{
    (void)call;
}

static const struct adl_op_train training = {
    .drops_in = true, .detached = ~0u, .forward = map_union_train, .backward = map_union_backward};

const struct adl_op_def adl_op_map_union = {.name = "map_union",
                                            .infer = map_union_infer,
                                            .forward = map_union_forward,
                                            .train = &training};

int adl_map_union(struct adl_graph *graph, const int *maps, int count, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_map_union, NULL, 0, maps, count, NULL, 0);
}
