/* Batch normalisation with running statistics (inference).
 * Ioffe & Szegedy 2015; PyTorch's BatchNorm2d in eval mode. */

#include <math.h>

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
 * y = (x - m) * s * w + b with m and s = 1/sqrt(v + eps) of this batch (v without
 * Bessel's correction); the running variance takes the unbiased one.
 * Backward, with n values a channel and x^ = (x - m) * s:
 *   db = sum dy, dw = sum dy x^, dx = w s (dy - db/n - x^ dw/n);
 * with frozen statistics dx = w s dy.
 *
 * Saved: m and s. Sums over the pixels are made in pieces fixed by the shape,
 * each piece in float32 over few pixels and double above, and joined in order.
 * Scratch: two sums per channel and piece, in double; three factors a channel. */

#define PIECE_PIXELS ((size_t)512)

static size_t pixels_of(const struct adl_train_call *call)
{
    return (size_t)call->batch * (size_t)call->out_shape.h * (size_t)call->out_shape.w;
}

static size_t saved_floats(const struct adl_node *node, int batch, const struct adl_shape *in,
                           struct adl_shape out)
{
    (void)node;
    (void)batch;
    (void)in;
    return 2 * (size_t)out.c;
}

static size_t piece_count(const struct adl_train_call *call)
{
    return (pixels_of(call) + PIECE_PIXELS - 1) / PIECE_PIXELS;
}

static size_t scratch_floats(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    return piece_count(call) * 2 * channels * (sizeof(double) / sizeof(float)) + 3 * channels;
}

/* The two sums of a piece, per channel. */
static double *sums_of(const struct adl_train_call *call, size_t piece)
{
    return (double *)(void *)call->scratch + piece * 2 * (size_t)call->out_shape.c;
}

static const float *input_at(const struct adl_train_call *call, size_t pixel)
{
    return call->in[0] + pixel * (size_t)call->out_shape.c;
}

static void sum_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    call->kernels->sum(input_at(call, first), last - first, (size_t)call->out_shape.c,
                       sums_of(call, piece));
}

static void square_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    call->kernels->square(input_at(call, first), call->saved, last - first,
                          (size_t)call->out_shape.c, sums_of(call, piece));
}

/* Joins the pieces' sums, `count` of them, into the first one's. */
static double *join_pieces(const struct adl_train_call *call, size_t count)
{
    double *total = sums_of(call, 0);
    for (size_t piece = 1; piece < piece_count(call); piece++) {
        const double *sums = sums_of(call, piece);
        for (size_t c = 0; c < count; c++)
            total[c] += sums[c];
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

    adl_train_pieces(call, n, PIECE_PIXELS, sum_piece);
    double *sums = join_pieces(call, channels);
    for (size_t c = 0; c < channels; c++)
        mean[c] = (float)(sums[c] / (double)n);
    adl_train_pieces(call, n, PIECE_PIXELS, square_piece);
    sums = join_pieces(call, channels);
    for (size_t c = 0; c < channels; c++) {
        double var = sums[c] / (double)n;
        double unbiased = n > 1 ? sums[c] / (double)(n - 1) : var;
        inverse[c] = (float)(1 / sqrt(var + a->eps));
        running_mean[c] =
            (float)((1 - momentum) * (double)running_mean[c] + momentum * (double)mean[c]);
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

/* Per-channel factors of a pass, behind the sums: `index` 0..2. */
static float *factors_of(const struct adl_train_call *call, size_t index)
{
    return (float *)(void *)sums_of(call, piece_count(call)) + index * (size_t)call->out_shape.c;
}

/* y = x * (s w) + (b - m s w) */
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
                                                     .lo = -INFINITY,
                                                     .hi = INFINITY});
}

static void train_forward(const struct adl_train_call *call)
{
    if (call->mode->frozen_batchnorm)
        running_statistics(call);
    else
        batch_statistics(call);
    size_t channels = (size_t)call->out_shape.c;
    const float *mean = call->saved, *inverse = mean + channels;
    float *scale = factors_of(call, 0), *shift = factors_of(call, 1);
    for (size_t c = 0; c < channels; c++) {
        scale[c] = inverse[c] * call->params[0][c];
        shift[c] = (float)((double)call->params[1][c] - (double)mean[c] * (double)scale[c]);
    }
    adl_train_pieces(call, pixels_of(call), PIECE_PIXELS, normalise_piece);
}

/* Sums of dy and of dy x^. */
static void gradient_piece(const struct adl_train_call *call, size_t piece, size_t first,
                           size_t last)
{
    size_t channels = (size_t)call->out_shape.c;
    call->kernels->products(input_at(call, first), call->grad_out + first * channels, call->saved,
                            call->saved + channels, last - first, channels, sums_of(call, piece));
}

static void input_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    size_t channels = (size_t)call->out_shape.c;
    call->kernels->affine2(input_at(call, first), call->grad_out + first * channels,
                           factors_of(call, 0), factors_of(call, 1), factors_of(call, 2),
                           last - first, channels, call->grad_in[0] + first * channels,
                           call->add_in[0]);
}

/* dx as kx x + kdy dy + k, with the definition's terms collected. */
static void input_factors(const struct adl_train_call *call, const double *totals)
{
    size_t channels = (size_t)call->out_shape.c;
    const float *mean = call->saved, *inverse = mean + channels;
    float *kx = factors_of(call, 0), *kdy = factors_of(call, 1), *k = factors_of(call, 2);
    double n = (double)pixels_of(call);
    for (size_t c = 0; c < channels; c++) {
        double scale = (double)call->params[0][c] * (double)inverse[c];
        double dy_mean = 0, product_mean = 0;
        if (!call->mode->frozen_batchnorm) {
            dy_mean = totals[c] / n;
            product_mean = totals[channels + c] / n;
        }
        kdy[c] = (float)scale;
        kx[c] = (float)(-scale * (double)inverse[c] * product_mean);
        k[c] = (float)(-scale * dy_mean - (double)kx[c] * (double)mean[c]);
    }
}

static void train_backward(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    adl_train_pieces(call, pixels_of(call), PIECE_PIXELS, gradient_piece);
    const double *totals = join_pieces(call, 2 * channels);
    for (size_t c = 0; c < channels; c++) {
        call->grad_params[0][c] += (float)totals[channels + c];
        call->grad_params[1][c] += (float)totals[c];
    }
    if (!call->grad_in[0])
        return;
    input_factors(call, totals);
    adl_train_pieces(call, pixels_of(call), PIECE_PIXELS, input_piece);
}

static const struct adl_op_train training = {.saved_floats = saved_floats,
                                             .scratch_floats = scratch_floats,
                                             .forward = train_forward,
                                             .backward = train_backward};

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
