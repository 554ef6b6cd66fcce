/* Initial values of the parameters. */

#include "train/init.h"

#include <math.h>

#include "base/hash.h"
#include "base/rng.h"

static void init_normal(const struct adl_param *param, uint64_t seed, double deviation,
                        float *values)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, seed, 0, adl_hash_text(ADL_FNV_BASIS, param->name));
    for (size_t i = 0; i < param->count; i++)
        values[i] = (float)(deviation * adl_rng_normal(&rng));
}

/* Fan-in is C/G R S, fan-out K R S, as PyTorch counts them. */
static void init_xavier(const struct adl_param *param, uint64_t seed, float *values)
{
    double taps = 1;
    for (int i = 2; i < param->rank; i++)
        taps *= (double)param->shape[i];
    double bound = sqrt(6 / (taps * (double)(param->shape[0] + param->shape[1])));
    struct adl_rng rng;
    adl_rng_seed(&rng, seed, 0, adl_hash_text(ADL_FNV_BASIS, param->name));
    for (size_t i = 0; i < param->count; i++)
        values[i] = (float)(bound * (2 * adl_rng_uniform(&rng) - 1));
}

void adl_init_param(const struct adl_param *param, uint64_t seed, float *values)
{
    double fan_out;
    if (param->zero) {
        for (size_t i = 0; i < param->count; i++)
            values[i] = 0;
        return;
    }
    if (param->xavier && param->rank > 1) {
        init_xavier(param, seed, values);
        return;
    }
    switch (param->role) {
    case ADL_PARAM_CONV_WEIGHT:
        fan_out = (double)(param->shape[0] * param->shape[2] * param->shape[3]);
        /* Depthwise (C/G = 1): G = K, and an input channel reaches one output channel only. */
        if (param->shape[1] == 1)
            fan_out /= (double)param->shape[0];
        init_normal(param, seed, sqrt(2 / fan_out), values);
        break;
    case ADL_PARAM_LINEAR_WEIGHT: init_normal(param, seed, 0.01, values); break;
    case ADL_PARAM_BN_WEIGHT:
    case ADL_PARAM_BN_VAR:
        for (size_t i = 0; i < param->count; i++)
            values[i] = 1;
        break;
    case ADL_PARAM_BIAS:
    case ADL_PARAM_BN_BIAS:
    case ADL_PARAM_BN_MEAN:
        for (size_t i = 0; i < param->count; i++)
            values[i] = 0;
        break;
    }
}
