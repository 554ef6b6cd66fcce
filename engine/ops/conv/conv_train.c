/* A convolution in a training step. Forward, and the input's gradient where the
 * stride is 1, run on the same packed kernels as inference: the latter is a
 * convolution of grad_out with the kernel turned round and its channels
 * exchanged. The other products are in conv_grad_weights.c and
 * conv_grad_input.c. */

#include "ops/conv/conv_train.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "ops/conv/conv_tiles.h"
#include "ops/ops.h"

#define LINE_FLOATS ((size_t)16)
/* Of an image: with more, its transformed weights are read often enough. */
#define MAX_TILES ((size_t)128)

static size_t lines(size_t floats)
{
    return adl_ceil_div(floats, LINE_FLOATS) * LINE_FLOATS;
}

static struct adl_conv forward_conv(const struct adl_train_call *call)
{
    const struct adl_conv_attr *a = call->node->attr;
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    int pads[4];
    adl_conv_padding(a, in, pads);
    return (struct adl_conv){
        .h = in.h,
        .w = in.w,
        .c = in.c,
        .p = out.h,
        .q = out.w,
        .k = out.c,
        .r = a->r,
        .s = a->s,
        .stride = a->stride,
        .pad_top = pads[0],
        .pad_left = pads[1],
        .groups = a->groups,
        .ldx = (size_t)in.c,
        .ldo = (size_t)out.c,
        .lo = -INFINITY,
        .hi = INFINITY,
    };
}

/* Whether the input's gradient is a plain convolution. */
static bool is_plain_backward(const struct adl_conv *v)
{
    return v->stride == 1 && v->pad_top < v->r && v->pad_left < v->s;
}

static struct adl_conv backward_conv(const struct adl_conv *v, bool add)
{
    struct adl_conv back = *v;
    back.h = v->p;
    back.w = v->q;
    back.c = v->k;
    back.p = v->h;
    back.q = v->w;
    back.k = v->c;
    back.pad_top = v->r - 1 - v->pad_top;
    back.pad_left = v->s - 1 - v->pad_left;
    back.ldx = v->ldo;
    back.ldo = v->ldx;
    back.accumulate = add;
    return back;
}

/* --- which algorithm ----------------------------------------------------------------- */

/* In multiply-adds, of a position: each transformed value's way there and back, and
 * each weight's, which is transformed anew in each step; measured on an AMD Zen 4. */
#define WINOGRAD_MAP 20
#define WINOGRAD_WEIGHT 60
/* What Winograd's algorithm has to be better by: its errors are larger, and those
 * of larger tiles larger still. */
#define WINOGRAD_SHARE 0.9
#define WINOGRAD_SHARE8 0.8

/* By the multiply-adds of the direct product. */
static double winograd_cost(const struct adl_conv *v, int batch, int points)
{
    struct adl_tiles tiles = adl_tiles_of(v, batch, points);
    double products = (double)v->c * (double)v->k, maps = (double)(v->c + v->k);
    double cost = (double)tiles.all * (products + WINOGRAD_MAP * maps) + WINOGRAD_WEIGHT * products;
    return cost * (double)tiles.positions / ((double)batch * v->p * v->q * v->r * v->s * products);
}

bool adl_conv_winograd_pays(const struct adl_conv *v, const struct adl_kernels *kernels, int batch)
{
    return v->r == 3 && v->s == 3 && adl_conv_batch_winograd_supports(v, kernels, 6) &&
           winograd_cost(v, batch, 6) < WINOGRAD_SHARE;
}

/* Points of a tile's side; 0: Winograd's algorithm does not pay. */
static int winograd_points(const struct adl_conv *v, const struct adl_kernels *kernels, int batch)
{
    double best = 1;
    int points = 0;
    for (int n = 6; n <= 8; n += 2) {
        if (!adl_conv_batch_winograd_supports(v, kernels, n))
            continue;
        double cost = winograd_cost(v, batch, n) / (n == 6 ? WINOGRAD_SHARE : WINOGRAD_SHARE8);
        if (cost < best) {
            best = cost;
            points = n;
        }
    }
    return points;
}

/* Points where tiles of the whole batch are multiplied at a time; else 0. Images of
 * more tiles are done one by one. */
static int batch_winograd_points(const struct adl_conv *v, const struct adl_kernels *kernels,
                                 int batch)
{
    int points = winograd_points(v, kernels, batch);
    return points && adl_tiles_of(v, batch, points).image <= MAX_TILES ? points : 0;
}

/* Channels that make Strassen's additions worth while. */
#define STRASSEN_CHANNELS 256

/* v is of a whole batch (one_map), and of so many rows that nothing is prepared. */
static bool strassen_pays(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct adl_conv written = *v;
    written.accumulate = false; /* it adds as a residual: convolve_images */
    return v->c >= STRASSEN_CHANNELS && v->k >= STRASSEN_CHANNELS &&
           adl_conv_strassen.supports(&adl_conv_strassen, &written, kernels) &&
           adl_conv_strassen.prepare_tasks(&adl_conv_strassen, &written, kernels) == 0;
}

static const struct adl_conv_algorithm *choose(const struct adl_conv *v,
                                               const struct adl_kernels *kernels, int batch)
{
    int points = winograd_points(v, kernels, batch);
    const struct adl_conv_algorithm *winograd =
        points == 8 ? &adl_conv_winograd8 : &adl_conv_winograd6;
    if (adl_conv_depthwise.supports(&adl_conv_depthwise, v, kernels))
        return &adl_conv_depthwise;
    if (points && winograd->supports(winograd, v, kernels))
        return winograd;
    if (strassen_pays(v, kernels))
        return &adl_conv_strassen;
    return adl_conv_gemm.supports(&adl_conv_gemm, v, kernels) ? &adl_conv_gemm : &adl_conv_blas;
}

/* Memory of one pass over a batch: ones, zeros or bias, the packed weights, and
 * each worker's own. */
struct layout {
    const struct adl_conv_algorithm *algorithm;
    size_t ones, bias, packed, workers, per_worker, total;
};

static struct layout lay_out(const struct adl_conv *v, const struct adl_kernels *kernels, int batch,
                             int threads)
{
    struct layout at = {.algorithm = choose(v, kernels, batch)};
    at.ones = 0;
    at.bias = lines((size_t)v->k);
    at.packed = at.bias + lines((size_t)v->k);
    at.workers = at.packed + lines(at.algorithm->packed_floats(at.algorithm, v, kernels));
    at.per_worker = lines(at.algorithm->scratch_floats(at.algorithm, v, kernels));
    at.total = at.workers + at.per_worker * (size_t)threads;
    return at;
}

struct pass {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    const struct layout *at;
    const float *x;
    bool out_is_residual;
    float *out;
    float *scratch;
    size_t tasks; /* of one image */
};

static void one_task(void *context, size_t i, int worker)
{
    const struct pass *pass = context;
    const struct adl_conv *v = pass->conv;
    size_t image = i / pass->tasks;
    float *out = pass->out + image * (size_t)v->p * (size_t)v->q * v->ldo;
    pass->at->algorithm->run(
        pass->at->algorithm, v, pass->kernels, pass->scratch + pass->at->packed,
        pass->x + image * (size_t)v->h * (size_t)v->w * v->ldx, pass->out_is_residual ? out : NULL,
        out, i % pass->tasks,
        pass->scratch + pass->at->workers + (size_t)worker * pass->at->per_worker);
}

static size_t weight_count(const struct adl_conv *v)
{
    return (size_t)v->k * (size_t)(v->c / v->groups) * (size_t)v->r * (size_t)v->s;
}

struct turn {
    const struct adl_conv *conv;
    const float *weights;
    float *turned;
};

/* Of an output channel k: w[k][c][r][s] = w'[c][k][R-1-r][S-1-s], group by group. */
static void turn_channel(void *context, size_t k, int worker)
{
    (void)worker;
    const struct turn *job = context;
    const struct adl_conv *v = job->conv;
    size_t taps = (size_t)v->r * (size_t)v->s;
    size_t group_c = (size_t)(v->c / v->groups), group_k = (size_t)(v->k / v->groups);
    float *to = job->turned + k * group_c * taps;
    for (size_t c = 0; c < group_c; c++, to += taps) {
        const float *from =
            job->weights + ((k / group_k * group_c + c) * group_k + k % group_k) * taps;
        for (size_t tap = 0; tap < taps; tap++)
            to[taps - 1 - tap] = from[tap];
    }
}

/* The maps of a dense 1x1 convolution as one map as high as all together. */
static struct adl_conv one_map(const struct adl_conv *v, int *batch)
{
    struct adl_conv whole = *v;
    if (v->r == 1 && v->s == 1 && v->stride == 1 && v->pad_top == 0 && v->pad_left == 0 &&
        v->p == v->h && v->q == v->w) {
        whole.h = whole.p = v->h * *batch;
        *batch = 1;
    }
    return whole;
}

/* By an algorithm that takes an image at a time. */
static void convolve_images(const struct adl_train_call *call, const struct adl_conv *conv,
                            const float *weights, const float *bias, const float *x, float *out,
                            float *scratch)
{
    int batch = call->batch;
    struct adl_conv v = one_map(conv, &batch);
    struct layout at = lay_out(&v, call->kernels, batch, adl_pool_threads(call->pool));
    struct pass pass = {&v, call->kernels, &at, x, false, out, scratch, 0};

    for (int k = 0; k < v.k; k++) {
        scratch[at.ones + (size_t)k] = 1;
        scratch[at.bias + (size_t)k] = bias ? bias[k] : 0;
    }
    if (at.algorithm == &adl_conv_strassen && v.accumulate) {
        pass.out_is_residual = true;
        v.accumulate = false;
        v.ldr = v.ldo;
    }
    at.algorithm->pack(at.algorithm, &v, call->kernels, weights, scratch + at.ones,
                       scratch + at.bias, scratch + at.packed);
    pass.tasks = at.algorithm->tasks(at.algorithm, &v, call->kernels);
    adl_pool_for(call->pool, pass.tasks * (size_t)batch, one_task, &pass);
}

/* out (+)= conv(x) + bias for the whole batch; weights in PyTorch's layout, or
 * (turned) those of the convolution that this one is the input's gradient of. */
static void convolve(const struct adl_train_call *call, const struct adl_conv *v,
                     const float *weights, bool turned, const float *bias, const float *x,
                     float *out)
{
    float *scratch = call->scratch;
    int points = batch_winograd_points(v, call->kernels, call->batch);
    if (points) {
        adl_conv_batch_winograd(v, call->kernels, call->batch, points, weights, turned, bias, x,
                                out, scratch, call->pool);
        return;
    }
    if (turned) {
        struct turn turn = {v, weights, scratch};
        adl_pool_for(call->pool, (size_t)v->k, turn_channel, &turn);
        weights = scratch;
        scratch += lines(weight_count(v));
    }
    convolve_images(call, v, weights, bias, x, out, scratch);
}

static size_t pass_floats(const struct adl_train_call *call, const struct adl_conv *v)
{
    int batch = call->batch, points = batch_winograd_points(v, call->kernels, batch);
    if (points)
        return adl_conv_batch_winograd_scratch(v, call->kernels, batch, points);
    struct adl_conv whole = one_map(v, &batch);
    return lay_out(&whole, call->kernels, batch, adl_pool_threads(call->pool)).total;
}

static size_t scratch_floats(const struct adl_train_call *call)
{
    struct adl_conv v = forward_conv(call);
    int threads = adl_pool_threads(call->pool);
    size_t most = pass_floats(call, &v);
    size_t grad = adl_conv_grad_weights_scratch(&v, call->batch, threads);
    if (adl_conv_grad_winograd_supports(&v, call->kernels, call->batch))
        grad = ADL_MAX(grad, adl_conv_grad_winograd_scratch(&v, call->batch));
    most = ADL_MAX(most, lines(weight_count(&v)) + grad);
    most = ADL_MAX(most, 2 * (size_t)call->batch * (size_t)v.k); /* bias sums in double */
    if (!is_plain_backward(&v))
        return ADL_MAX(most, adl_conv_grad_input_scratch(&v, call->batch, threads));
    struct adl_conv back = backward_conv(&v, true), first = backward_conv(&v, false);
    size_t input = ADL_MAX(pass_floats(call, &back), pass_floats(call, &first));
    return ADL_MAX(most, lines(weight_count(&v)) + input);
}

static void forward(const struct adl_train_call *call)
{
    const struct adl_conv_attr *a = call->node->attr;
    struct adl_conv v = forward_conv(call);
    convolve(call, &v, call->params[0], false, a->bias ? call->params[1] : NULL, call->in[0],
             call->out);
}

/* Sums of one image's grad_out, per channel, row by row. */
static void bias_image(const struct adl_train_call *call, size_t piece, size_t image, size_t last)
{
    (void)piece;
    (void)last;
    size_t channels = (size_t)call->out_shape.c;
    size_t row = (size_t)call->out_shape.w * channels;
    const float *dy = call->grad_out + image * adl_shape_count(call->out_shape);
    double *sums = (double *)(void *)call->scratch + image * channels;
    memset(sums, 0, channels * sizeof *sums);
    for (size_t c0 = 0; c0 < channels; c0 += 64) {
        size_t block = ADL_MIN((size_t)64, channels - c0);
        for (int p = 0; p < call->out_shape.h; p++) {
            float run[64] = {0};
            for (size_t i = 0; i < row; i += channels)
                for (size_t c = 0; c < block; c++)
                    run[c] += dy[(size_t)p * row + i + c0 + c];
            for (size_t c = 0; c < block; c++)
                sums[c0 + c] += (double)run[c];
        }
    }
}

static void backward_bias(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    const double *sums = (const double *)(const void *)call->scratch;
    adl_train_pieces(call, (size_t)call->batch, 1, bias_image);
    for (size_t c = 0; c < channels; c++) {
        double sum = 0;
        for (size_t n = 0; n < (size_t)call->batch; n++)
            sum += sums[n * channels + c];
        call->grad_params[1][c] += (float)sum;
    }
}

/* Adds output channel k of a gradient in the products' layout in PyTorch's. */
static void add_weights(const struct adl_train_call *call, size_t piece, size_t k, size_t last)
{
    (void)piece;
    (void)last;
    const struct adl_conv_attr *a = call->node->attr;
    size_t taps = (size_t)a->r * (size_t)a->s, channels = (size_t)(call->in_shape->c / a->groups);
    const float *grad = call->scratch + k * taps * channels;
    float *to = call->grad_params[0] + k * taps * channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t tap = 0; tap < taps; tap++)
            to[c * taps + tap] += grad[tap * channels + c];
}

static void backward_weights(const struct adl_train_call *call, const struct adl_conv *v)
{
    float *grad = call->scratch, *scratch = call->scratch + lines(weight_count(v));
    if (adl_conv_grad_winograd_supports(v, call->kernels, call->batch))
        adl_conv_grad_winograd(v, call->kernels, call->batch, call->in[0], call->grad_out, grad,
                               scratch, call->pool);
    else
        adl_conv_grad_weights(v, call->kernels, call->batch, call->in[0], call->grad_out, grad,
                              scratch, call->pool);
    adl_train_pieces(call, (size_t)v->k, 1, add_weights);
}

static void backward(const struct adl_train_call *call)
{
    const struct adl_conv_attr *a = call->node->attr;
    struct adl_conv v = forward_conv(call);

    backward_weights(call, &v);
    if (a->bias)
        backward_bias(call);
    if (!call->grad_in[0])
        return;
    if (!is_plain_backward(&v)) {
        adl_conv_grad_input(&v, call->kernels, call->batch, call->params[0], call->grad_out,
                            call->grad_in[0], call->add_in[0], call->scratch, call->pool);
        return;
    }
    struct adl_conv back = backward_conv(&v, call->add_in[0]);
    convolve(call, &back, call->params[0], true, NULL, call->grad_out, call->grad_in[0]);
}

const struct adl_op_train adl_conv_training = {
    .scratch_floats = scratch_floats, .forward = forward, .backward = backward};
