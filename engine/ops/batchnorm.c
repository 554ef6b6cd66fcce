/* Batch normalisation with running statistics (inference).
 * Ioffe & Szegedy 2015; PyTorch's BatchNorm2d in eval mode. */

#include <math.h>

#include "base/size.h"
#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

static void forward(const struct adl_op_call *call)
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
 * y = clamp((x - m) * s * w + b) with m and s = 1/sqrt(v + eps) of this batch (v
 * without Bessel's correction); the running variance takes the unbiased one. The
 * clamp is a ReLU that the tape has left to us.
 * Backward, with n values a channel, x^ = (x - m) * s and g = dy where y was not
 * clamped: db = sum g, dw = sum g x^, dx = w s (g - db/n - x^ dw/n);
 * with frozen statistics dx = w s g.
 *
 * Saved: m and s. Each pass goes over the map once, in pieces fixed by the shape
 * that stay in a core's cache; their sums are joined in order. Forward, a piece
 * has squares about its own mean t; about m they are, with n' values of sum S,
 *   sum (x - t)^2 + 2 (t - m) (S - n' t) + n' (t - m)^2.
 * Scratch: three doubles a channel and piece; five factors a channel. */

#define PIECE_FLOATS ((size_t)32768)
#define RUN_PIXELS ((size_t)16)

static size_t pixels_of(const struct adl_train_call *call)
{
    return (size_t)call->batch * (size_t)call->out_shape.h * (size_t)call->out_shape.w;
}

static size_t piece_pixels(const struct adl_train_call *call)
{
    size_t runs = PIECE_FLOATS / RUN_PIXELS / (size_t)call->out_shape.c;
    return ADL_MAX(runs, (size_t)1) * RUN_PIXELS;
}

static size_t piece_count(const struct adl_train_call *call)
{
    return (pixels_of(call) + piece_pixels(call) - 1) / piece_pixels(call);
}

static void for_pieces(const struct adl_train_call *call, adl_train_body *body)
{
    adl_train_pieces(call, pixels_of(call), piece_pixels(call), body);
}

static size_t saved_floats(const struct adl_node *node, int batch, const struct adl_shape *in,
                           struct adl_shape out)
{
    (void)node;
    (void)batch;
    (void)in;
    return 2 * (size_t)out.c;
}

static size_t scratch_floats(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    return piece_count(call) * 3 * channels * (sizeof(double) / sizeof(float)) + 5 * channels;
}

/* Of a piece, by channel: a sum, a second one, and room for its means. */
static double *sums_of(const struct adl_train_call *call, size_t piece)
{
    return (double *)(void *)call->scratch + piece * 3 * (size_t)call->out_shape.c;
}

static const float *input_at(const struct adl_train_call *call, size_t pixel)
{
    return call->in[0] + pixel * (size_t)call->out_shape.c;
}

static void moments_piece(const struct adl_train_call *call, size_t piece, size_t first,
                          size_t last)
{
    size_t channels = (size_t)call->out_shape.c;
    double *sums = sums_of(call, piece);
    call->kernels->moments(input_at(call, first), last - first, channels, sums, sums + channels,
                           (float *)(void *)(sums + 2 * channels));
}

static double piece_total(const struct adl_train_call *call, size_t index)
{
    double total = 0;
    for (size_t piece = 0; piece < piece_count(call); piece++)
        total += sums_of(call, piece)[index];
    return total;
}

/* Sum of (x - m)^2 from the pieces' sums about their own means. */
static double squares_about(const struct adl_train_call *call, size_t c, double m)
{
    size_t channels = (size_t)call->out_shape.c, left = pixels_of(call);
    double total = 0;
    for (size_t piece = 0; left > 0; piece++) {
        const double *sums = sums_of(call, piece);
        size_t pixels = ADL_MIN(left, piece_pixels(call));
        double n = (double)pixels,
               t = (double)((const float *)(const void *)(sums + 2 * channels))[c];
        total += sums[channels + c] + 2 * (t - m) * (sums[c] - n * t) + n * (t - m) * (t - m);
        left -= pixels;
    }
    return total;
}

static void batch_statistics(const struct adl_train_call *call)
{
    const struct adl_batchnorm_attr *a = call->node->attr;
    size_t channels = (size_t)call->out_shape.c, n = pixels_of(call);
    float *mean = call->saved, *inverse = call->saved + channels;
    float *running_mean = call->params[2], *running_var = call->params[3];
    double momentum = call->mode->bn_momentum;

    for_pieces(call, moments_piece);
    for (size_t c = 0; c < channels; c++) {
        double m = piece_total(call, c) / (double)n;
        double squares = squares_about(call, c, m);
        double var = squares / (double)n, unbiased = n > 1 ? squares / (double)(n - 1) : var;
        mean[c] = (float)m;
        inverse[c] = (float)(1 / sqrt(var + a->eps));
        running_mean[c] = (float)((1 - momentum) * (double)running_mean[c] + momentum * m);
        running_var[c] = (float)((1 - momentum) * (double)running_var[c] + momentum * unbiased);
    }
}

static void running_statistics(const struct adl_train_call *call)
{
    const struct adl_batchnorm_attr *a = call->node->attr;
    size_t channels = (size_t)call->out_shape.c;
    for (size_t c = 0; c < channels; c++) {
        call->saved[c] = call->params[2][c];
        call->saved[channels + c] = (float)(1 / sqrt((double)call->params[3][c] + a->eps));
    }
}

/* Per-channel factors of a pass, behind the sums: `index` 0..4. */
static float *factors_of(const struct adl_train_call *call, size_t index)
{
    return (float *)(void *)sums_of(call, piece_count(call)) + index * (size_t)call->out_shape.c;
}

/* Before the clamp, y = x * (s w) + (b - m s w): factors 0 and 1. */
static void output_factors(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    const float *mean = call->saved, *inverse = mean + channels;
    float *scale = factors_of(call, 0), *shift = factors_of(call, 1);
    for (size_t c = 0; c < channels; c++) {
        scale[c] = inverse[c] * call->params[0][c];
        shift[c] = (float)((double)call->params[1][c] - (double)mean[c] * (double)scale[c]);
    }
}

static struct adl_norm norm_of(const struct adl_train_call *call)
{
    return (struct adl_norm){.scale = factors_of(call, 0),
                             .shift = factors_of(call, 1),
                             .mean = call->saved,
                             .lo = call->lo,
                             .hi = call->hi};
}

static void normalise_piece(const struct adl_train_call *call, size_t piece, size_t first,
                            size_t last)
{
    (void)piece;
    size_t channels = (size_t)call->out_shape.c;
    call->kernels->pointwise(&(struct adl_pointwise){.x = input_at(call, first),
                                                     .ldx = channels,
                                                     .scale = factors_of(call, 0),
                                                     .shift = factors_of(call, 1),
                                                     .out = call->out + first * channels,
                                                     .ldo = channels,
                                                     .pixels = last - first,
                                                     .channels = channels,
                                                     .lo = call->lo,
                                                     .hi = call->hi});
}

/* From x and what is saved. */
static void batchnorm_recompute(const struct adl_train_call *call)
{
    output_factors(call);
    for_pieces(call, normalise_piece);
}

static void train_forward(const struct adl_train_call *call)
{
    if (call->mode->frozen_batchnorm)
        running_statistics(call);
    else
        batch_statistics(call);
    batchnorm_recompute(call);
}

/* Sums of g and of g (x - m). */
static void products_piece(const struct adl_train_call *call, size_t piece, size_t first,
                           size_t last)
{
    size_t channels = (size_t)call->out_shape.c;
    struct adl_norm norm = norm_of(call);
    double *sums = sums_of(call, piece);
    call->kernels->products(input_at(call, first), call->grad_out + first * channels, &norm,
                            last - first, channels, sums, sums + channels);
}

static void input_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    size_t channels = (size_t)call->out_shape.c;
    struct adl_norm norm = norm_of(call);
    struct adl_norm_back back = {factors_of(call, 2), factors_of(call, 3), factors_of(call, 4)};
    call->kernels->affine2(input_at(call, first), call->grad_out + first * channels, &norm, &back,
                           last - first, channels, call->grad_in[0] + first * channels,
                           call->add_in[0]);
}

/* Gradients of weight and bias, and dx as kx x + kdy g + k: the definition's
 * terms collected (factors 2 to 4). */
static void gradients(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    const float *mean = call->saved, *inverse = mean + channels;
    float *kx = factors_of(call, 2), *kdy = factors_of(call, 3), *k = factors_of(call, 4);
    double n = (double)pixels_of(call);
    for (size_t c = 0; c < channels; c++) {
        double db = piece_total(call, c);
        double dw = piece_total(call, channels + c) * (double)inverse[c];
        double scale = (double)call->params[0][c] * (double)inverse[c];
        call->grad_params[0][c] += (float)dw;
        call->grad_params[1][c] += (float)db;
        if (call->mode->frozen_batchnorm)
            db = dw = 0;
        kdy[c] = (float)scale;
        kx[c] = (float)(-scale * (double)inverse[c] * dw / n);
        k[c] = (float)(-scale * db / n - (double)kx[c] * (double)mean[c]);
    }
}

static void train_backward(const struct adl_train_call *call)
{
    output_factors(call);
    for_pieces(call, products_piece);
    gradients(call);
    if (call->grad_in[0])
        for_pieces(call, input_piece);
}

static const struct adl_op_train training = {.clamps = true,
                                             .saved_floats = saved_floats,
                                             .scratch_floats = scratch_floats,
                                             .forward = train_forward,
                                             .backward = train_backward,
                                             .recompute = batchnorm_recompute};

const struct adl_op_def adl_op_batchnorm = {
    .name = "batchnorm", .infer = adl_infer_same, .forward = forward, .train = &training};

int adl_batchnorm(struct adl_graph *graph, int input, const char *name, double eps)
{
    static const struct {
        const char *suffix;
        enum adl_param_role role;
    } rows[] = {{"weight", ADL_PARAM_BN_WEIGHT},
                {"bias", ADL_PARAM_BN_BIAS},
                {"running_mean", ADL_PARAM_BN_MEAN},
                {"running_var", ADL_PARAM_BN_VAR}};
    struct adl_batchnorm_attr attr = {eps};
    int params[4];

    if (input < 0)
        return -1;
    size_t channels = (size_t)adl_graph_value(graph, input)->shape.c;
    for (int i = 0; i < 4; i++)
        params[i] = adl_graph_add_param(graph, adl_graph_name(graph, "%s.%s", name, rows[i].suffix),
                                        rows[i].role, 1, &channels);
    return adl_graph_add(graph, name, &adl_op_batchnorm, &attr, sizeof attr, &input, 1, params, 4);
}
