/* Self-produced guidance (Zhang et al., "Self-produced Guidance for Weakly-supervised Object
 * Localization", ECCV 2018): maps of the object are trained with masks that are cut from other maps
 * of the same network. The op computes what the losses of three such maps need. It runs in training
 * alone. Reference: spg.py of wsolevaluation.
 *
 * Inputs: the class maps a (h x w x classes) and three maps of one channel, b1, b2 and c. All are
 * enlarged to 224x224 by bilinear interpolation (PyTorch's Upsample, corners not aligned); U(.) is
 * the enlarged map, S the sigmoid, y the label. A map and the mask for it:
 *
 *     b2   A = U(a[y]), normalised to 0..1 by its least and greatest value
 *     b1   S(U(b2))
 *     c    (S(U(b1)) + S(U(b2))) / 2
 *
 * A pixel of the mask is 0 where that attention is below `low`, else 1 where it is above `high`,
 * and is ignored elsewhere. If less than 30 pixels of an image are above `high`, 0.7 times the
 * image's maximum takes its place. A constant A has no mask.
 *
 * Output: 1 x 1 x 6; for each map the sum over the pixels that are not ignored of the binary
 * cross-entropy of its enlarged logits and the mask, and the number of those pixels. The mean is
 * over the batch, so whoever has summed these divides (methods/spg.c).
 *
 *     l = max(z, 0) - z m + log(1 + exp(-|z|)),   dl/dz = S(z) - m
 *
 * Masks have no gradient. Interpolating is linear, so gradients go back with the same weights.
 * Enlarged maps are computed row by row where they are needed, which costs some milliseconds for an
 * image, rather than kept. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "ops/between.h"
#include "ops/ops.h"
#include "ops/train.h"

enum { SIDE = 224, FEWEST = 30 };
#define OF_MAXIMUM 0.7f

/* The inputs, and the maps among them in the order of the output. */
enum { CLASSES, B1, B2, C };
enum { TERMS = 3 };
static const int term_input[TERMS] = {B2, B1, C};

/* What the backward pass needs of an image. */
struct guidance_saved {
    float min, max;    /* of the label's enlarged map */
    float high[TERMS]; /* the thresholds in force */
};

static int guidance_infer(const struct adl_node *node, const struct adl_shape *in,
                          struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    for (int i = B1; i <= C; i++)
        if (in[i].c != 1)
            return adl_fail(err, ADL_ERR_ARG, "a map that guides has %d channels, not 1", in[i].c);
    *out = (struct adl_shape){1, 1, 2 * TERMS};
    return 0;
}

/* --- enlarging ------------------------------------------------------------------------------ */

/* Returns where row or column i of an enlarged map lies. Other than adl_between_centres() this
 * computes in float, as PyTorch does, and limits no weight behind the last pixel, where both
 * neighbours are the same. */
static struct adl_between guidance_between(int i, int from)
{
    float at = ((float)i + 0.5f) * ((float)from / SIDE) - 0.5f;
    at = at < 0 ? 0 : at;
    int first = ADL_MIN((int)at, from - 1);
    return (struct adl_between){first, ADL_MIN(first + 1, from - 1), at - (float)first};
}

/* Writes row y of the enlarged channel `channel` of an image of input `input`. */
static void guidance_row(const struct adl_train_call *call, size_t image, int input, size_t channel,
                         int y, float *row)
{
    struct adl_shape shape = call->in_shape[input];
    size_t channels = (size_t)shape.c, line = (size_t)shape.w * channels;
    struct adl_between v = guidance_between(y, shape.h);
    const float *x = call->in[input] + image * adl_shape_count(shape) + channel;
    const float *top = x + (size_t)v.first * line, *bottom = x + (size_t)v.second * line;
    for (int i = 0; i < SIDE; i++) {
        struct adl_between h = guidance_between(i, shape.w);
        size_t a = (size_t)h.first * channels, b = (size_t)h.second * channels;
        row[i] = adl_between_four(top, bottom, a, b, v.t, h.t);
    }
}

/* Adds the gradient of an enlarged row to that of the map. */
static void guidance_row_back(struct adl_shape shape, int y, const float *row, float *grad)
{
    struct adl_between v = guidance_between(y, shape.h);
    float *top = grad + (size_t)v.first * (size_t)shape.w,
          *bottom = grad + (size_t)v.second * (size_t)shape.w;
    for (int i = 0; i < SIDE; i++) {
        struct adl_between h = guidance_between(i, shape.w);
        top[h.first] += row[i] * (1 - v.t) * (1 - h.t);
        top[h.second] += row[i] * (1 - v.t) * h.t;
        bottom[h.first] += row[i] * v.t * (1 - h.t);
        bottom[h.second] += row[i] * v.t * h.t;
    }
}

/* --- attention and masks -------------------------------------------------------------------- */

static float guidance_sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

static size_t guidance_label(const struct adl_train_call *call, size_t image)
{
    return call->mode->labels ? (size_t)call->mode->labels[image] : 0;
}

/* The thresholds are six options of a method: high and low of each map in turn. */
static float guidance_threshold(const struct adl_train_call *call, int term, int low)
{
    const size_t *first = call->node->attr;
    return (float)call->mode->method_values[*first + 2 * (size_t)term + (size_t)low].number;
}

/* Writes a row of the attention of each map, and of the enlarged logits of b1 and b2. */
static void guidance_attention(const struct adl_train_call *call, size_t image, int y, float min,
                               float max, float attention[TERMS][SIDE], float *b1, float *b2)
{
    guidance_row(call, image, CLASSES, guidance_label(call, image), y, attention[0]);
    guidance_row(call, image, B1, 0, y, b1);
    guidance_row(call, image, B2, 0, y, b2);
    for (int i = 0; i < SIDE; i++) {
        attention[0][i] = max > min ? (attention[0][i] - min) / (max - min) : NAN;
        attention[1][i] = guidance_sigmoid(b2[i]);
        attention[2][i] = (guidance_sigmoid(b1[i]) + attention[1][i]) / 2;
    }
}

/* Sets the range of the label's map and the thresholds in force. */
static void guidance_measure(const struct adl_train_call *call, size_t image,
                             struct guidance_saved *saved)
{
    float attention[TERMS][SIDE], b1[SIDE], b2[SIDE], most[TERMS] = {0};
    int above[TERMS] = {0};

    *saved = (struct guidance_saved){.min = INFINITY, .max = -INFINITY};
    for (int y = 0; y < SIDE; y++) {
        guidance_row(call, image, CLASSES, guidance_label(call, image), y, b1);
        for (int i = 0; i < SIDE; i++) {
            saved->min = b1[i] < saved->min ? b1[i] : saved->min;
            saved->max = b1[i] > saved->max ? b1[i] : saved->max;
        }
    }
    for (int t = 0; t < TERMS; t++)
        saved->high[t] = guidance_threshold(call, t, 0);
    for (int y = 0; y < SIDE; y++) {
        guidance_attention(call, image, y, saved->min, saved->max, attention, b1, b2);
        for (int t = 0; t < TERMS; t++)
            for (int i = 0; i < SIDE; i++) {
                above[t] += attention[t][i] > saved->high[t];
                most[t] = attention[t][i] > most[t] ? attention[t][i] : most[t];
            }
    }
    for (int t = 0; t < TERMS; t++)
        if (above[t] < FEWEST)
            saved->high[t] = most[t] * OF_MAXIMUM;
}

/* Returns the mask's value; -1: ignored. */
static int guidance_mask(float attention, float high, float low)
{
    return attention < low ? 0 : attention > high ? 1 : -1;
}

/* --- the sums and their gradients ------------------------------------------------------------ */

/* Writes the enlarged logits of the map of a term, which may be there already. */
static const float *guidance_logits(const struct adl_train_call *call, size_t image, int term,
                                    int y, const float *b1, const float *b2, float *c)
{
    if (term_input[term] != C)
        return term_input[term] == B1 ? b1 : b2;
    guidance_row(call, image, C, 0, y, c);
    return c;
}

static void guidance_image(const struct adl_train_call *call, size_t image)
{
    float attention[TERMS][SIDE], b1[SIDE], b2[SIDE], c[SIDE];
    struct guidance_saved saved;
    double sum[TERMS] = {0};
    int count[TERMS] = {0};

    guidance_measure(call, image, &saved);
    memcpy(call->saved + image * (sizeof saved / sizeof(float)), &saved, sizeof saved);
    for (int y = 0; y < SIDE; y++) {
        guidance_attention(call, image, y, saved.min, saved.max, attention, b1, b2);
        for (int t = 0; t < TERMS; t++) {
            const float *z = guidance_logits(call, image, t, y, b1, b2, c);
            float low = guidance_threshold(call, t, 1);
            for (int i = 0; i < SIDE; i++) {
                int mask = guidance_mask(attention[t][i], saved.high[t], low);
                if (mask < 0)
                    continue;
                count[t]++;
                sum[t] += (double)((z[i] > 0 ? z[i] : 0) - z[i] * (float)mask +
                                   log1pf(expf(-fabsf(z[i]))));
            }
        }
    }
    for (int t = 0; t < TERMS; t++) {
        call->out[image * 2 * TERMS + 2 * (size_t)t] = (float)sum[t];
        call->out[image * 2 * TERMS + 2 * (size_t)t + 1] = (float)count[t];
    }
}

static void guidance_image_back(const struct adl_train_call *call, size_t image)
{
    float attention[TERMS][SIDE], b1[SIDE], b2[SIDE], c[SIDE], row[SIDE];
    float *grads[TERMS];
    struct guidance_saved saved;

    memcpy(&saved, call->saved + image * (sizeof saved / sizeof(float)), sizeof saved);
    for (int t = 0; t < TERMS; t++) {
        int input = term_input[t];
        size_t count = adl_shape_count(call->in_shape[input]);
        grads[t] = call->grad_in[input] ? call->grad_in[input] + image * count : NULL;
        if (grads[t] && !call->add_in[input])
            memset(grads[t], 0, count * sizeof *grads[t]);
    }
    for (int y = 0; y < SIDE; y++) {
        guidance_attention(call, image, y, saved.min, saved.max, attention, b1, b2);
        for (int t = 0; t < TERMS; t++) {
            const float *z = guidance_logits(call, image, t, y, b1, b2, c);
            float low = guidance_threshold(call, t, 1);
            float factor = call->grad_out[image * 2 * TERMS + 2 * (size_t)t];
            for (int i = 0; i < SIDE; i++) {
                int mask = guidance_mask(attention[t][i], saved.high[t], low);
                row[i] = mask < 0 ? 0 : factor * (guidance_sigmoid(z[i]) - (float)mask);
            }
            if (grads[t])
                guidance_row_back(call->in_shape[term_input[t]], y, row, grads[t]);
        }
    }
}

static size_t guidance_saved_floats(const struct adl_node *node, int batch,
                                    const struct adl_shape *in, struct adl_shape out)
{
    (void)node;
    (void)in;
    (void)out;
    return (size_t)batch * (sizeof(struct guidance_saved) / sizeof(float));
}

static void guidance_train(const struct adl_train_call *call)
{
    adl_train_images(call, guidance_image);
}

static void guidance_backward(const struct adl_train_call *call)
{
    adl_train_images(call, guidance_image_back);
}

static const struct adl_op_train training = {.detached = 1u << CLASSES,
                                             .saved_floats = guidance_saved_floats,
                                             .forward = guidance_train,
                                             .backward = guidance_backward};

const struct adl_op_def adl_op_guidance = {
    .name = "guidance", .infer = guidance_infer, .train = &training};

int adl_guidance(struct adl_graph *graph, const int inputs[4], const char *name,
                 size_t first_option)
{
    return adl_graph_add(graph, name, &adl_op_guidance, &first_option, sizeof first_option, inputs,
                         4, NULL, 0);
}
