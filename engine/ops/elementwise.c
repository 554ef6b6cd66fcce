/* Ops that compute each element from one element:
 *
 *     clip          y = min(max(x, a), b)               y' = 1 where a < x < b, else 0
 *     affine        y = a x + b                         y' = a
 *     leaky_relu    y = x where x > 0, else a x         y' = 1 where x > 0, else a
 *     hard_sigmoid  y = min(max(a x + b, 0), 1)         y' = a where 0 < a x + b < 1, else 0
 *     hard_swish    y = x min(max(x/6 + 1/2, 0), 1)     y' = x/3 + 1/2 where -3 < x < 3, else 0 or
 * 1 silu          y = x s(x), s = 1 / (1 + exp(-x))   y' = s + x s (1 - s) gelu          y = x
 * F(x), F = (1 + erf(x/sqrt 2)) / 2    y' = F + x exp(-x^2/2) / sqrt(2 pi) gelu_tanh     y = x (1 +
 * tanh u) / 2, u = sqrt(2/pi) (x + 0.044715 x^3) erf, tanh     y' = 2 / sqrt(pi) exp(-x^2), 1 - y^2
 *
 * as ONNX's operators and PyTorch's functions (Howard et al. 2019 for hard_swish; Elfwing et al.
 * 2017 for silu; Hendrycks & Gimpel 2016 for gelu). NaN stays NaN. Backward, dx (+)= dy y'(x), from
 * the input, which a training step therefore keeps. These loops serve inference and training where
 * an instruction set has no kernel (kernels/curve_loops.h). */

#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

/* Elements of a task: 64 KiB; most of these functions cost more than moving their element. */
#define PIECE_FLOATS ((size_t)16384)

static const float inverse_root_2 = 0.70710678f;    /* 1 / sqrt(2) */
static const float inverse_root_2_pi = 0.39894228f; /* 1 / sqrt(2 pi) */
static const float two_over_root_pi = 1.12837917f;  /* 2 / sqrt(pi) */
static const float root_2_over_pi = 0.79788456f;    /* sqrt(2 / pi) */
static const float gelu_cubic = 0.044715f;

/* --- the functions, and their derivatives at x -------------------------------------------- */

static float elementwise_clamp(float x, float lo, float hi)
{
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

static float elementwise_logistic(float x)
{
    return 1 / (1 + expf(-x));
}

#define FUNCTION(name, value, slope)                                                               \
    static void elementwise_##name(const struct adl_node *node, const float *from, float *to,      \
                                   size_t count)                                                   \
    {                                                                                              \
        const struct adl_elementwise_attr *attr = node->attr;                                      \
        const float a = attr->a, b = attr->b;                                                      \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            const float x = from[i];                                                               \
            to[i] = (value);                                                                       \
        }                                                                                          \
    }                                                                                              \
    static float elementwise_##name##_slope(float x, float a, float b)                             \
    {                                                                                              \
        (void)x;                                                                                   \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        return (slope);                                                                            \
    }

static float elementwise_silu_at(float x)
{
    float s = elementwise_logistic(x);
    return s + x * s * (1 - s);
}

static float elementwise_gelu_at(float x)
{
    return 0.5f * (1 + erff(x * inverse_root_2)) + x * inverse_root_2_pi * expf(-0.5f * x * x);
}

static float elementwise_gelu_tanh_at(float x)
{
    float t = tanhf(root_2_over_pi * (x + gelu_cubic * x * x * x));
    float du = root_2_over_pi * (1 + 3 * gelu_cubic * x * x);
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * du;
}

FUNCTION(clip, elementwise_clamp(x, a, b), x > a && x < b ? 1.0f : 0.0f)
FUNCTION(affine, a *x + b, a)
FUNCTION(leaky_relu, x > 0 ? x : a * x, x > 0 ? 1.0f : a)
FUNCTION(hard_sigmoid, elementwise_clamp(a *x + b, 0, 1), a *x + b > 0 && a * x + b < 1 ? a : 0.0f)
FUNCTION(hard_swish, x *elementwise_clamp(x / 6 + 0.5f, 0, 1),
         x <= -3 ? 0.0f
         : x < 3 ? x / 3 + 0.5f
                 : 1.0f)
FUNCTION(silu, x *elementwise_logistic(x), elementwise_silu_at(x))
FUNCTION(gelu, 0.5f * x * (1 + erff(x * inverse_root_2)), elementwise_gelu_at(x))
FUNCTION(gelu_tanh, 0.5f * x * (1 + tanhf(root_2_over_pi * (x + gelu_cubic * x * x * x))),
         elementwise_gelu_tanh_at(x))
FUNCTION(erf, erff(x), two_over_root_pi *expf(-x *x))
FUNCTION(tanh, tanhf(x), 1 - tanhf(x) * tanhf(x))

/* --- inference and training ------------------------------------------------------------------ */

static void elementwise_forward(const struct adl_op_call *call)
{
    call->node->def->elementwise(call->node, call->in[0], call->out,
                                 (size_t)call->batch * adl_shape_count(call->out_shape));
}

enum adl_curve adl_elementwise_curve(const struct adl_op_def *def)
{
    static const struct {
        const struct adl_op_def *def;
        enum adl_curve curve;
    } curves[] = {{&adl_op_hard_sigmoid, ADL_CURVE_HARD_SIGMOID},
                  {&adl_op_hard_swish, ADL_CURVE_HARD_SWISH},
                  {&adl_op_sigmoid, ADL_CURVE_SIGMOID},
                  {&adl_op_silu, ADL_CURVE_SILU},
                  {&adl_op_gelu, ADL_CURVE_GELU},
                  {&adl_op_gelu_tanh, ADL_CURVE_GELU_TANH}};
    for (size_t i = 0; i < ADL_COUNT(curves); i++)
        if (curves[i].def == def)
            return curves[i].curve;
    return ADL_CURVE_NONE;
}

void adl_elementwise_run(const struct adl_kernels *kernels, const struct adl_node *node,
                         const float *x, float *y, size_t count)
{
    const struct adl_elementwise_attr *attr = node->attr;
    const enum adl_curve curve = adl_elementwise_curve(node->def);

    if (curve && kernels->curve)
        kernels->curve(curve, attr->a, attr->b, x, y, count);
    else
        node->def->elementwise(node, x, y, count);
}

static void elementwise_piece(const struct adl_train_call *call, size_t piece, size_t first,
                              size_t last)
{
    (void)piece;
    adl_elementwise_run(call->kernels, call->node, call->in[0] + first, call->out + first,
                        last - first);
}

static void elementwise_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch * adl_shape_count(call->out_shape), PIECE_FLOATS,
                     elementwise_piece);
}

static void elementwise_back(const struct adl_train_call *call, size_t first, size_t last,
                             float (*slope)(float x, float a, float b))
{
    const struct adl_elementwise_attr *attr = call->node->attr;
    const float *x = call->in[0], *dy = call->grad_out;
    float *dx = call->grad_in[0];
    for (size_t i = first; i < last; i++) {
        float g = dy[i] * slope(x[i], attr->a, attr->b);
        dx[i] = call->add_in[0] ? dx[i] + g : g;
    }
}

static void elementwise_describe(const struct adl_node *node, char *text, size_t size)
{
    const struct adl_elementwise_attr *attr = node->attr;
    snprintf(text, size, "%g %g", (double)attr->a, (double)attr->b);
}

#define OP(op)                                                                                     \
    static void elementwise_##op##_piece_back(const struct adl_train_call *call, size_t piece,     \
                                              size_t first, size_t last)                           \
    {                                                                                              \
        (void)piece;                                                                               \
        elementwise_back(call, first, last, elementwise_##op##_slope);                             \
    }                                                                                              \
    static void elementwise_##op##_backward(const struct adl_train_call *call)                     \
    {                                                                                              \
        if (call->grad_in[0])                                                                      \
            adl_train_pieces(call, (size_t)call->batch *adl_shape_count(call->out_shape),          \
                             PIECE_FLOATS, elementwise_##op##_piece_back);                         \
    }                                                                                              \
    static const struct adl_op_train op##_training = {.forward = elementwise_train,                \
                                                      .backward = elementwise_##op##_backward};    \
    const struct adl_op_def adl_op_##op = {.name = #op,                                            \
                                           .infer = adl_infer_same,                                \
                                           .forward = elementwise_forward,                         \
                                           .elementwise = elementwise_##op,                        \
                                           .train = &op##_training,                                \
                                           .describe = elementwise_describe};

OP(clip)
OP(affine)
OP(leaky_relu)
OP(hard_sigmoid)
OP(hard_swish)
OP(silu)
OP(gelu)
OP(gelu_tanh)
OP(erf)
OP(tanh)

/* --- slopes -------------------------------------------------------------------------------------
 * The derivative of an activation at its input, as an op: what a small change of the input is
 * multiplied by. It passes no gradient on. */

static float elementwise_relu_slope(float x, float a, float b)
{
    (void)a;
    (void)b;
    return x > 0 ? 1.0f : 0.0f;
}

static float elementwise_sigmoid_slope(float x, float a, float b)
{
    (void)a;
    (void)b;
    return elementwise_logistic(x) * (1 - elementwise_logistic(x));
}

static const struct {
    const struct adl_op_def *of;
    float (*slope)(float x, float a, float b);
} slopes[] = {
    {&adl_op_relu, elementwise_relu_slope},
    {&adl_op_sigmoid, elementwise_sigmoid_slope},
    {&adl_op_clip, elementwise_clip_slope},
    {&adl_op_leaky_relu, elementwise_leaky_relu_slope},
    {&adl_op_hard_sigmoid, elementwise_hard_sigmoid_slope},
    {&adl_op_hard_swish, elementwise_hard_swish_slope},
    {&adl_op_silu, elementwise_silu_slope},
    {&adl_op_gelu, elementwise_gelu_slope},
    {&adl_op_gelu_tanh, elementwise_gelu_tanh_slope},
    {&adl_op_tanh, elementwise_tanh_slope},
};

static void elementwise_slope(const struct adl_node *node, const float *x, float *y, size_t count)
{
    const struct adl_slope_attr *attr = node->attr;
    for (size_t k = 0; k < ADL_COUNT(slopes); k++)
        for (size_t i = 0; slopes[k].of == attr->of && i < count; i++)
            y[i] = slopes[k].slope(x[i], attr->numbers.a, attr->numbers.b);
}

static void elementwise_no_gradient(const struct adl_train_call *call)
{
    (void)call;
}

static void elementwise_slope_describe(const struct adl_node *node, char *text, size_t size)
{
    const struct adl_slope_attr *attr = node->attr;
    snprintf(text, size, "of %s", attr->of->name);
}

static const struct adl_op_train slope_training = {
    .detached = 1, .forward = elementwise_train, .backward = elementwise_no_gradient};
const struct adl_op_def adl_op_slope = {.name = "slope",
                                        .infer = adl_infer_same,
                                        .forward = elementwise_forward,
                                        .elementwise = elementwise_slope,
                                        .train = &slope_training,
                                        .describe = elementwise_slope_describe};

int adl_slope(struct adl_graph *graph, int input, const char *name, const struct adl_op_def *of,
              struct adl_elementwise_attr numbers)
{
    struct adl_slope_attr attr = {of, numbers};
    for (size_t k = 0; k < ADL_COUNT(slopes); k++)
        if (slopes[k].of == of)
            return adl_graph_add(graph, name, &adl_op_slope, &attr, sizeof attr, &input, 1, NULL,
                                 0);
    return adl_graph_fail(graph, "%s: op %s has no slope", name, of->name);
}

int adl_elementwise(struct adl_graph *graph, int input, const char *name,
                    const struct adl_op_def *def, struct adl_elementwise_attr attr)
{
    return adl_graph_add(graph, name, def, &attr, sizeof attr, &input, 1, NULL, 0);
}
