/* Batch normalisation (Ioffe & Szegedy, "Batch Normalization", 2015), as PyTorch's
 * BatchNorm2d. For each channel c over the n = N H W values of a batch of N x H x W x C,
 *
 *     y = (x - m) s w + b,   s = 1 / sqrt(v + eps)
 *
 * where w and b are learned. At inference m and v are the running statistics, and the
 * plan folds the whole op into the convolution before it. In training they are the mean
 * and the variance of this batch (divided by n: no Bessel's correction), and
 *
 *     running mean <- (1 - momentum) running mean + momentum m
 *     running var  <- (1 - momentum) running var  + momentum v n / (n - 1)
 *
 * Backward, with x^ = (x - m) s and g the gradient of y:
 *
 *     db = sum g,   dw = sum g x^,   dx = w s (g - db / n - x^ dw / n)
 *
 * the last two terms being the gradient through m and v; with frozen statistics
 * dx = w s g. */

#include <math.h>

#include "base/size.h"
#include "kernels/bf16.h"
#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

static void batchnorm_forward(const struct adl_op_call *call)
{
    const struct adl_batchnorm_attr *a = call->node->attr;
    const float *weight = call->params[0], *bias = call->params[1];
    const float *mean = call->params[2], *var = call->params[3];
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = (size_t)call->batch * adl_shape_count(call->out_shape) / channels;

    for (size_t c = 0; c < channels; c++) {
        double scale = (double)weight[c] / sqrt((double)var[c] + a->eps);
        for (size_t i = 0; i < pixels; i++)
            call->out[i * channels + c] =
                (float)(((double)call->in[0][i * channels + c] - (double)mean[c]) * scale +
                        (double)bias[c]);
    }
}

/* --- training -----------------------------------------------------------------------
 *
 * There are few operations for each value, so what counts is how often a map goes through
 * memory: twice forward (statistics, output) and twice backward (sums, dx). A ReLU that is
 * the only reader of the output is therefore applied here, y = clamp(.., lo, hi), and g is dy
 * where y was not clamped, else 0. Only m and s are saved; the tape may discard y and have it
 * recomputed from x.
 *
 * The map is divided into pieces of about 32768 values, a number of whole pixels that the
 * shape determines. Each piece is summed by one task, and the sums are joined in order: the
 * result does not depend on the number of threads. One pass over a piece gives the sum and
 * the squares about the piece's own mean t, which loses no precision to cancellation as sum
 * x^2 - n m^2 would. About the mean m of the whole batch, the squares of a piece of n' values
 * with the sum S are
 *
 *     sum (x - m)^2 = sum (x - t)^2 + 2 (t - m) (S - n' t) + n' (t - m)^2.
 *
 * A batch in several parts (call->joint) needs the same sums of all of them: n, and for each
 * channel sum (x - t) and sum (x - t)^2 forward, sum g and sum g (x - m) backward. Here t is the
 * running mean, which all parts know; the sums are in double, so a t that is far from m costs
 * nothing that a float would show.
 *
 * Where x is in bfloat16, a piece of it is widened at a time, in the cache, so that less goes
 * through memory than in float32.
 *
 * Scratch: for each piece three doubles a channel (two sums and, in the memory of the third,
 * the mean t as a float), then five floats a channel ("factors"), then, where x may be in bfloat16,
 * a piece of x for each thread. */

#define PIECE_FLOATS ((size_t)32768)
#define RUN_PIXELS ((size_t)16)

static size_t batchnorm_pixels(const struct adl_train_call *call)
{
    return (size_t)call->batch * (size_t)call->out_shape.h * (size_t)call->out_shape.w;
}

/* Returns the pixels of a piece, a multiple of RUN_PIXELS. */
static size_t batchnorm_piece_pixels(const struct adl_train_call *call)
{
    size_t runs = PIECE_FLOATS / RUN_PIXELS / (size_t)call->out_shape.c;
    return ADL_MAX(runs, (size_t)1) * RUN_PIXELS;
}

static size_t batchnorm_piece_count(const struct adl_train_call *call)
{
    return (batchnorm_pixels(call) + batchnorm_piece_pixels(call) - 1) /
           batchnorm_piece_pixels(call);
}

static void batchnorm_for_pieces(const struct adl_train_call *call, adl_train_worker_body *body)
{
    adl_train_worker_pieces(call, batchnorm_pixels(call), batchnorm_piece_pixels(call), body);
}

static size_t batchnorm_saved(const struct adl_node *node, int batch, const struct adl_shape *in,
                              struct adl_shape out)
{
    (void)node;
    (void)batch;
    (void)in;
    return 2 * (size_t)out.c;
}

static size_t batchnorm_scratch(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t widened = batchnorm_piece_pixels(call) * channels;
    return batchnorm_piece_count(call) * 3 * channels * (sizeof(double) / sizeof(float)) +
           5 * channels + (call->frugal ? widened * (size_t)adl_pool_threads(call->pool) : 0);
}

/* Returns the sums of a piece: 3 x C. */
static double *batchnorm_sums(const struct adl_train_call *call, size_t piece)
{
    return (double *)(void *)call->scratch + piece * 3 * (size_t)call->out_shape.c;
}

/* Returns the pixels from `first` to `last` of x, at most a piece, widened if need be. */
static const float *batchnorm_input(const struct adl_train_call *call, size_t first, size_t last,
                                    int worker)
{
    size_t channels = (size_t)call->out_shape.c;
    if (!call->narrow_in)
        return call->in[0] + first * channels;
    float *widened = (float *)(void *)batchnorm_sums(call, batchnorm_piece_count(call)) +
                     5 * channels + (size_t)worker * batchnorm_piece_pixels(call) * channels;
    call->kernels->bf16->widen_map(call->narrow_in + first * channels, (last - first) * channels,
                                   widened);
    return widened;
}

static void batchnorm_moments_piece(const struct adl_train_call *call, size_t piece, size_t first,
                                    size_t last, int worker)
{
    size_t channels = (size_t)call->out_shape.c;
    double *sums = batchnorm_sums(call, piece);
    call->kernels->moments(batchnorm_input(call, first, last, worker), last - first, channels, sums,
                           sums + channels, (float *)(void *)(sums + 2 * channels));
}

/* Returns one of the sums, added up over all pieces. */
static double batchnorm_piece_total(const struct adl_train_call *call, size_t index)
{
    double total = 0;
    for (size_t piece = 0; piece < batchnorm_piece_count(call); piece++)
        total += batchnorm_sums(call, piece)[index];
    return total;
}

/* Returns the sum of (x - m)^2 in channel c over all pieces, by the formula above. */
static double batchnorm_squares_about(const struct adl_train_call *call, size_t c, double m)
{
    size_t channels = (size_t)call->out_shape.c, left = batchnorm_pixels(call);
    double total = 0;
    for (size_t piece = 0; left > 0; piece++) {
        const double *sums = batchnorm_sums(call, piece);
        size_t pixels = ADL_MIN(left, batchnorm_piece_pixels(call));
        double n = (double)pixels,
               t = (double)((const float *)(const void *)(sums + 2 * channels))[c];
        total += sums[channels + c] + 2 * (t - m) * (sums[c] - n * t) + n * (t - m) * (t - m);
        left -= pixels;
    }
    return total;
}

/* Updates the running statistics of channel c, unless the node is a copy, with the mean m of n
 * values and the sum of their squares about it. Returns s. */
static double batchnorm_keep(const struct adl_train_call *call, size_t c, double m, double squares,
                             double n)
{
    const struct adl_batchnorm_attr *a = call->node->attr;
    float *running_mean = call->params[2], *running_var = call->params[3];
    double var = squares / n, unbiased = n > 1 ? squares / (n - 1) : var;
    double momentum =
        a->momentum > 0 && !call->mode->bn_momentum_for_all ? a->momentum : call->mode->bn_momentum;

    if (!call->node->copy) {
        running_mean[c] = (float)((1 - momentum) * (double)running_mean[c] + momentum * m);
        running_var[c] = (float)((1 - momentum) * (double)running_var[c] + momentum * unbiased);
    }
    return 1 / sqrt(var + a->eps);
}

/* Saves m and s of the batch and updates the running statistics. */
static void batchnorm_batch_statistics(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c, n = batchnorm_pixels(call);
    float *mean = call->saved, *inverse = call->saved + channels;

    batchnorm_for_pieces(call, batchnorm_moments_piece);
    for (size_t c = 0; c < channels; c++) {
        double m = batchnorm_piece_total(call, c) / (double)n;
        double squares = batchnorm_squares_about(call, c, m);
        mean[c] = (float)m;
        inverse[c] = (float)batchnorm_keep(call, c, m, squares, (double)n);
    }
}

/* Returns whether the node normalises by the running statistics and leaves them as they are. */
static bool batchnorm_is_frozen(const struct adl_train_call *call)
{
    const struct adl_train_mode *mode = call->mode;
    return mode->frozen_batchnorm ||
           (mode->frozen_params && mode->frozen_params[call->node->params[2]]);
}

/* The sums of a batch in several parts: n, and two for each channel. */
static size_t batchnorm_joint_doubles(const struct adl_train_call *call)
{
    return batchnorm_is_frozen(call) ? 0 : 1 + 2 * (size_t)call->out_shape.c;
}

static void batchnorm_forward_sums(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    double n = (double)batchnorm_pixels(call), *sums = call->joint + 1;

    batchnorm_for_pieces(call, batchnorm_moments_piece);
    call->joint[0] = n;
    for (size_t c = 0; c < channels; c++) {
        double t = (double)call->params[2][c];
        sums[c] = batchnorm_piece_total(call, c) - n * t;
        sums[channels + c] = batchnorm_squares_about(call, c, t);
    }
}

/* Replaces the joined sums by m and s. */
static void batchnorm_forward_joined(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    double n = call->joint[0], *sums = call->joint + 1;

    for (size_t c = 0; n > 0 && c < channels; c++) {
        double d = sums[c] / n, m = (double)call->params[2][c] + d;
        double squares = fmax(sums[channels + c] - n * d * d, 0);
        sums[c] = m;
        sums[channels + c] = batchnorm_keep(call, c, m, squares, n);
    }
}

/* Saves m and s of the batch that this one is a part of. */
static void batchnorm_joint_statistics(const struct adl_train_call *call)
{
    for (size_t i = 0; i < 2 * (size_t)call->out_shape.c; i++)
        call->saved[i] = (float)call->joint[1 + i];
}

/* With frozen statistics: saves m and s of the running statistics, which stay unchanged. */
static void batchnorm_running_statistics(const struct adl_train_call *call)
{
    const struct adl_batchnorm_attr *a = call->node->attr;
    size_t channels = (size_t)call->out_shape.c;
    for (size_t c = 0; c < channels; c++) {
        call->saved[c] = call->params[2][c];
        call->saved[channels + c] = (float)(1 / sqrt((double)call->params[3][c] + a->eps));
    }
}

/* Returns an array of factors by channel. They lie after the sums of the last piece: 0 and 1
 * are the scale and shift of the output, 2 to 4 the factors of dx. */
static float *batchnorm_factors(const struct adl_train_call *call, size_t index)
{
    return (float *)(void *)batchnorm_sums(call, batchnorm_piece_count(call)) +
           index * (size_t)call->out_shape.c;
}

/* Computes the factors of y = x scale + shift: scale = s w and shift = b - m s w. */
static void batchnorm_output_factors(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    const float *mean = call->saved, *inverse = mean + channels;
    float *scale = batchnorm_factors(call, 0), *shift = batchnorm_factors(call, 1);
    for (size_t c = 0; c < channels; c++) {
        scale[c] = inverse[c] * call->params[0][c];
        shift[c] = (float)((double)call->params[1][c] - (double)mean[c] * (double)scale[c]);
    }
}

static struct adl_norm batchnorm_norm(const struct adl_train_call *call)
{
    return (struct adl_norm){.scale = batchnorm_factors(call, 0),
                             .shift = batchnorm_factors(call, 1),
                             .mean = call->saved,
                             .lo = call->lo,
                             .hi = call->hi};
}

static void batchnorm_normalise_piece(const struct adl_train_call *call, size_t piece, size_t first,
                                      size_t last, int worker)
{
    (void)piece;
    size_t channels = (size_t)call->out_shape.c;
    call->kernels->pointwise(
        &(struct adl_pointwise){.x = batchnorm_input(call, first, last, worker),
                                .ldx = channels,
                                .scale = batchnorm_factors(call, 0),
                                .shift = batchnorm_factors(call, 1),
                                .out = call->out + first * channels,
                                .ldo = channels,
                                .pixels = last - first,
                                .channels = channels,
                                .lo = call->lo,
                                .hi = call->hi});
}

/* Computes the output from x and the saved m and s: the second half of a forward pass. */
static void batchnorm_recompute(const struct adl_train_call *call)
{
    batchnorm_output_factors(call);
    batchnorm_for_pieces(call, batchnorm_normalise_piece);
}

static void batchnorm_train(const struct adl_train_call *call)
{
    if (batchnorm_is_frozen(call))
        batchnorm_running_statistics(call);
    else if (call->joint)
        batchnorm_joint_statistics(call);
    else
        batchnorm_batch_statistics(call);
    batchnorm_recompute(call);
}

/* Sums g and g (x - m) over a piece, by channel. */
static void batchnorm_products_piece(const struct adl_train_call *call, size_t piece, size_t first,
                                     size_t last, int worker)
{
    size_t channels = (size_t)call->out_shape.c;
    struct adl_norm norm = batchnorm_norm(call);
    double *sums = batchnorm_sums(call, piece);
    call->kernels->products(batchnorm_input(call, first, last, worker),
                            call->grad_out + first * channels, &norm, last - first, channels, sums,
                            sums + channels);
}

static void batchnorm_input_piece(const struct adl_train_call *call, size_t piece, size_t first,
                                  size_t last, int worker)
{
    (void)piece;
    size_t channels = (size_t)call->out_shape.c;
    struct adl_norm norm = batchnorm_norm(call);
    struct adl_norm_back back = {batchnorm_factors(call, 2), batchnorm_factors(call, 3),
                                 batchnorm_factors(call, 4)};
    call->kernels->affine2(batchnorm_input(call, first, last, worker),
                           call->grad_out + first * channels, &norm, &back, last - first, channels,
                           call->grad_in[0] + first * channels, call->add_in[0]);
}

/* Sums g and g (x - m) over the map, and adds the gradients of weight and bias. */
static void batchnorm_products(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    const float *inverse = call->saved + channels;

    batchnorm_for_pieces(call, batchnorm_products_piece);
    for (size_t c = 0; c < channels; c++) {
        double db = batchnorm_piece_total(call, c);
        double dw = batchnorm_piece_total(call, channels + c) * (double)inverse[c];
        if (call->grad_params[0])
            call->grad_params[0][c] += (float)dw;
        if (call->grad_params[1])
            call->grad_params[1][c] += (float)db;
    }
}

/* Collects the terms of dx, so that its pass is one multiply-add for each of x and g:
 * dx = kx x + kdy g + k with
 *
 *     kdy = w s,   kx = - w s s dw / n,   k = - w s db / n - kx m. */
static void batchnorm_input_factors(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    const float *mean = call->saved, *inverse = mean + channels;
    float *kx = batchnorm_factors(call, 2), *kdy = batchnorm_factors(call, 3),
          *k = batchnorm_factors(call, 4);
    bool frozen = batchnorm_is_frozen(call);
    const double *joint = frozen ? NULL : call->joint;
    double n = joint ? joint[0] : (double)batchnorm_pixels(call);
    for (size_t c = 0; c < channels; c++) {
        double db = joint ? joint[1 + c] : batchnorm_piece_total(call, c);
        double products =
            joint ? joint[1 + channels + c] : batchnorm_piece_total(call, channels + c);
        double dw = products * (double)inverse[c];
        double scale = (double)call->params[0][c] * (double)inverse[c];
        if (frozen)
            db = dw = 0;
        kdy[c] = (float)scale;
        kx[c] = (float)(-scale * (double)inverse[c] * dw / n);
        k[c] = (float)(-scale * db / n - (double)kx[c] * (double)mean[c]);
    }
}

static void batchnorm_backward_sums(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;

    batchnorm_output_factors(call);
    batchnorm_products(call);
    call->joint[0] = (double)batchnorm_pixels(call);
    for (size_t i = 0; i < 2 * channels; i++)
        call->joint[1 + i] = batchnorm_piece_total(call, i);
}

static void batchnorm_backward(const struct adl_train_call *call)
{
    batchnorm_output_factors(call);
    if (!call->joint)
        batchnorm_products(call);
    batchnorm_input_factors(call);
    if (call->grad_in[0])
        batchnorm_for_pieces(call, batchnorm_input_piece);
}

static const struct adl_op_train training = {.clamps = true,
                                             .widens = true,
                                             .saved_floats = batchnorm_saved,
                                             .scratch_floats = batchnorm_scratch,
                                             .forward = batchnorm_train,
                                             .backward = batchnorm_backward,
                                             .recompute = batchnorm_recompute,
                                             .joint_doubles = batchnorm_joint_doubles,
                                             .forward_sums = batchnorm_forward_sums,
                                             .forward_joined = batchnorm_forward_joined,
                                             .backward_sums = batchnorm_backward_sums};

const struct adl_op_def adl_op_batchnorm = {
    .name = "batchnorm", .infer = adl_infer_same, .forward = batchnorm_forward, .train = &training};

int adl_batchnorm(struct adl_graph *graph, int input, const char *name, double eps)
{
    return adl_batchnorm_with(graph, input, name, (struct adl_batchnorm_attr){.eps = eps});
}

int adl_batchnorm_named(struct adl_graph *graph, int input, const char *name,
                        struct adl_batchnorm_attr attr, const char *const names[4])
{
    static const enum adl_param_role roles[] = {ADL_PARAM_BN_WEIGHT, ADL_PARAM_BN_BIAS,
                                                ADL_PARAM_BN_MEAN, ADL_PARAM_BN_VAR};
    int params[4];

    if (input < 0)
        return -1;
    size_t channels = (size_t)adl_graph_value(graph, input)->shape.c;
    for (int i = 0; i < 4; i++)
        params[i] = adl_graph_add_param(graph, names[i], roles[i], 1, &channels);
    return adl_graph_add(graph, name, &adl_op_batchnorm, &attr, sizeof attr, &input, 1, params, 4);
}

int adl_batchnorm_with(struct adl_graph *graph, int input, const char *name,
                       struct adl_batchnorm_attr attr)
{
    static const char *const suffixes[] = {"weight", "bias", "running_mean", "running_var"};
    const char *names[4];

    for (int i = 0; i < 4; i++)
        names[i] = adl_graph_name(graph, "%s.%s", name, suffixes[i]);
    return adl_batchnorm_named(graph, input, name, attr, names);
}
