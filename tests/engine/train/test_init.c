/* train/init: the distribution of initial values by role, and what they depend on. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "models/arch.h"
#include "train/init.h"

static struct adl_param make(const char *name, enum adl_param_role role, int rank, size_t k,
                             size_t c, size_t r, size_t s)
{
    struct adl_param p = {.name = name, .role = role, .rank = rank, .shape = {k, c, r, s}};
    p.count = 1;
    for (int i = 0; i < rank; i++)
        p.count *= p.shape[i];
    return p;
}

static float *fill(const struct adl_param *param, uint64_t seed)
{
    float *values = adl_malloc(param->count, sizeof *values);
    adl_init_param(param, seed, values);
    return values;
}

/* Mean and variance have to be within five of their standard deviations, and the share of
 * values beyond two standard deviations that of a normal distribution (4.55 %). */
static void check_normal(const struct adl_param *param, double variance)
{
    float *values = fill(param, 7);
    double n = (double)param->count, sum = 0, squares = 0, far = 0;
    for (size_t i = 0; i < param->count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
        far += fabs((double)values[i]) > 2 * sqrt(variance);
    }
    CU_ASSERT_DOUBLE_EQUAL(sum / n, 0, 5 * sqrt(variance / n));
    CU_ASSERT_DOUBLE_EQUAL(squares / n / variance, 1, 5 * sqrt(2 / n));
    CU_ASSERT_DOUBLE_EQUAL(far / n, 0.0455, 5 * sqrt(0.0455 / n));
    adl_free(values);
}

static void spread_by_role(void)
{
    struct adl_param conv = make("a", ADL_PARAM_CONV_WEIGHT, 4, 64, 32, 3, 3);
    struct adl_param stem = make("b", ADL_PARAM_CONV_WEIGHT, 4, 64, 3, 7, 7);
    struct adl_param wide = make("c", ADL_PARAM_CONV_WEIGHT, 4, 48, 40, 1, 7);
    struct adl_param depthwise = make("d", ADL_PARAM_CONV_WEIGHT, 4, 1024, 1, 3, 3);
    struct adl_param linear = make("e", ADL_PARAM_LINEAR_WEIGHT, 2, 100, 128, 1, 1);
    check_normal(&conv, 2.0 / (64 * 9));
    check_normal(&stem, 2.0 / (64 * 49));
    check_normal(&wide, 2.0 / (48 * 7));
    check_normal(&depthwise, 2.0 / 9); /* fan-out: its own channel only */
    check_normal(&linear, 1e-4);
}

static void vectors_start_neutral(void)
{
    static const struct {
        enum adl_param_role role;
        float value;
    } rows[] = {{ADL_PARAM_BIAS, 0},
                {ADL_PARAM_BN_WEIGHT, 1},
                {ADL_PARAM_BN_BIAS, 0},
                {ADL_PARAM_BN_MEAN, 0},
                {ADL_PARAM_BN_VAR, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct adl_param p = make("x", rows[i].role, 1, 33, 0, 0, 0);
        float *values = fill(&p, 3);
        for (size_t j = 0; j < p.count; j++)
            CU_ASSERT_EQUAL(values[j], rows[i].value);
        adl_free(values);
    }
}

/* The values depend on name and seed, not on the order of the calls or on the rest of the
 * network. */
static void depends_on_name_and_seed(void)
{
    struct adl_param a = make("layer1.weight", ADL_PARAM_CONV_WEIGHT, 4, 8, 4, 3, 3);
    struct adl_param b = make("layer2.weight", ADL_PARAM_CONV_WEIGHT, 4, 8, 4, 3, 3);
    size_t bytes = a.count * sizeof(float);
    float *a1 = fill(&a, 1), *b1 = fill(&b, 1), *b2 = fill(&b, 1), *a2 = fill(&a, 1);
    float *other = fill(&a, 2);
    CU_ASSERT(memcmp(a1, a2, bytes) == 0 && memcmp(b1, b2, bytes) == 0);
    size_t same_name = 0, same_seed = 0;
    for (size_t i = 0; i < a.count; i++) {
        same_seed += a1[i] == b1[i];
        same_name += a1[i] == other[i];
    }
    CU_ASSERT(same_seed < 3 && same_name < 3);
    adl_free(a1);
    adl_free(a2);
    adl_free(b1);
    adl_free(b2);
    adl_free(other);
}

/* Layers with the same name in two variants of a network have the same initial values. */
static void variants_start_alike(void)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    adl_arch_init(&arch, adl_backbone_find("mobilenet_v1"));
    arch.width = 0.25;
    arch.num_classes = 3;
    struct adl_graph *plain = adl_arch_build(&arch, 32, 32, &err);
    arch.methods = adl_method_alone(&adl_method_adl);
    arch.num_classes = 5;
    struct adl_graph *with_adl = adl_arch_build(&arch, 32, 32, &err);
    CU_ASSERT_FATAL(plain && with_adl);
    int compared = 0;
    for (int i = 0; i < adl_graph_param_count(plain); i++) {
        const struct adl_param *p = adl_graph_param(plain, i);
        int id = adl_graph_find_param(with_adl, p->name);
        if (id < 0 || adl_graph_param(with_adl, id)->count != p->count)
            continue;
        float *a = fill(p, 9), *b = fill(adl_graph_param(with_adl, id), 9);
        CU_ASSERT(memcmp(a, b, p->count * sizeof *a) == 0);
        compared++;
        adl_free(a);
        adl_free(b);
    }
    CU_ASSERT(compared == adl_graph_param_count(plain) - 2); /* all but fc */
    adl_graph_free(plain);
    adl_graph_free(with_adl);
}

TEST_SUITE(init, {"weights spread by role", spread_by_role},
           {"vectors start neutral", vectors_start_neutral},
           {"depends on name and seed alone", depends_on_name_and_seed},
           {"variants start alike", variants_start_alike});
