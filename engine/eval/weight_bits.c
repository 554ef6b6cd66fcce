/* Chooses the bits of weights; see weight_bits.h.
 *
 * A weight of fewer bits is a byte with fewer levels, so nothing that computes knows of it; only
 * the file is shorter. What a bit less costs is measured by the squared error of the weights
 * relative to their own squares, averaged over the output channels: a batch norm or a scale of the
 * next layer takes the magnitude of a channel out, so a relative error of a layer is a relative
 * error of its output, whichever layer it is. The errors of layers add up to first order. So the
 * bits are taken one at a time, each from the layer where the error grows least for a byte that is
 * saved: since the error of a layer about quadruples with every bit, that greedy choice is the best
 * one but for the last bit. Large layers end with fewer bits than small ones. */

#include "eval/weight_bits.h"

#include <math.h>

#include "base/mem.h"
#include "plan/quantisation.h"

/* Scales that are tried, as parts of the one for which no weight is clipped. */
#define FRACTIONS 12
#define FRACTION_STEP 0.04

/* --- the scales of a number of bits ------------------------------------------------------- */

static double error_of(const float *weights, size_t count, double scale, double most)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double q = fmin(fmax(nearbyint((double)weights[i] / scale), -most), most);
        double e = (double)weights[i] - q * scale;
        sum += e * e;
    }
    return sum;
}

/* Sets the scale of one output channel; returns its relative squared error. */
static double fit_channel(const float *weights, size_t count, int bits, float *scale)
{
    double most = (double)((1 << (bits - 1)) - 1), squares = 0;
    float largest = 0;

    for (size_t i = 0; i < count; i++) {
        largest = fmaxf(largest, fabsf(weights[i]));
        squares += (double)weights[i] * (double)weights[i];
    }
    float whole = fmaxf(largest / (float)most, 0x1p-100F);
    *scale = whole;
    double least = error_of(weights, count, (double)whole, most);
    for (int f = 1; bits < 8 && f < FRACTIONS && squares > 0; f++) {
        float tried = fmaxf(whole * (float)(1 - FRACTION_STEP * f), 0x1p-100F);
        double error = error_of(weights, count, (double)tried, most);
        if (error < least) {
            least = error;
            *scale = tried;
        }
    }
    return squares > 0 ? least / squares : 0;
}

double adl_weight_bits_scales(const struct adl_param *param, const float *weights, int bits,
                              float *scales)
{
    size_t channels = param->shape[0], count = param->count / channels;
    double sum = 0;

    for (size_t k = 0; k < channels; k++) {
        float scale;
        sum += fit_channel(weights + k * count, count, bits, scales ? &scales[k] : &scale);
    }
    return sum / (double)channels;
}

/* --- the bits of all layers ------------------------------------------------------------------ */

static size_t bytes_of(const struct adl_param *param, int bits)
{
    return (param->count * (size_t)bits + 7) / 8;
}

/* What each number of bits costs a parameter; `known` from 8 downwards as far as it was needed. */
struct cost {
    double error[9];
    int known;
};

static double error_at(struct cost *cost, const struct adl_param *param, const float *weights,
                       int bits)
{
    while (cost->known > bits) {
        cost->known--;
        cost->error[cost->known] = adl_weight_bits_scales(param, weights, cost->known, NULL);
    }
    return cost->error[bits];
}

/* Returns the parameter from which the next bit is taken; -1: all have the fewest. */
static int cheapest(const struct adl_graph *graph, const float *const *params,
                    const unsigned char *bits, struct cost *costs)
{
    double least = HUGE_VAL;
    int best = -1;

    for (int id = 0; id < adl_graph_param_count(graph); id++) {
        const struct adl_param *param = adl_graph_param(graph, id);
        int now = bits[id];
        if (!adl_quantisation_takes_bf16(param) || now == ADL_WEIGHT_BITS_LEAST)
            continue;
        double grown = error_at(&costs[id], param, params[id], now - 1) -
                       error_at(&costs[id], param, params[id], now);
        double price = grown / (double)(bytes_of(param, now) - bytes_of(param, now - 1));
        if (price < least) {
            least = price;
            best = id;
        }
    }
    return best;
}

int adl_weight_bits_choose(const struct adl_graph *graph, const float *const *params, size_t budget,
                           unsigned char *bits, size_t *least, struct adl_error *err)
{
    int count = adl_graph_param_count(graph);
    struct cost *costs = adl_calloc((size_t)count, sizeof *costs);
    size_t bytes = 0;
    int next = 0;

    if (!costs)
        return adl_fail_nomem(err, "the bits of the weights");
    *least = 0;
    for (int id = 0; id < count; id++) {
        const struct adl_param *param = adl_graph_param(graph, id);
        bits[id] = 8;
        costs[id].known = 9;
        if (!adl_quantisation_takes(param))
            continue;
        bytes += bytes_of(param, 8);
        *least += bytes_of(param, adl_quantisation_takes_bf16(param) ? ADL_WEIGHT_BITS_LEAST : 8);
    }
    while (bytes > budget && (next = cheapest(graph, params, bits, costs)) >= 0) {
        const struct adl_param *param = adl_graph_param(graph, next);
        bytes -= bytes_of(param, bits[next]) - bytes_of(param, bits[next] - 1);
        bits[next]--;
    }
    adl_free(costs);
    return bytes > budget;
}
