/* Erasing: zeroes a map where the map of one class is high, so that a classifier above it has to
 * find the class elsewhere (Zhang et al., "Adversarial Complementary Learning for Weakly Supervised
 * Object Localization", CVPR 2018, section 3.3).
 *
 * With x of H x W x C, the class maps a of H x W x classes, a class c and its map normalised by its
 * least and greatest value,
 *
 *     m[i] = 0 where (a[i,c] - min a[.,c]) / (max a[.,c] - min a[.,c]) >= threshold, else 1
 *     y[i,k] = x[i,k] m[i],   dx[i,k] (+)= dy[i,k] m[i]
 *
 * The mask has no gradient. In training c is the label; at inference it is the class that is asked
 * for, or else the one with the highest logit, of equal ones the first. A map that is constant
 * erases nothing. */

#include <string.h>

#include "ops/class_range.h"
#include "ops/ops.h"
#include "ops/train.h"

static int erase_infer(const struct adl_node *node, const struct adl_shape *in,
                       struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    if (in[1].h != in[0].h || in[1].w != in[0].w)
        return adl_fail(err, ADL_ERR_ARG, "a map of %dx%d is erased by one of %dx%d", in[0].h,
                        in[0].w, in[1].h, in[1].w);
    if (in[2].h != 1 || in[2].w != 1 || in[2].c != in[1].c)
        return adl_fail(err, ADL_ERR_ARG, "%d class maps have %d logits", in[1].c, in[2].c);
    *out = in[0];
    return 0;
}

static bool erase_hides(struct class_range range, float v, float threshold)
{
    return range.max > range.min && class_range_normalise(range, v) >= threshold;
}

/* Sets mask[i], of all positions of an image. */
static void erase_mask(const float *maps, struct adl_shape shape, size_t class_id, float threshold,
                       float *mask)
{
    size_t pixels = (size_t)shape.h * (size_t)shape.w, classes = (size_t)shape.c;
    struct class_range range = class_range_of(maps, pixels, classes, class_id);
    for (size_t i = 0; i < pixels; i++)
        mask[i] = !erase_hides(range, maps[i * classes + class_id], threshold);
}

static size_t erase_best(const float *logits, size_t classes)
{
    size_t best = 0;
    for (size_t c = 1; c < classes; c++)
        best = logits[c] > logits[best] ? c : best;
    return best;
}

static void erase_forward(const struct adl_op_call *call)
{
    const struct adl_erase_attr *attr = call->node->attr;
    size_t channels = (size_t)call->out_shape.c, classes = (size_t)call->in_shape[1].c;
    size_t count = adl_shape_count(call->out_shape), pixels = count / channels;
    for (size_t n = 0; n < (size_t)call->batch; n++) {
        const float *x = call->in[0] + n * count, *maps = call->in[1] + n * pixels * classes;
        bool asked = call->asked && call->asked[n] >= 0 && (size_t)call->asked[n] < classes;
        size_t c = asked ? (size_t)call->asked[n] : erase_best(call->in[2] + n * classes, classes);
        struct class_range range = class_range_of(maps, pixels, classes, c);
        float *y = call->out + n * count;
        for (size_t i = 0; i < pixels; i++) {
            if (erase_hides(range, maps[i * classes + c], (float)attr->threshold))
                memset(y + i * channels, 0, channels * sizeof *y);
            else
                memcpy(y + i * channels, x + i * channels, channels * sizeof *y);
        }
    }
}

/* --- training ------------------------------------------------------------------------------ */

static size_t erase_saved_floats(const struct adl_node *node, int batch, const struct adl_shape *in,
                                 struct adl_shape out)
{
    (void)node;
    (void)in;
    return (size_t)batch * (size_t)out.h * (size_t)out.w;
}

/* Multiplies each pixel of an image by its mask; adds the products to `to` if `add`. */
static void erase_apply(const float *from, const float *mask, size_t pixels, size_t channels,
                        bool add, float *to)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t k = i * channels; k < (i + 1) * channels; k++)
            to[k] = (add ? to[k] : 0) + from[k] * mask[i];
}

static void erase_image(const struct adl_train_call *call, size_t image)
{
    const struct adl_erase_attr *attr = call->node->attr;
    size_t channels = (size_t)call->out_shape.c, count = adl_shape_count(call->out_shape);
    size_t pixels = count / channels, classes = (size_t)call->in_shape[1].c;
    size_t label = call->mode->labels ? (size_t)call->mode->labels[image] : 0;
    double threshold = call->mode->method_values ? call->mode->method_values[attr->option].number
                                                 : attr->threshold;
    float *mask = call->saved + image * pixels;
    erase_mask(call->in[1] + image * pixels * classes, call->in_shape[1], label, (float)threshold,
               mask);
    erase_apply(call->in[0] + image * count, mask, pixels, channels, false,
                call->out + image * count);
}

static void erase_image_back(const struct adl_train_call *call, size_t image)
{
    size_t channels = (size_t)call->out_shape.c, count = adl_shape_count(call->out_shape);
    size_t pixels = count / channels;
    erase_apply(call->grad_out + image * count, call->saved + image * pixels, pixels, channels,
                call->add_in[0], call->grad_in[0] + image * count);
}

static void erase_train(const struct adl_train_call *call)
{
    adl_train_images(call, erase_image);
}

static void erase_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, erase_image_back);
}

static const struct adl_op_train training = {.drops_in = true,
                                             .detached = 1u << 1 | 1u << 2,
                                             .saved_floats = erase_saved_floats,
                                             .forward = erase_train,
                                             .backward = erase_backward};

const struct adl_op_def adl_op_erase = {
    .name = "erase", .infer = erase_infer, .forward = erase_forward, .train = &training};

int adl_erase(struct adl_graph *graph, int x, int maps, int logits, const char *name,
              struct adl_erase_attr attr)
{
    return adl_graph_add(graph, name, &adl_op_erase, &attr, sizeof attr,
                         (const int[]){x, maps, logits}, 3, NULL, 0);
}
