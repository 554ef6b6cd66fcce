/* Where 8 bits are chosen: nowhere that they are slower by the cost model of an instruction set.
 * The tables of kernels are asked about shapes and not run, so they need no processor. */

#include "support/test.h"

#include "kernels/conv_cost.h"
#include "kernels/conv_int8.h"
#include "kernels/dispatch.h"
#include "plan/ir.h"

/* Convolutions of the networks, at stride 1 with padding: side, input and output channels, kernel.
 */
static const struct shape {
    int side, c, k, r, groups;
} shapes[] = {
    {112, 32, 64, 1, 1},   {56, 128, 128, 1, 1},   {28, 256, 256, 1, 1},     {14, 512, 512, 1, 1},
    {7, 1024, 1024, 1, 1}, {56, 64, 256, 1, 1},    {14, 1024, 256, 1, 1},    {7, 512, 2048, 1, 1},
    {56, 64, 64, 3, 1},    {14, 256, 256, 3, 1},   {28, 512, 512, 3, 1},     {35, 48, 64, 5, 1},
    {112, 32, 32, 3, 32},  {28, 256, 256, 3, 256}, {7, 1024, 1024, 3, 1024},
};

static struct adl_conv conv_of(const struct shape *s)
{
    return (struct adl_conv){.h = s->side,
                             .w = s->side,
                             .c = s->c,
                             .k = s->k,
                             .r = s->r,
                             .s = s->r,
                             .stride = 1,
                             .pad_top = s->r / 2,
                             .pad_left = s->r / 2,
                             .groups = s->groups,
                             .p = s->side,
                             .q = s->side,
                             .ldx = (size_t)s->c,
                             .ldo = (size_t)s->k,
                             .ldr = (size_t)s->k};
}

/* Returns the estimated time in float32 over that in 8 bits. */
static double gain(const struct shape *s, const struct adl_kernels *kernels)
{
    const struct adl_conv conv = conv_of(s);
    const struct adl_conv_algorithm *a = plan_conv_choice(&conv, kernels, 0);
    double floats = s->groups > 1 ? adl_cost_depthwise(&conv) : a->cost(a, &conv, kernels);

    CU_ASSERT(adl_conv_int8_supports(&conv, false));
    return floats / adl_conv_int8_cost(&conv, kernels->int8);
}

/* Plain C is not vectorised by hand, and AVX-512 without VNNI has only the kernels of AVX2. */
static void never_where_it_is_slower(void)
{
    const struct adl_kernels *slow[] = {
        &adl_kernels_generic,
#if defined(__x86_64__)
        &adl_kernels_avx512,
#elif defined(__aarch64__)
        &adl_kernels_neon,
#endif
    };
    for (size_t t = 0; t < sizeof slow / sizeof *slow; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            if (!(gain(&shapes[i], slow[t]) < 1))
                TEST_FAIL("table %zu, shape %zu: %.2f", t, i, gain(&shapes[i], slow[t]));
}

/* On AVX2 and with VNNI 1x1 convolutions gain; how much is what was measured on AVX2 and on AVX-512
 * with VNNI. */
static void where_it_is_faster(void)
{
#if defined(__x86_64__)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        double avx2 = gain(&shapes[i], &adl_kernels_avx2);
        double vnni = gain(&shapes[i], &adl_kernels_avx512_vnni);
        double narrow = gain(&shapes[i], &adl_kernels_avx2_vnni);
        if (shapes[i].groups > 1) {
            CU_ASSERT(avx2 > 1 && avx2 < 2 && narrow > 1 && narrow < 2);
            CU_ASSERT(vnni > 2 && vnni < 3);
        } else if (shapes[i].r == 1) {
            CU_ASSERT(avx2 > 1 && avx2 < 1.5);
            CU_ASSERT(vnni > 2.5 && vnni < 4.2 && narrow > 2.2 && narrow < 3.3);
        } else {
            CU_ASSERT(avx2 < 1); /* Winograd's algorithm */
        }
    }
#elif defined(__aarch64__)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        double dot = gain(&shapes[i], &adl_kernels_neon_dot);
        if (shapes[i].groups > 1)
            CU_ASSERT(dot > 1 && dot < 1.5);
        if (shapes[i].groups == 1 && shapes[i].r == 1)
            CU_ASSERT(dot > 2.2 && dot < 3.3);
    }
#endif
}

TEST_SUITE(int8_choice, {"never where it is slower", never_where_it_is_slower},
           {"where it is faster", where_it_is_faster});
