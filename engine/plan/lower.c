/* Lower: makes one step for each node of the graph, in the graph's order, a dead one for nodes that
 * no output depends on. This is the only
 * place in engine/plan that distinguishes the kinds of op: batch norm, activation,
 * addition and scaling all become PLAN_POINTWISE, clamp(x scale + shift + residual). An op without
 * parameters that has no step of its own, and is too rare and too cheap to deserve one, runs as its
 * definition in plain C. */

#include <math.h>
#include <string.h>

#include "plan/ir.h"

static float *lower_channel_array(struct adl_plan *plan, size_t channels, struct adl_error *err)
{
    float *array = adl_arena_alloc(&plan->arena, channels, sizeof *array);
    if (!array)
        adl_fail(err, ADL_ERR_NOMEM, "out of memory for the plan");
    return array;
}

/* Makes a step x scale + shift with room for both. */
static int lower_pointwise(struct adl_plan *plan, struct plan_step *step, size_t channels,
                           struct adl_error *err)
{
    step->kind = PLAN_POINTWISE;
    step->scale = lower_channel_array(plan, channels, err);
    step->bias = lower_channel_array(plan, channels, err);
    return step->scale && step->bias ? 0 : -1;
}

/* Lowers batch norm with running statistics to x scale + shift, where scale = weight /
 * sqrt(var + eps) and shift = bias - mean scale (Ioffe and Szegedy, 2015). */
static int lower_batchnorm(struct adl_plan *plan, struct plan_step *step, struct adl_error *err)
{
    const struct adl_batchnorm_attr *attr = step->node->attr;
    const int *ids = step->node->params;
    const float *weight = plan->params[ids[0]], *bias = plan->params[ids[1]];
    const float *mean = plan->params[ids[2]], *var = plan->params[ids[3]];
    size_t channels = (size_t)plan->values[step->output].shape.c;

    if (lower_pointwise(plan, step, channels, err) < 0)
        return -1;
    for (size_t c = 0; c < channels; c++) {
        double scale = (double)weight[c] / sqrt((double)var[c] + attr->eps);
        step->scale[c] = (float)scale;
        step->bias[c] = (float)((double)bias[c] - (double)mean[c] * scale);
    }
    return 0;
}

/* Lowers a weight and a bias for each channel, one of which may be missing. They come in this order
 * and differ by their role. */
static int lower_affine(struct adl_plan *plan, struct plan_step *step, struct adl_error *err)
{
    size_t channels = (size_t)plan->values[step->output].shape.c;

    if (lower_pointwise(plan, step, channels, err) < 0)
        return -1;
    for (size_t c = 0; c < channels; c++)
        step->scale[c] = 1;
    for (int i = 0; i < step->node->param_count; i++) {
        int id = step->node->params[i];
        bool weight = adl_graph_param(plan->graph, id)->role == ADL_PARAM_BN_WEIGHT;
        memcpy(weight ? step->scale : step->bias, plan->params[id], channels * sizeof(float));
    }
    return 0;
}

/* Copies the bias of a convolution or linear layer, zero if it has none, so that fold can
 * change it. */
static int lower_bias(struct adl_plan *plan, struct plan_step *step, struct adl_error *err)
{
    size_t channels = (size_t)plan->values[step->output].shape.c;
    step->bias = lower_channel_array(plan, channels, err);
    if (!step->bias)
        return -1;
    if (step->node->param_count > 1)
        memcpy(step->bias, plan->params[step->node->params[1]], channels * sizeof *step->bias);
    return 0;
}

/* Lists all inputs in `pieces`. */
static int lower_pieces(struct adl_plan *plan, struct plan_step *step, struct adl_error *err)
{
    size_t count = (size_t)step->node->input_count;
    step->pieces = adl_arena_alloc(&plan->arena, count, sizeof *step->pieces);
    if (!step->pieces)
        return adl_fail(err, ADL_ERR_NOMEM, "out of memory for the plan");
    memcpy(step->pieces, step->node->inputs, count * sizeof *step->pieces);
    step->input = -1;
    return 0;
}

/* On each pixel of a map a linear layer is a 1x1 convolution: its kernel reads all weights for each
 * pixel. */
static int lower_linear(struct adl_plan *plan, struct plan_step *step, struct adl_error *err)
{
    const struct adl_linear_attr *linear = step->node->attr;
    struct adl_shape x = plan->values[step->input].shape;

    step->kind = PLAN_LINEAR;
    if (x.h * x.w > 1) {
        struct adl_conv_attr *attr = adl_arena_alloc(&plan->arena, 1, sizeof *attr);
        if (!attr)
            return adl_fail(err, ADL_ERR_NOMEM, "out of memory for the plan");
        *attr = adl_conv_centred(linear->k, 1, 1, 1);
        attr->bias = linear->bias;
        step->kind = PLAN_CONV;
        step->linear = attr;
    }
    return lower_bias(plan, step, err);
}

static int lower_node(struct adl_plan *plan, struct plan_step *step, struct adl_error *err)
{
    const struct adl_op_def *def = step->node->def;

    if (def == &adl_op_conv) {
        step->kind = PLAN_CONV;
        return lower_bias(plan, step, err);
    }
    if (def == &adl_op_linear)
        return lower_linear(plan, step, err);
    if (def == &adl_op_batchnorm)
        return lower_batchnorm(plan, step, err);
    if (def == &adl_op_relu || def == &adl_op_relu6) {
        step->kind = PLAN_POINTWISE;
        step->lo = 0;
        step->hi = def == &adl_op_relu6 ? 6 : INFINITY;
    } else if (def == &adl_op_add) {
        step->kind = PLAN_POINTWISE;
        step->residual = step->node->inputs[1];
    } else if (def == &adl_op_scale) {
        step->kind = PLAN_POINTWISE;
        step->vector = step->node->inputs[1];
    } else if (def == &adl_op_sigmoid) {
        step->kind = PLAN_SIGMOID;
    } else if (def == &adl_op_layernorm && plan->kernels->layernorm) {
        step->kind = PLAN_LAYERNORM;
    } else if (def == &adl_op_maxpool) {
        step->kind = PLAN_MAXPOOL;
    } else if (def == &adl_op_avgpool) {
        step->kind = PLAN_AVGPOOL;
    } else if (def == &adl_op_global_avgpool) {
        step->kind = PLAN_MEAN;
    } else if (def == &adl_op_global_sumpool) {
        step->kind = PLAN_SUM;
    } else if (def == &adl_op_global_avgmaxpool) {
        step->kind = PLAN_AVGMAX;
    } else if (def == &adl_op_channelpool) {
        step->kind = PLAN_CHANNELPOOL;
    } else if (def == &adl_op_gate) {
        step->kind = PLAN_GATE;
        step->vector = step->node->inputs[1];
    } else if (def == &adl_op_upsample) {
        step->kind = PLAN_UPSAMPLE;
    } else if (def == &adl_op_concat) {
        step->kind = PLAN_CONCAT;
        return lower_pieces(plan, step, err);
    } else if (def->training_only) {
        step->kind = PLAN_IDENTITY;
    } else if (def == &adl_op_clip) {
        const struct adl_elementwise_attr *attr = step->node->attr;
        step->kind = PLAN_POINTWISE;
        step->lo = attr->a;
        step->hi = attr->b;
    } else if (def == &adl_op_channel_affine) {
        return lower_affine(plan, step, err);
    } else if (def->elementwise) {
        step->kind = PLAN_ELEMENTWISE;
    } else if (def->forward && step->node->param_count == 0) {
        step->kind = PLAN_PLAIN;
        return lower_pieces(plan, step, err);
    } else {
        return adl_fail(err, ADL_ERR_INTERNAL, "the plan has no step for op %s", def->name);
    }
    return 0;
}

int plan_lower(struct adl_plan *plan, struct adl_error *err)
{
    for (int i = 0; i < plan->step_count; i++) {
        const struct adl_node *node = adl_graph_node(plan->graph, i);
        plan->steps[i] = (struct plan_step){
            .node = node,
            .node_index = i,
            .input = node->inputs[0],
            .residual = -1,
            .vector = -1,
            .output = node->output,
            .lo = -INFINITY,
            .hi = INFINITY,
        };
        if (node->training_only)
            plan->steps[i].kind = PLAN_DEAD;
        else if (lower_node(plan, &plan->steps[i], err) < 0)
            return -1;
    }
    return 0;
}
