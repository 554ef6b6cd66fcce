/* Background Activation Suppression (Wu, Zhai & Cao, CVPR 2022; the loss is that of their extended
 * version). A head on a finer map of the network predicts for each class which positions belong to
 * the object. It learns without boxes: if the map covers the object, the rest of the image does
 * not activate the class any more.
 *
 * With F the map of H x W x C at 1/8 of the input's sides, `upper` the network's layers above it, y
 * the label, and GAP the mean over positions:
 *
 *     A  = classifier(upper(F))                     class map, h x w x classes
 *     z1 = GAP(A)                                   logits
 *     M  = sigmoid(conv3x3(F))                      a map of the object for each class
 *     z2 = GAP(A pool(M[y]))                        logits of the foreground
 *     z' = GAP(classifier(upper(F (1 - M[y]))))     logits of the background
 *
 *     loss = CE(z1, y) + alpha CE(z2, y) + mean over the batch of (b + beta mean(M[y]))
 *     b = relu(z'[y]) / (relu(z1[y]) + 1e-8), or 1 where that is above 1
 *
 * pool brings M[y] to the sides of A by adaptive average pooling (2x2 means where they are half).
 * Without the area term M would grow to 1 everywhere, without b it would shrink to 0.
 *
 * Gradients. The background passes through a copy of upper and classifier: their parameters get
 * no gradient from it, and their batch norms use the erased batch's own statistics but keep the
 * running ones. F is detached where it is erased, and z1[y] where it divides, so b has a gradient
 * through M alone. Where b is 1 it has none.
 *
 * While z1[y] is small, the area term shrinks M unopposed, and a sigmoid near 0 hardly comes back.
 * So training may begin with the classifier alone (--bas-warmup; the published training does not).
 *
 * At inference the class map is M. New convolutions start as Xavier's uniform distribution.
 *
 * The published head of MobileNetV1 has two 3x3 convolutions before the classifier and a 3x3
 * convolution to all classes for M: six times the parameters of the network. With --bas-head light
 * both are one 1x1 convolution, the classifier as without this method. (A depthwise 3x3 convolution
 * before that of M makes it learn much slower than its bias, and M goes to 0.) */

#include <string.h>

#include "base/size.h"
#include "methods/branches.h"
#include "methods/method.h"
#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"
#include "train/loss.h"

/* The options, in the order of the list below. */
enum { ALPHA, BETA, WARMUP, HEAD };

enum { HEAD_PUBLISHED, HEAD_LIGHT };
static const char *const heads[] = {"published", "light", NULL};

/* The taps of the graph, in the order in which they are added. */
enum { TAP_FOREGROUND, TAP_BACKGROUND, TAP_MAP };

#define TINY 1e-8 /* added to the divisor of b */

/* The three ops below run in training alone, and so have no plain forward pass. */

/* --- the label's channel of a map: y[i] = x[i,label] ----------------------------------- */

static int bas_label_infer(const struct adl_node *node, const struct adl_shape *in,
                           struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){in->h, in->w, 1};
    return 0;
}

static size_t bas_label_of(const struct adl_train_call *call, size_t image)
{
    return call->mode->labels ? (size_t)call->mode->labels[image] : 0;
}

static void bas_label_image(const struct adl_train_call *call, size_t image)
{
    size_t classes = (size_t)call->in_shape->c, pixels = adl_shape_count(call->out_shape);
    const float *x = call->in[0] + image * pixels * classes + bas_label_of(call, image);
    for (size_t i = 0; i < pixels; i++)
        call->out[image * pixels + i] = x[i * classes];
}

static void bas_label_image_back(const struct adl_train_call *call, size_t image)
{
    size_t classes = (size_t)call->in_shape->c, pixels = adl_shape_count(call->out_shape);
    float *dx = call->grad_in[0] + image * pixels * classes;
    if (!call->add_in[0])
        memset(dx, 0, pixels * classes * sizeof *dx);
    for (size_t i = 0; i < pixels; i++)
        dx[i * classes + bas_label_of(call, image)] += call->grad_out[image * pixels + i];
}

static void bas_label_train(const struct adl_train_call *call)
{
    adl_train_images(call, bas_label_image);
}

static void bas_label_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, bas_label_image_back);
}

static const struct adl_op_train label_training = {
    .drops_in = true, .forward = bas_label_train, .backward = bas_label_backward};
static const struct adl_op_def op_label = {
    .name = "label_channel", .infer = bas_label_infer, .train = &label_training};

/* --- erasing: y[i,c] = x[i,c] (1 - m[i]), dm[i] (+)= - sum over c of dy[i,c] x[i,c]; x is detached
 * - */

static void bas_erase_image(const struct adl_train_call *call, size_t image)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    const float *x = call->in[0] + image * pixels * channels, *m = call->in[1] + image * pixels;
    float *y = call->out + image * pixels * channels;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            y[i * channels + c] = x[i * channels + c] * (1 - m[i]);
}

static void bas_erase_image_back(const struct adl_train_call *call, size_t image)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    const float *x = call->in[0] + image * pixels * channels;
    const float *dy = call->grad_out + image * pixels * channels;
    float *dm = call->grad_in[1] + image * pixels;
    for (size_t i = 0; i < pixels; i++) {
        double sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += (double)dy[i * channels + c] * (double)x[i * channels + c];
        dm[i] = (call->add_in[1] ? dm[i] : 0) - (float)sum;
    }
}

static void bas_erase_train(const struct adl_train_call *call)
{
    adl_train_images(call, bas_erase_image);
}

static void bas_erase_backward(const struct adl_train_call *call)
{
    if (call->grad_in[1])
        adl_train_images(call, bas_erase_image_back);
}

static const struct adl_op_train erase_training = {
    .detached = 1u << 0, .forward = bas_erase_train, .backward = bas_erase_backward};
static const struct adl_op_def op_erase = {
    .name = "erase", .infer = adl_infer_same, .train = &erase_training};

/* --- pooling under a map ------------------------------------------------------------------
 *
 * With x of h x w x C, m of H x W x 1, and p[i] the mean of m over the window of position i,
 *
 *     y[c] = 1 / (h w) sum over i of x[i,c] p[i]
 *     dx[i,c] (+)= dy[c] p[i] / (h w),   dp[i] = 1 / (h w) sum over c of dy[c] x[i,c],
 *     dm[j] (+)= sum of dp[i] / size of the window over the windows i that hold j. */

/* The rows or columns of m that belong to one of x: those of PyTorch's AdaptiveAvgPool2d. */
struct span {
    int first, last; /* the last is not part of it */
};

static struct span bas_span(int i, int count, int from)
{
    return (struct span){i * from / count, ((i + 1) * from + count - 1) / count};
}

static int bas_foreground_infer(const struct adl_node *node, const struct adl_shape *in,
                                struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){1, 1, in[0].c};
    return 0;
}

/* Returns the mean of m over a window. */
static float bas_window_mean(const float *m, int width, struct span rows, struct span columns)
{
    double sum = 0;
    for (int y = rows.first; y < rows.last; y++)
        for (int x = columns.first; x < columns.last; x++)
            sum += (double)m[y * width + x];
    return (float)(sum / ((rows.last - rows.first) * (columns.last - columns.first)));
}

static void bas_foreground_image(const struct adl_train_call *call, size_t image)
{
    struct adl_shape map = call->in_shape[0], fine = call->in_shape[1];
    size_t channels = (size_t)map.c;
    const float *x = call->in[0] + image * adl_shape_count(map);
    const float *m = call->in[1] + image * adl_shape_count(fine);
    float *y = call->out + image * channels;
    memset(y, 0, channels * sizeof *y);
    for (int row = 0; row < map.h; row++)
        for (int column = 0; column < map.w; column++, x += channels) {
            float p = bas_window_mean(m, fine.w, bas_span(row, map.h, fine.h),
                                      bas_span(column, map.w, fine.w));
            for (size_t c = 0; c < channels; c++)
                y[c] += x[c] * p;
        }
    for (size_t c = 0; c < channels; c++)
        y[c] /= (float)(map.h * map.w);
}

/* Adds a gradient to all of a window. */
static void bas_window_add(float *dm, int width, struct span rows, struct span columns, double dp)
{
    double share = dp / ((rows.last - rows.first) * (columns.last - columns.first));
    for (int y = rows.first; y < rows.last; y++)
        for (int x = columns.first; x < columns.last; x++)
            dm[y * width + x] += (float)share;
}

static void bas_foreground_image_back(const struct adl_train_call *call, size_t image)
{
    struct adl_shape map = call->in_shape[0], fine = call->in_shape[1];
    size_t channels = (size_t)map.c;
    double count = (double)map.h * (double)map.w;
    const float *x = call->in[0] + image * adl_shape_count(map);
    const float *m = call->in[1] + image * adl_shape_count(fine);
    const float *dy = call->grad_out + image * channels;
    float *dx = call->grad_in[0] ? call->grad_in[0] + image * adl_shape_count(map) : NULL;
    float *dm = call->grad_in[1] ? call->grad_in[1] + image * adl_shape_count(fine) : NULL;
    if (dm && !call->add_in[1])
        memset(dm, 0, adl_shape_count(fine) * sizeof *dm);
    for (int row = 0; row < map.h; row++)
        for (int column = 0; column < map.w; column++, x += channels) {
            struct span rows = bas_span(row, map.h, fine.h),
                        columns = bas_span(column, map.w, fine.w);
            float p = (float)((double)bas_window_mean(m, fine.w, rows, columns) / count);
            double dp = 0;
            for (size_t c = 0; c < channels; c++)
                dp += (double)dy[c] * (double)x[c];
            for (size_t c = 0; dx && c < channels; c++)
                dx[c] = (call->add_in[0] ? dx[c] : 0) + dy[c] * p;
            dx = dx ? dx + channels : NULL;
            if (dm)
                bas_window_add(dm, fine.w, rows, columns, dp / count);
        }
}

static void bas_foreground_train(const struct adl_train_call *call)
{
    adl_train_images(call, bas_foreground_image);
}

static void bas_foreground_backward(const struct adl_train_call *call)
{
    adl_train_images(call, bas_foreground_image_back);
}

static const struct adl_op_train foreground_training = {.forward = bas_foreground_train,
                                                        .backward = bas_foreground_backward};
static const struct adl_op_def op_foreground = {
    .name = "foreground_avgpool", .infer = bas_foreground_infer, .train = &foreground_training};

/* --- the network ---------------------------------------------------------------------- */

static int bas_add(struct adl_graph *graph, const char *name, const struct adl_op_def *def,
                   const int *inputs, int count)
{
    return adl_graph_add(graph, name, def, NULL, 0, inputs, count, NULL, 0);
}

/* Appends everything from F to the class map A. Names are those of the authors' code. */
static int bas_class_map(struct adl_graph *graph, const struct adl_method_base *base, int input)
{
    int x = base->upper(graph, base->context, input);
    if (base->values[HEAD].integer == HEAD_LIGHT)
        return adl_branch_conv(graph, x, "classifier_cls", base->num_classes, 1, true);
    return adl_branch_classifier(graph, x, "classifier_cls", base->head_channels, base->num_classes,
                                 true);
}

/* Appends the map of the object for each class, M. */
static int bas_object_maps(struct adl_graph *graph, const struct adl_method_base *base)
{
    const int side = base->values[HEAD].integer == HEAD_LIGHT ? 1 : 3;
    int x =
        adl_branch_conv(graph, base->features, "classifier_loc.0", base->num_classes, side, true);
    return adl_sigmoid(graph, x, "classifier_loc.1");
}

static void bas_branches(struct adl_graph *graph, const struct adl_method_base *base)
{
    int features = base->features;
    int class_map = bas_class_map(graph, base, features);
    int logits = adl_global_avgpool(graph, class_map, "avgpool");
    int maps = bas_object_maps(graph, base);
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, logits);
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, features);
    adl_graph_set_output(graph, ADL_OUTPUT_CLASS_MAP, maps);

    int map = bas_add(graph, "label_map", &op_label, &maps, 1);
    int foreground = bas_add(graph, "foreground", &op_foreground, (const int[]){class_map, map}, 2);
    int erased = bas_add(graph, "background", &op_erase, (const int[]){features, map}, 2);
    adl_graph_begin_copy(graph, "background");
    int background = adl_global_avgpool(graph, bas_class_map(graph, base, erased), "avgpool");
    adl_graph_end_copy(graph);
    adl_graph_add_tap(graph, foreground);
    adl_graph_add_tap(graph, background);
    adl_graph_add_tap(graph, map);
}

/* --- the loss ---------------------------------------------------------------------------- */

/* Returns the sum of b over the batch, and writes the gradient of its mean. */
static double bas_background_loss(const float *logits, const float *background, const int *labels,
                                  size_t images, size_t classes, float *grad)
{
    double sum = 0;
    memset(grad, 0, images * classes * sizeof *grad);
    for (size_t n = 0; n < images; n++) {
        size_t label = n * classes + (size_t)labels[n];
        double whole = logits[label] > 0 ? (double)logits[label] : 0;
        double rest = background[label] > 0 ? (double)background[label] : 0;
        if (rest > whole) {
            sum += 1;
            continue;
        }
        sum += rest / (whole + TINY);
        if (rest > 0)
            grad[label] = (float)(1 / (whole + TINY) / (double)images);
    }
    return sum;
}

static double bas_loss(struct adl_tape *tape, const struct adl_targets *targets,
                       const union adl_method_value *values, size_t *right)
{
    const struct adl_graph *graph = adl_tape_graph(tape);
    double alpha = values[ALPHA].number, beta = values[BETA].number, area = 0;
    struct adl_shape map = adl_tape_shape(tape, adl_graph_tap(graph, TAP_MAP));
    size_t images = (size_t)adl_tape_batch(tape), positions = images * adl_shape_count(map);
    size_t classes = (size_t)adl_tape_shape(tape, adl_graph_tap(graph, TAP_FOREGROUND)).c;
    const float *logits = adl_tape_logits(tape), *m = adl_tape_tap(tape, TAP_MAP);
    float *foreground_grad = adl_tape_tap_grad(tape, TAP_FOREGROUND);
    float *map_grad = adl_tape_tap_grad(tape, TAP_MAP);

    double loss =
        adl_cross_entropy(logits, targets, images, classes, adl_tape_logits_grad(tape), right);
    loss += alpha * adl_cross_entropy(adl_tape_tap(tape, TAP_FOREGROUND), targets, images, classes,
                                      foreground_grad, NULL);
    for (size_t i = 0; i < images * classes; i++)
        foreground_grad[i] *= (float)alpha;
    loss += bas_background_loss(logits, adl_tape_tap(tape, TAP_BACKGROUND), targets->labels, images,
                                classes, adl_tape_tap_grad(tape, TAP_BACKGROUND)) /
            (double)images;
    for (size_t i = 0; i < positions; i++) {
        area += (double)m[i];
        map_grad[i] = (float)(beta / (double)positions);
    }
    return loss + beta * area / (double)positions;
}

/* --- options ----------------------------------------------------------------------------- */

static bool bas_takes_part(const union adl_method_value *values, double epochs)
{
    return epochs >= values[WARMUP].number;
}

/* At ten times the rate of 0.01 the published head's map became 1 everywhere within three epochs.
 * The light head has fewer weights for each output, and learns about as much slower. */
static double bas_new_layers_ratio(const union adl_method_value *values)
{
    return values[HEAD].integer == HEAD_LIGHT ? 0 : 1;
}

static const struct adl_method_option options[] = {
    {"bas-alpha", ADL_METHOD_NUMBER, 0.5, 0, 100, .metavar = "A",
     .help = "weight of the cross-entropy of the foreground's logits"},
    {"bas-beta", ADL_METHOD_NUMBER, 1.5, 0, 100, .metavar = "B",
     .help = "weight of the area of the label's map; more makes smaller boxes"},
    {"bas-warmup", ADL_METHOD_NUMBER, 1, 0, 100000, .metavar = "EPOCHS",
     .help = "epochs in which the classifier alone learns, before its scores train the map"},
    {"bas-head", ADL_METHOD_CHOICE, HEAD_PUBLISHED, 0, 0, .choices = heads, .metavar = "WHICH",
     .in_network = true,
     .help = "layers of the head: those of the authors, or few with hardly any parameters"},
    {0},
};

const struct adl_method adl_method_bas = {.name = "bas",
                                          /* Three new convolutions without batch norm stand
                                           * before the logits: at the learning rate of a new
                                           * classifier their gradients can grow without end. */
                                          .clip_norm = 10,
                                          .new_layers_ratio = bas_new_layers_ratio,
                                          .branches = bas_branches,
                                          .loss = bas_loss,
                                          .takes_part = bas_takes_part,
                                          .options = options};
