/* The union of two class maps: each channel of both is normalised to 0..1 by its least and greatest
 * value over the positions of the image, and the larger of the two is taken (ACoL, section 3.3). It
 * is an output that no loss reads, so it passes no gradient. A channel that is constant counts as
 * 0 everywhere. */

#include "ops/class_range.h"
#include "ops/ops.h"
#include "ops/train.h"

static int map_union_infer(const struct adl_node *node, const struct adl_shape *in,
                           struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    if (in[0].h != in[1].h || in[0].w != in[1].w || in[0].c != in[1].c)
        return adl_fail(err, ADL_ERR_ARG, "the maps are %dx%dx%d and %dx%dx%d, not of one shape",
                        in[0].h, in[0].w, in[0].c, in[1].h, in[1].w, in[1].c);
    *out = in[0];
    return 0;
}

static void map_union_one(const float *a, const float *b, struct adl_shape shape, float *out)
{
    size_t classes = (size_t)shape.c, pixels = (size_t)shape.h * (size_t)shape.w;
    for (size_t c = 0; c < classes; c++) {
        struct class_range of_a = class_range_of(a, pixels, classes, c);
        struct class_range of_b = class_range_of(b, pixels, classes, c);
        for (size_t i = c; i < pixels * classes; i += classes) {
            float x = class_range_normalise(of_a, a[i]), y = class_range_normalise(of_b, b[i]);
            out[i] = x > y ? x : y;
        }
    }
}

static void map_union_forward(const struct adl_op_call *call)
{
    size_t count = adl_shape_count(call->out_shape);
    for (size_t n = 0; n < (size_t)call->batch; n++)
        map_union_one(call->in[0] + n * count, call->in[1] + n * count, call->out_shape,
                      call->out + n * count);
}

static void map_union_image(const struct adl_train_call *call, size_t image)
{
    size_t count = adl_shape_count(call->out_shape);
    map_union_one(call->in[0] + image * count, call->in[1] + image * count, call->out_shape,
                  call->out + image * count);
}

static void map_union_train(const struct adl_train_call *call)
{
    adl_train_images(call, map_union_image);
}

/* Both inputs are detached, so there is nothing to do. */
static void map_union_backward(const struct adl_train_call *call)
{
    (void)call;
}

static const struct adl_op_train training = {.drops_in = true,
                                             .detached = 1u << 0 | 1u << 1,
                                             .forward = map_union_train,
                                             .backward = map_union_backward};

const struct adl_op_def adl_op_map_union = {.name = "map_union",
                                            .infer = map_union_infer,
                                            .forward = map_union_forward,
                                            .train = &training};

int adl_map_union(struct adl_graph *graph, int a, int b, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_map_union, NULL, 0, (const int[]){a, b}, 2, NULL, 0);
}
