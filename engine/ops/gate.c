/* A product that weights a map by a gate: x (H x W x C, or a vector 1 x 1 x C that counts at every
 * pixel) times g, which has one value for each element (H x W x C) or for each pixel (H x W x 1).
 *
 *     y[i,j,c] = x[i,j,c] g[i,j,c]      or, with plus_one,  x[i,j,c] (1 + g[i,j,c])
 *     dx[i,j,c] (+)= dy[i,j,c] g[i,j,c]  or                 dy[i,j,c] (1 + g[i,j,c])
 *     dg[i,j,c] (+)= dy[i,j,c] x[i,j,c]
 *
 * where the gradient of what counts at several places is the sum over these. CBAM weights the
 * pixels (Woo et al., ECCV 2018); BAM multiplies a vector by a map of one channel and weights each
 * element by 1 + the sigmoid of that (Park et al., BMVC 2018); the residual attention network
 * weights each element by 1 + g (Wang et al., CVPR 2017). A gate of one value for each channel is
 * scale.c. */

#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "ops/plain_loops.h"
#include "ops/train.h"

/* Values that are summed side by side, so that the compiler can use vectors; the lanes are then
 * added in order. */
#define LANES ((size_t)16)

static int gate_infer(const struct adl_node *node, const struct adl_shape *in,
                      struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    bool vector = in[0].h == 1 && in[0].w == 1;
    if ((in[1].c != 1 && in[1].c != in[0].c) ||
        (!vector && (in[1].h != in[0].h || in[1].w != in[0].w)))
        return adl_fail(err, ADL_ERR_ARG, "a gate of %dx%dx%d does not fit a map of %dx%dx%d",
                        in[1].h, in[1].w, in[1].c, in[0].h, in[0].w, in[0].c);
    *out = (struct adl_shape){in[1].h, in[1].w, in[0].c};
    return 0;
}

/* Returns the product over one image. */
static struct adl_gate_loop gate_loop(const struct adl_node *node, const float *const *in,
                                      const struct adl_shape *in_shape, struct adl_shape out_shape,
                                      float *out, size_t n)
{
    const struct adl_gate_attr *a = node->attr;
    size_t channels = (size_t)out_shape.c;
    bool vector = in_shape[0].h == 1 && in_shape[0].w == 1;
    return (struct adl_gate_loop){.x = in[0] + n * adl_shape_count(in_shape[0]),
                                  .ldx = vector ? 0 : channels,
                                  .g = in[1] + n * adl_shape_count(in_shape[1]),
                                  .ldg = (size_t)in_shape[1].c,
                                  .per_pixel = in_shape[1].c == 1,
                                  .plus_one = a->plus_one,
                                  .out = out + n * adl_shape_count(out_shape),
                                  .ldo = channels,
                                  .pixels = adl_shape_count(out_shape) / channels,
                                  .channels = channels,
                                  .lo = -INFINITY,
                                  .hi = INFINITY};
}

static void gate_forward(const struct adl_op_call *call)
{
    for (size_t n = 0; n < (size_t)call->batch; n++) {
        struct adl_gate_loop l =
            gate_loop(call->node, call->in, call->in_shape, call->out_shape, call->out, n);
        for (size_t i = 0; i < l.pixels; i++)
            for (size_t c = 0; c < l.channels; c++) {
                float g = l.g[i * l.ldg + (l.per_pixel ? 0 : c)];
                l.out[i * l.ldo + c] = l.x[i * l.ldx + c] * (l.plus_one ? 1 + g : g);
            }
    }
}

/* A NaN compares false with both bounds and stays one. */
static float gate_clamp(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

void adl_gate_pixels(const struct adl_gate_loop *loop)
{
    const struct adl_gate_loop l = *loop;
    float one = l.plus_one ? 1 : 0;
    bool clamps = !isinf(l.lo) || !isinf(l.hi);
    for (size_t i = 0; i < l.pixels; i++) {
        const float *x = l.x + i * l.ldx, *g = l.g + i * l.ldg;
        const float *residual = l.residual ? l.residual + i * l.ldr : NULL;
        float *out = l.out + i * l.ldo;
        float factor = one + g[0];
        if (l.per_pixel)
            for (size_t c = 0; c < l.channels; c++)
                out[c] = x[c] * factor;
        else
            for (size_t c = 0; c < l.channels; c++)
                out[c] = x[c] * (one + g[c]);
        for (size_t c = 0; residual && c < l.channels; c++)
            out[c] += residual[c];
        for (size_t c = 0; clamps && c < l.channels; c++)
            out[c] = gate_clamp(out[c], l.lo, l.hi);
    }
}

/* --- training -------------------------------------------------------------------------------- */

static struct adl_gate_loop gate_train_loop(const struct adl_train_call *call, size_t n)
{
    return gate_loop(call->node, call->in, call->in_shape, call->out_shape, call->out, n);
}

static void gate_image(const struct adl_train_call *call, size_t n)
{
    struct adl_gate_loop loop = gate_train_loop(call, n);
    adl_gate_pixels(&loop);
}

/* Computes dx over one image. The gradient of a vector is summed pixel after pixel. */
static void gate_image_back_x(const struct adl_train_call *call, size_t n)
{
    struct adl_gate_loop l = gate_train_loop(call, n);
    const float *dy = call->grad_out + n * l.pixels * l.channels;
    float *dx = call->grad_in[0] + n * adl_shape_count(call->in_shape[0]);
    float one = l.plus_one ? 1 : 0;
    bool add = call->add_in[0];

    if (l.ldx == 0 && !add)
        memset(dx, 0, l.channels * sizeof *dx);
    add |= l.ldx == 0;
    for (size_t i = 0; i < l.pixels; i++, dy += l.channels, dx += l.ldx) {
        const float *g = l.g + i * l.ldg;
        float factor = one + g[0];
        for (size_t c = 0; c < l.channels; c++) {
            float product = dy[c] * (l.per_pixel ? factor : one + g[c]);
            dx[c] = add ? dx[c] + product : product;
        }
    }
}

static float gate_dot(const float *a, const float *b, size_t count)
{
    float lanes[LANES] = {0};
    double sum = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += a[i + lane] * b[i + lane];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += (double)lanes[lane];
    for (; i < count; i++)
        sum += (double)(a[i] * b[i]);
    return (float)sum;
}

static void gate_image_back_g(const struct adl_train_call *call, size_t n)
{
    struct adl_gate_loop l = gate_train_loop(call, n);
    const float *dy = call->grad_out + n * l.pixels * l.channels;
    float *dg = call->grad_in[1] + n * adl_shape_count(call->in_shape[1]);
    bool add = call->add_in[1];

    for (size_t i = 0; i < l.pixels; i++, dy += l.channels, dg += l.ldg) {
        const float *x = l.x + i * l.ldx;
        if (l.per_pixel)
            dg[0] = (add ? dg[0] : 0) + gate_dot(dy, x, l.channels);
        else
            for (size_t c = 0; c < l.channels; c++)
                dg[c] = (add ? dg[c] : 0) + dy[c] * x[c];
    }
}

static void gate_train(const struct adl_train_call *call)
{
    adl_train_images(call, gate_image);
}

static void gate_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, gate_image_back_x);
    if (call->grad_in[1])
        adl_train_images(call, gate_image_back_g);
}

static const struct adl_op_train training = {.forward = gate_train, .backward = gate_backward};

const struct adl_op_def adl_op_gate = {
    .name = "gate", .infer = gate_infer, .forward = gate_forward, .train = &training};

int adl_gate(struct adl_graph *graph, int x, int gate, const char *name, bool plus_one)
{
    struct adl_gate_attr attr = {plus_one};
    return adl_graph_add(graph, name, &adl_op_gate, &attr, sizeof attr, (int[]){x, gate}, 2, NULL,
                         0);
}
