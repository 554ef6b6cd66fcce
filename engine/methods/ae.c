/* Adversarial erasing (Wei et al., "Object Region Mining with Adversarial Erasing", CVPR 2017). A
 * classifier finds the part of an object that tells its class most surely. Where its class map is
 * high, the images are erased, and a new network that learns on them has to find another part; and
 * so on. All networks together know more of the object than the first.
 *
 * Round 1 trains network 1 as any classifier. Round r trains network r, which starts from the
 * weights of network r - 1, on the images
 *
 *     x_1 = x,   x_r[i] = 0 where e(n(M_(r-1)))[i] >= threshold, else x_(r-1)[i]
 *
 * M_r, of h x w, is what network r, as at inference, gives for x_r as the map of the image's label,
 *
 *     M_r[i] = sum over c of F[i,c] W[label,c]
 *
 * with the last map F and the classifier W, or the channel of the label in a network that ends in
 * class maps. n scales a map to 0..1 by its least and greatest value (a constant map becomes 0),
 * and e enlarges it to the sides of the image, bilinearly between the centres of pixels. 0 is the
 * mean colour, since images are normalised. The loss is the cross-entropy of network r alone.
 *
 * At test every network sees the whole image. The class map is the element-wise maximum of n of the
 * networks' maps (ops/map_union.c), and the logits are those of network 1.
 *
 * The paper takes classifiers of another kind and a threshold at the top 20 % of a map's values; it
 * trains each network anew from ImageNet's weights. Here the default threshold is that of ACoL in
 * the reference implementation (0.7), whose erasing is the same on a map of features. Starting from
 * the network before makes short rounds enough. */

#include <string.h>

#include "methods/method.h"
#include "ops/between.h"
#include "ops/class_range.h"
#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

/* The options, in the order of the list below. */
enum { THRESHOLD };

/* --- erasing: the inputs are x_(r-1), and F or class maps of network r - 1; with F, the parameter
 * is W --- */

static size_t ae_saved_floats(const struct adl_node *node, int batch, const struct adl_shape *in,
                              struct adl_shape out)
{
    (void)node;
    (void)out;
    return (size_t)batch * (size_t)in[1].h * (size_t)in[1].w;
}

/* Writes n(M) of an image. */
static void ae_label_map(const struct adl_train_call *call, size_t image, float *map)
{
    struct adl_shape shape = call->in_shape[1];
    size_t channels = (size_t)shape.c, pixels = (size_t)shape.h * (size_t)shape.w;
    size_t label = call->mode->labels ? (size_t)call->mode->labels[image] : 0;
    const float *x = call->in[1] + image * pixels * channels;
    const float *row = call->node->param_count ? call->params[0] + label * channels : NULL;

    for (size_t i = 0; i < pixels; i++, x += channels) {
        double sum = 0;
        for (size_t c = 0; row && c < channels; c++)
            sum += (double)x[c] * (double)row[c];
        map[i] = row ? (float)sum : x[label];
    }
    struct class_range range = class_range_of(map, pixels, 1, 0);
    for (size_t i = 0; i < pixels; i++)
        map[i] = class_range_normalise(range, map[i]);
}

static void ae_erase_image(const struct adl_train_call *call, size_t image)
{
    struct adl_shape shape = call->out_shape, small = call->in_shape[1];
    size_t height = (size_t)shape.h, width = (size_t)shape.w, channels = (size_t)shape.c;
    size_t w = (size_t)small.w;
    double threshold = adl_method_call_values(call)[THRESHOLD].number;
    float *map = call->saved + image * (size_t)small.h * w;
    const float *x = call->in[0] + image * height * width * channels;
    float *y = call->out + image * height * width * channels;

    ae_label_map(call, image, map);
    memcpy(y, x, height * width * channels * sizeof *y);
    for (int row = 0; row < shape.h; row++) {
        struct adl_between v = adl_between_centres(row, small.h, shape.h);
        const float *above = map + (size_t)v.first * w, *below = map + (size_t)v.second * w;
        for (int column = 0; column < shape.w; column++, y += channels) {
            struct adl_between h = adl_between_centres(column, small.w, shape.w);
            float value =
                adl_between_four(above, below, (size_t)h.first, (size_t)h.second, v.t, h.t);
            if ((double)value >= threshold)
                memset(y, 0, channels * sizeof *y);
        }
    }
}

static void ae_erase(const struct adl_train_call *call)
{
    if (call->mode->method_layers)
        adl_train_images(call, ae_erase_image);
    else
        memcpy(call->out, call->in[0],
               (size_t)call->batch * adl_shape_count(call->out_shape) * sizeof *call->out);
}

/* No gradient passes, neither to the image nor to the network that the map is of. */
static void ae_erase_back(const struct adl_train_call *call)
{
    (void)call;
}

static const struct adl_op_train erase_training = {.drops_in = true,
                                                   .detached = 1u << 0 | 1u << 1,
                                                   .saved_floats = ae_saved_floats,
                                                   .forward = ae_erase,
                                                   .backward = ae_erase_back};
static const struct adl_op_def op_erase = {.name = "erase_image",
                                           .training_only = true,
                                           .infer = adl_infer_same,
                                           .forward = adl_forward_copy,
                                           .train = &erase_training};

/* --- the networks -------------------------------------------------------------------------- */

/* Appends the class maps of a network that has none: F weighted by W at each position. */
static int ae_class_maps(struct adl_graph *graph, const struct adl_graph_part *part, int number)
{
    if (part->outputs[ADL_OUTPUT_CLASS_MAP] >= 0 || part->classifier < 0)
        return part->outputs[ADL_OUTPUT_CLASS_MAP];
    struct adl_conv_attr attr = {
        .k = (int)adl_graph_param(graph, part->classifier)->shape[0],
        .r = 1,
        .s = 1,
        .stride = 1,
        .groups = 1,
        .dilation = 1,
    };
    return adl_graph_add(graph, adl_graph_name(graph, "maps%d", number), &adl_op_conv, &attr,
                         sizeof attr, &part->outputs[ADL_OUTPUT_FEATURES], 1, &part->classifier, 1);
}

/* Appends x_r of the networks before, from x. The chain begins at x in every round, because where
 * the method is off, only the network that is trained runs. */
static int ae_erased(struct adl_graph *graph, const struct adl_graph_part *before, int count,
                     size_t first_value)
{
    int image = 0;
    for (int i = 0; i < count; i++) {
        int maps = before[i].outputs[ADL_OUTPUT_CLASS_MAP];
        const int inputs[] = {image, maps >= 0 ? maps : before[i].outputs[ADL_OUTPUT_FEATURES]};
        image =
            adl_graph_add(graph, adl_graph_name(graph, "erased%d", i + 1), &op_erase, &first_value,
                          sizeof first_value, inputs, 2, &before[i].classifier, maps < 0);
    }
    return image;
}

static void ae_rounds(struct adl_graph *graph, const struct adl_method_rounds *rounds)
{
    struct adl_graph_part parts[ADL_MAX_PARTS] = {0};
    int maps[ADL_MAX_PARTS] = {0};

    for (int i = 0; i < rounds->count; i++) {
        adl_graph_begin_part(graph, i + 1, i ? adl_graph_name(graph, "round%d", i + 1) : "");
        adl_graph_set_part_input(graph, ae_erased(graph, parts, i, rounds->first_value));
        rounds->build(graph, rounds->context);
        adl_graph_end_part(graph, &parts[i]);
    }
    for (int i = 0; i < rounds->count; i++)
        maps[i] = ae_class_maps(graph, &parts[i], i + 1);
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, parts[0].outputs[ADL_OUTPUT_LOGITS]);
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, parts[0].outputs[ADL_OUTPUT_FEATURES]);
    adl_graph_set_output(graph, ADL_OUTPUT_CLASS_MAP,
                         adl_map_union(graph, maps, rounds->count, "map_union"));
}

static const struct adl_method_option options[] = {
    {"ae-threshold", ADL_METHOD_NUMBER, 0.7, 0, 1, .metavar = "T",
     .help = "erases pixels where the normalised map of an earlier network is at least this"},
    {0},
};

const struct adl_method adl_method_ae = {
    .name = "ae",
    .follows_progress = true, /* the epochs of the rounds */
    .rounds = ae_rounds,
    .options = options,
};
