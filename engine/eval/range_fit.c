/* Chooses ranges by least squares.
 *
 * A range is 255 steps wide. A wide one has large steps, a narrow one cuts off the largest values.
 * Within the range, rounding adds the variance s^2 / 12 for steps of s, and x^2 for a value x of
 * less than half a step, which becomes 0; beyond it, x becomes the end e of the range and adds
 * (x - e)^2. The sum over all values of a map in all images is computed from a histogram, for ends
 * at fractions of the least and the largest value, and the smallest sum wins. Its bins have equal
 * ratios, because maps of some images may be hundreds of times as large as those of others. Exact
 * zeros, of which ReLU leaves many, have a byte of their own and add nothing. Needs the extremes
 * before the histogram: hence two passes.
 *
 * The errors of an image count relative to the sum of its own squares, since they disturb what the
 * next layers see of this image, whatever others look like. Without that, a few images whose maps
 * are many times as large as those of the others decide alone, and leave the others a few steps.
 * Even so, a class whose maps are a hundred times as large costs all others most of their steps:
 * that it is cut off counts 1 for each of its images, and no rounding error does. So there is a
 * second weight, relative to the square of that sum, which lets the images with small maps decide.
 * Which one is better depends on the network, and is found by trying both.
 *
 * A scale of the weights of an output channel is the largest of their magnitudes / 127: weights
 * are not cut off, unless they keep fewer bits (weight_bits.h).
 *
 * The network runs without fusing and with memory of its own for every map, so that all of them can
 * be read afterwards, also those that a fused plan never writes. */

#include "eval/range_fit.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/weight_bits.h"
#include "ops/ops.h"

/* Bins of a side, 32 for each power of 2 from its extreme down to 2^-16 of it; the last one has
 * what is smaller still. Floats of one sign are ordered as the integers of the same bits are, and
 * the first five bits of the mantissa are what remains if 18 bits are left out. */
#define BINS 512
#define BIN_BITS 18
/* Ends that are tried on each side: the extreme value, and so many times a little less, down to a
 * thousandth. */
#define CANDIDATES 136
#define LESS 0.95

/* What is known of one map. */
struct range_map {
    double least, most;
    /* By weight, BINS of weights of the values above 0, and BINS of those below. */
    double *bins[ADL_RANGE_WEIGHTS];
    double *sums;    /* by channel */
    uint64_t pixels; /* in these sums */
};

struct adl_range_fit {
    const struct adl_graph *graph;
    const float *const *params;
    struct adl_plan *plan;
    struct adl_session *session;
    struct range_map *maps; /* by value id */
    struct adl_shape *shapes;
    float *map; /* room for the largest one */
    bool second, broken;
};

static int fit_make_maps(struct adl_range_fit *fit, int input_h, int input_w, struct adl_error *err)
{
    int count = adl_graph_value_count(fit->graph);
    size_t largest = 0;

    fit->maps = adl_calloc((size_t)count, sizeof *fit->maps);
    fit->shapes = adl_malloc((size_t)count, sizeof *fit->shapes);
    if (!fit->maps || !fit->shapes)
        return adl_fail_nomem(err, "the ranges of maps");
    if (adl_graph_infer(fit->graph, input_h, input_w, fit->shapes, err) < 0)
        return -1;
    for (int v = 0; v < count; v++)
        largest = ADL_MAX(largest, adl_shape_count(fit->shapes[v]));
    fit->map = adl_malloc(largest, sizeof *fit->map);
    return fit->map ? 0 : adl_fail_nomem(err, "the ranges of maps");
}

struct adl_range_fit *adl_range_fit_create(const struct adl_graph *graph,
                                           const float *const *params, int input_h, int input_w,
                                           struct adl_error *err)
{
    const struct adl_plan_options options = {
        .input_h = input_h,
        .input_w = input_w,
        .disabled = ADL_PASS_STRIP | ADL_PASS_CLASSES | ADL_PASS_FOLD | ADL_PASS_FUSE |
                    ADL_PASS_PAIR | ADL_PASS_CONCAT | ADL_PASS_PLACE};
    struct adl_range_fit *fit = adl_calloc(1, sizeof *fit);

    if (!fit) {
        adl_fail_nomem(err, "the ranges of maps");
        return NULL;
    }
    fit->graph = graph;
    fit->params = params;
    fit->plan = adl_plan_create(graph, params, &options, err);
    if (fit->plan)
        fit->session = adl_session_create(fit->plan, NULL, 1, err);
    if (fit->session && fit_make_maps(fit, input_h, input_w, err) == 0)
        return fit;
    adl_range_fit_free(fit);
    return NULL;
}

void adl_range_fit_free(struct adl_range_fit *fit)
{
    if (!fit)
        return;
    for (int v = 0; fit->maps && v < adl_graph_value_count(fit->graph); v++) {
        for (int w = 0; w < ADL_RANGE_WEIGHTS; w++)
            adl_free(fit->maps[v].bins[w]);
        adl_free(fit->maps[v].sums);
    }
    adl_session_free(fit->session);
    adl_plan_unref(fit->plan);
    adl_free(fit->maps);
    adl_free(fit->shapes);
    adl_free(fit->map);
    adl_free(fit);
}

float *adl_range_fit_input(struct adl_range_fit *fit)
{
    return adl_session_input(fit->session, 0);
}

static void fit_note_extremes(struct adl_range_fit *fit, struct range_map *map, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double x = (double)fit->map[i];
        fit->broken |= !isfinite(x);
        map->least = fmin(map->least, x);
        map->most = fmax(map->most, x);
    }
}

static int32_t fit_bits(float magnitude)
{
    int32_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    return bits;
}

/* Returns the bin of a value other than 0. */
static size_t fit_bin(const struct range_map *map, float x)
{
    /* A photograph that has changed since the first pass may have larger values. */
    int32_t from_top = fit_bits((float)fabs(x > 0 ? map->most : map->least)) - fit_bits(fabsf(x));
    int32_t bin = ADL_MIN(ADL_MAX(from_top, 0) >> BIN_BITS, BINS - 1);
    return (size_t)bin + (x > 0 ? 0 : BINS);
}

/* Returns the value in the middle of a bin. */
static double fit_value(const struct range_map *map, int bin)
{
    int32_t top = fit_bits((float)fabs(bin < BINS ? map->most : map->least));
    int32_t bits = top - (bin % BINS << BIN_BITS) - (1 << (BIN_BITS - 1));
    float x;
    memcpy(&x, &bits, sizeof x);
    return bits <= 0 ? 0 : bin < BINS ? (double)x : -(double)x;
}

static void fit_note_values(const struct adl_range_fit *fit, struct range_map *map,
                            struct adl_shape shape)
{
    size_t channels = (size_t)shape.c, pixels = (size_t)shape.h * (size_t)shape.w;
    double squares = 0;

    for (size_t i = 0; i < pixels * channels; i++)
        squares += (double)fit->map[i] * (double)fit->map[i];
    double alike = squares > 0 ? 1 / squares : 0;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++) {
            float x = fit->map[i * channels + c];
            map->sums[c] += (double)x;
            if (x == 0)
                continue;
            size_t bin = fit_bin(map, x);
            map->bins[ADL_RANGE_ALIKE][bin] += alike;
            map->bins[ADL_RANGE_SMALL][bin] += alike * alike;
        }
    map->pixels += pixels;
}

const float *adl_range_fit_output(const struct adl_range_fit *fit, enum adl_output which)
{
    return adl_session_output(fit->session, which, 0);
}

struct adl_shape adl_range_fit_shape(const struct adl_range_fit *fit, enum adl_output which)
{
    return fit->shapes[adl_graph_output(fit->graph, which)];
}

void adl_range_fit_observe(struct adl_range_fit *fit)
{
    adl_session_run(fit->session, 1);
    for (int v = 1; v < adl_graph_value_count(fit->graph); v++) {
        if (adl_session_value(fit->session, v, 0, fit->map) < 0)
            continue;
        if (fit->second)
            fit_note_values(fit, &fit->maps[v], fit->shapes[v]);
        else
            fit_note_extremes(fit, &fit->maps[v], adl_shape_count(fit->shapes[v]));
    }
}

int adl_range_fit_begin_second(struct adl_range_fit *fit, struct adl_error *err)
{
    if (fit->broken)
        return adl_fail(err, ADL_ERR_FORMAT, "the network computes values that are not finite");
    for (int v = 1; v < adl_graph_value_count(fit->graph); v++) {
        struct range_map *map = &fit->maps[v];
        map->sums = adl_calloc((size_t)fit->shapes[v].c, sizeof *map->sums);
        if (!map->sums)
            return adl_fail_nomem(err, "the ranges of maps");
        for (int w = 0; w < ADL_RANGE_WEIGHTS; w++) {
            map->bins[w] = adl_calloc((size_t)2 * BINS, sizeof *map->bins[w]);
            if (!map->bins[w])
                return adl_fail_nomem(err, "the ranges of maps");
        }
    }
    fit->second = true;
    return 0;
}

/* Returns the sum of weighted squared errors with a range from lo to hi. */
static double fit_error(const struct range_map *map, enum adl_range_weight weight, double lo,
                        double hi)
{
    double step = (hi - lo) / 255, variance = step * step / 12, error = 0;

    for (int i = 0; i < 2 * BINS; i++) {
        if (map->bins[weight][i] <= 0)
            continue;
        double x = fit_value(map, i), beyond = fmax(fmax(lo - x, x - hi), 0);
        double within = fabs(x) < step / 2 ? x * x : variance;
        error += map->bins[weight][i] * (beyond > 0 ? beyond * beyond : within);
    }
    return error;
}

static struct adl_int8_range fit_range(const struct range_map *map, enum adl_range_weight weight)
{
    double lo = map->least, hi = map->most, best = fit_error(map, weight, lo, hi);
    /* Both ends are searched in turn; each has one minimum for the other's value in practice. */
    for (int round = 0; round < 2; round++)
        for (int side = 0; side < 2; side++) {
            double part = 1;
            for (int i = 0; i < CANDIDATES; i++, part *= LESS) {
                double low = side ? lo : map->least * part, high = side ? map->most * part : hi;
                double error = fit_error(map, weight, low, high);
                if (error < best) {
                    best = error;
                    lo = low;
                    hi = high;
                }
            }
        }
    return adl_quantisation_range(lo, hi);
}

void adl_range_fit_ranges(const struct adl_range_fit *fit, enum adl_range_weight weight,
                          struct adl_quantisation *quantisation)
{
    for (int v = 1; v < quantisation->value_count; v++)
        if (fit->maps[v].pixels > 0)
            quantisation->ranges[v] = fit_range(&fit->maps[v], weight);
}

struct adl_quantisation *adl_range_fit_finish(struct adl_range_fit *fit, struct adl_error *err)
{
    struct adl_quantisation *q = adl_quantisation_create(fit->graph, err);

    if (!q)
        return NULL;
    adl_range_fit_ranges(fit, ADL_RANGE_ALIKE, q);
    for (int id = 0; id < q->param_count; id++) {
        const struct adl_param *param = adl_graph_param(fit->graph, id);
        if (!adl_quantisation_takes(param))
            continue;
        float *scales = adl_quantisation_scales(q, fit->graph, id, err);
        if (!scales) {
            adl_quantisation_free(q);
            return NULL;
        }
        (void)adl_weight_bits_scales(param, fit->params[id], 8, scales);
    }
    return q;
}

/* --- rounding, and its correction ------------------------------------------------------- */

/* Returns the batch norm that alone reads a value; NULL: there is none. */
static const struct adl_node *fit_norm(const struct adl_graph *graph, int value)
{
    const struct adl_node *found = NULL;

    for (int i = 0; i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        for (int k = 0; k < node->input_count; k++)
            if (node->inputs[k] == value && !node->training_only) {
                if (found || node->def != &adl_op_batchnorm)
                    return NULL;
                found = node;
            }
    }
    return found;
}

/* Rounds the weights of one output channel; returns the mean shift of the output. */
static double fit_round_channel(const struct range_map *input, float *weights, size_t channels,
                                size_t taps, size_t first_channel, float scale, int bits)
{
    double shift = 0, most = (double)((1 << (bits - 1)) - 1);

    for (size_t c = 0; c < channels; c++) {
        double mean =
            input && input->pixels ? input->sums[first_channel + c] / (double)input->pixels : 0;
        for (size_t tap = 0; tap < taps; tap++) {
            float *w = &weights[c * taps + tap];
            double q = fmin(fmax(nearbyint((double)*w / (double)scale), -most), most);
            float rounded = (float)q * scale + 0.0F; /* no negative zero: a byte has none */
            shift += ((double)rounded - (double)*w) * mean;
            *w = rounded;
        }
    }
    return shift;
}

static void fit_round_conv(const struct adl_range_fit *fit, const struct adl_node *node,
                           const float *scales, int bits, float *const *params)
{
    const struct adl_param *param = adl_graph_param(fit->graph, node->params[0]);
    const struct adl_node *norm = fit_norm(fit->graph, node->output);
    size_t channels = param->shape[1], taps = param->count / (param->shape[0] * channels);
    size_t groups = (size_t)fit->shapes[node->inputs[0]].c / channels;
    size_t per_group = param->shape[0] / groups;
    const struct range_map *input = node->inputs[0] > 0 ? &fit->maps[node->inputs[0]] : NULL;

    for (size_t k = 0; k < param->shape[0]; k++) {
        double shift = fit_round_channel(input, params[node->params[0]] + k * channels * taps,
                                         channels, taps, k / per_group * channels, scales[k], bits);
        if (norm)
            params[norm->params[2]][k] += (float)shift;
        else if (node->param_count > 1 && node->params[1] >= 0)
            params[node->params[1]][k] -= (float)shift;
    }
}

void adl_range_fit_round(const struct adl_range_fit *fit,
                         const struct adl_quantisation *quantisation, const unsigned char *bits,
                         float *const *params)
{
    for (int i = 0; i < adl_graph_node_count(fit->graph); i++) {
        const struct adl_node *node = adl_graph_node(fit->graph, i);
        const float *scales = node->param_count > 0 ? quantisation->scales[node->params[0]] : NULL;
        if (!scales || node->copy)
            continue;
        /* A linear layer is a 1x1 convolution of one pixel, whose parameter is K x C. */
        fit_round_conv(fit, node, scales, bits ? bits[node->params[0]] : 8, params);
    }
}

struct adl_session *adl_range_fit_session(const struct adl_range_fit *fit,
                                          const float *const *params,
                                          const struct adl_quantisation *quantisation,
                                          struct adl_error *err)
{
    const struct adl_plan_options options = {.input_h = fit->shapes[0].h,
                                             .input_w = fit->shapes[0].w,
                                             .precision = ADL_PRECISION_INT8,
                                             .quantisation = quantisation,
                                             .all_int8 = true};
    struct adl_plan *plan = adl_plan_create(fit->graph, params, &options, err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, err) : NULL;

    adl_plan_unref(plan);
    return session;
}
