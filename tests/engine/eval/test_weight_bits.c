/* eval/weight_bits: the scales against a search of finer steps, and the bits of all layers against
 * a network whose layers have the same bits each. */

#include "eval/weight_bits.h"

#include <math.h>

#include "base/rng.h"
#include "plan/quantisation.h"
#include "support/small_model.h"
#include "support/test.h"

enum { DEPTH = 200 };

static double error_with(const float *w, double scale, double most)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < DEPTH; i++) {
        double q = round((double)w[i] / scale);
        q = q > most ? most : q < -most ? -most : q;
        sum += ((double)w[i] - q * scale) * ((double)w[i] - q * scale);
        squares += (double)w[i] * (double)w[i];
    }
    return sum / squares;
}

static void scales_have_the_least_error(void)
{
    const struct adl_param param = {.rank = 2, .shape = {1, DEPTH}, .count = DEPTH};
    struct adl_rng rng;
    float w[DEPTH], scale;

    for (int bits = ADL_WEIGHT_BITS_LEAST; bits <= 8; bits++) {
        double most = (double)((1 << (bits - 1)) - 1), largest = 0;
        adl_rng_seed(&rng, 3, (uint64_t)bits, 0);
        for (int i = 0; i < DEPTH; i++) {
            w[i] = (float)adl_rng_normal(&rng);
            largest = fmax(largest, fabs((double)w[i]));
        }
        double error = adl_weight_bits_scales(&param, w, bits, &scale);
        CU_ASSERT_DOUBLE_EQUAL(error, error_with(w, (double)scale, most), 1e-12);
        if (bits == 8)
            CU_ASSERT_DOUBLE_EQUAL((double)scale, largest / 127, 1e-8);
        double least = error;
        for (double part = 0.5; part <= 1.0; part += 0.001)
            least = fmin(least, error_with(w, part * largest / most, most));
        CU_ASSERT(bits == 8 || error < 1.1 * least);
    }
}

static void zero_weights_have_no_error(void)
{
    const struct adl_param param = {.rank = 2, .shape = {2, DEPTH / 2}, .count = DEPTH};
    float w[DEPTH] = {0}, scales[2];

    CU_ASSERT_EQUAL(adl_weight_bits_scales(&param, w, 4, scales), 0);
    CU_ASSERT(isnormal(scales[0]) && scales[0] > 0 && isnormal(scales[1]) && scales[1] > 0);
}

/* The bytes and the summed error of a network whose layers have these bits. */
static double sum_up(const struct adl_model *net, const unsigned char *bits, size_t *bytes)
{
    double error = 0;

    *bytes = 0;
    for (int id = 0; id < adl_graph_param_count(net->graph); id++) {
        const struct adl_param *param = adl_graph_param(net->graph, id);
        if (!adl_quantisation_takes(param))
            continue;
        *bytes += (param->count * bits[id] + 7) / 8;
        error += adl_weight_bits_scales(param, net->params[id], bits[id], NULL);
    }
    return error;
}

static void bits_fit_and_beat_equal_ones(void)
{
    struct adl_error err = {0};
    struct adl_model *net = model_small();
    const float *const *params = net->params;
    unsigned char equal[200], chosen[200];
    size_t bytes, budget, least;
    int count = adl_graph_param_count(net->graph);

    CU_ASSERT_FATAL(count <= 200);
    for (int bits = ADL_WEIGHT_BITS_LEAST; bits <= 8; bits++) {
        for (int id = 0; id < count; id++)
            equal[id] = adl_quantisation_takes_bf16(adl_graph_param(net->graph, id))
                            ? (unsigned char)bits
                            : 8;
        double error = sum_up(net, equal, &budget);
        CU_ASSERT_EQUAL(adl_weight_bits_choose(net->graph, params, budget, chosen, &least, &err),
                        0);
        CU_ASSERT(sum_up(net, chosen, &bytes) <= error);
        CU_ASSERT(bytes <= budget);
        if (bits == ADL_WEIGHT_BITS_LEAST)
            CU_ASSERT_EQUAL(least, budget);
        for (int id = 0; id < count; id++) {
            bool may = adl_quantisation_takes_bf16(adl_graph_param(net->graph, id));
            CU_ASSERT(chosen[id] <= 8 && chosen[id] >= (may ? ADL_WEIGHT_BITS_LEAST : 8));
        }
    }
    CU_ASSERT_EQUAL(adl_weight_bits_choose(net->graph, params, least - 1, chosen, &budget, &err),
                    1);
    CU_ASSERT_EQUAL(budget, least);
    adl_model_free(net);
}

TEST_SUITE(weight_bits, {"scales have the least error", scales_have_the_least_error},
           {"weights of zero have no error", zero_weights_have_no_error},
           {"bits fit and beat equal ones", bits_fit_and_beat_equal_ones});
