/* kernels/conv_int8.c and the kernels of int8.h: every instruction set of this machine against the
 * definition, in whole numbers and then in float32 step by step, on random shapes and at the ends
 * of the range; equal to the last bit. */

#include "support/test.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "kernels/conv_int8.h"
#include "kernels/dispatch.h"
#include "support/conv_run.h"
#include "support/int8_vnni.h"
#include "support/isas.h"

/* How bytes and weights are filled. */
enum fill { FILL_RANDOM, FILL_HIGHEST, FILL_LOWEST, FILL_COUNT };

struct scene {
    struct adl_conv_int8 job;
    size_t x_count, out_count, weight_count;
    uint8_t *x, *residual;
    int *q; /* the weights as integers */
    float *values, *scale, *factor, *bias;
};

static uint8_t *bytes_of(struct adl_rng *rng, size_t count, enum fill fill)
{
    uint8_t *bytes = adl_malloc(count, 1);
    for (size_t i = 0; i < count; i++)
        bytes[i] = fill == FILL_RANDOM ? (uint8_t)adl_rng_below(rng, 256) : 255;
    return bytes;
}

static float unit(struct adl_rng *rng)
{
    return (float)adl_rng_below(rng, 1u << 24) * 0x1p-24F;
}

static void open_scene(struct scene *s, struct adl_rng *rng, struct adl_conv conv, enum fill fill)
{
    size_t k = (size_t)conv.k;

    *s = (struct scene){.job = {.conv = conv}};
    s->job.in = (struct adl_int8_range){0.01F + unit(rng), (int)adl_rng_below(rng, 256)};
    s->job.residual = (struct adl_int8_range){0.01F + unit(rng), (int)adl_rng_below(rng, 256)};
    s->x_count = (size_t)conv.h * (size_t)conv.w * conv.ldx;
    s->out_count = (size_t)conv.p * (size_t)conv.q;
    s->weight_count = adl_conv_depth(&conv) * k;
    s->x = bytes_of(rng, s->x_count, fill);
    s->residual = bytes_of(rng, s->out_count * conv.ldr, fill);
    s->q = adl_malloc(s->weight_count, sizeof *s->q);
    s->values = adl_malloc(s->weight_count, sizeof *s->values);
    s->scale = adl_malloc(k, sizeof *s->scale);
    s->factor = adl_malloc(k, sizeof *s->factor);
    s->bias = adl_malloc(k, sizeof *s->bias);
    for (size_t i = 0; i < k; i++) {
        s->scale[i] = 0.001F + 0.01F * unit(rng);
        s->factor[i] = 2 * unit(rng) - 1;
        s->bias[i] = 20 * unit(rng) - 10;
    }
    for (size_t i = 0; i < s->weight_count; i++) {
        s->q[i] = fill == FILL_RANDOM    ? (int)adl_rng_below(rng, 255) - 127
                  : fill == FILL_HIGHEST ? 127
                                         : -127;
        s->values[i] = (float)s->q[i] * s->scale[i / adl_conv_depth(&conv)];
    }
    /* A scale of the output for which most values are within its range. */
    double spread = sqrt((double)adl_conv_depth(&conv)) * 74 * 74;
    s->job.out =
        (struct adl_int8_range){(float)(0.001 + spread * (double)s->job.in.scale * 0.004 / 64),
                                (int)adl_rng_below(rng, 256)};
}

static void close_scene(struct scene *s)
{
    adl_free(s->x);
    adl_free(s->residual);
    adl_free(s->q);
    adl_free(s->values);
    adl_free(s->scale);
    adl_free(s->factor);
    adl_free(s->bias);
}

/* Returns the sum of x q over the taps, and the sum of (x - z) q. */
static int64_t defined_sum(const struct scene *s, int p, int q, int k, int64_t *centred)
{
    const struct adl_conv *c = &s->job.conv;
    int group_c = c->c / c->groups, group = k / (c->k / c->groups);
    int64_t sum = 0;

    *centred = 0;
    for (int r = 0; r < c->r; r++)
        for (int t = 0; t < c->s; t++)
            for (int i = 0; i < group_c; i++) {
                int y = p * c->stride - c->pad_top + r * (1 + c->gap);
                int x = q * c->stride - c->pad_left + t * (1 + c->gap);
                int w = s->q[((k * group_c + i) * c->r + r) * c->s + t], byte = s->job.in.zero;
                if (y >= 0 && y < c->h && x >= 0 && x < c->w)
                    byte = s->x[(size_t)(y * c->w + x) * c->ldx + (size_t)(group * group_c + i)];
                sum += (int64_t)byte * w;
                *centred += (int64_t)(byte - s->job.in.zero) * w;
            }
    return sum;
}

/* The epilogue as int8.h defines it. */
static float defined_end(const struct scene *s, int64_t sum, size_t pixel, int k)
{
    const struct adl_conv_int8 *job = &s->job;
    const struct adl_conv *c = &job->conv;
    double out = job->to_floats ? 1 : (double)job->out.scale, q = 0;
    double zero = job->to_floats ? 0 : job->out.zero;
    size_t depth = adl_conv_depth(c);
    double scale = (double)job->in.scale * (double)s->scale[k] * (double)s->factor[k] / out;

    for (size_t i = 0; i < depth; i++)
        q += s->q[(size_t)k * depth + i];
    if (job->has_residual)
        zero -= (double)job->residual.scale / out * job->residual.zero;
    volatile float shift = (float)((double)s->bias[k] / out + zero - scale * job->in.zero * q);
    volatile float v = (float)(int32_t)sum * (float)scale;
    v = v + shift;
    if (job->has_residual) {
        volatile float factor = (float)((double)job->residual.scale / out);
        volatile float r = (float)s->residual[pixel * c->ldr + (size_t)k] * factor;
        v = v + r;
    }
    double lo = (double)c->lo / out + (job->to_floats ? 0 : job->out.zero);
    double hi = (double)c->hi / out + (job->to_floats ? 0 : job->out.zero);
    if (!job->to_floats) {
        lo = fmax(lo, 0);
        hi = fmin(hi, 255);
    }
    return fminf(fmaxf(v, (float)lo), (float)hi);
}

/* Runs the scene with poisoned memory around each output pixel, and compares. */
static void check_isa(const struct scene *s, const struct adl_int8_kernels *kernels)
{
    const struct adl_conv_int8 *job = &s->job;
    const struct adl_conv *c = &job->conv;
    size_t size = job->to_floats ? sizeof(float) : 1, count = s->out_count * c->ldo;
    float *packed = adl_malloc(adl_conv_int8_packed_floats(c, kernels), sizeof *packed);
    float *scratch = adl_malloc(adl_conv_int8_scratch_floats(c, kernels), sizeof *scratch);
    unsigned char *out = adl_malloc(count, size);
    const struct adl_int8_weights weights = {s->values, s->scale, s->factor, s->bias};
    size_t wrong = 0, far = 0, touched = 0;

    memset(out, 0xA5, count * size);
    adl_conv_int8_pack(job, kernels, &weights, packed);
    for (size_t task = adl_conv_int8_tasks(c, kernels); task-- > 0;)
        adl_conv_int8_run(job, kernels, packed, s->x, job->has_residual ? s->residual : NULL, out,
                          task, scratch);
    for (size_t pixel = 0; pixel < s->out_count; pixel++) {
        for (int k = 0; k < c->k; k++) {
            size_t at = pixel * c->ldo + (size_t)k;
            int64_t centred;
            int64_t sum = defined_sum(s, (int)pixel / c->q, (int)pixel % c->q, k, &centred);
            float want = defined_end(s, sum, pixel, k), got;
            /* In real numbers, where padding is zero. */
            double real = (double)centred * (double)job->in.scale * (double)s->scale[k] *
                              (double)s->factor[k] +
                          (double)s->bias[k];
            if (job->has_residual)
                real += (double)job->residual.scale *
                        (s->residual[pixel * c->ldr + (size_t)k] - job->residual.zero);
            real = fmin(fmax(real, (double)c->lo), (double)c->hi);
            double step = job->to_floats ? 0 : (double)job->out.scale;
            if (job->to_floats) {
                memcpy(&got, out + at * size, size);
                wrong += memcmp(&got, &want, sizeof got) != 0 && !(got == 0 && want == 0);
                far += fabs((double)got - real) > 1e-4 * (fabs(real) + 4000);
            } else {
                wrong += out[at] != (uint8_t)lrintf(want);
                real = fmin(fmax(real, -step * job->out.zero), step * (255 - job->out.zero));
                /* Float32 loses the last bits of large sums. */
                double lost = 1e-6 * fabs((double)sum * (double)job->in.scale *
                                          (double)s->scale[k] * (double)s->factor[k]);
                far += fabs(step * (out[at] - job->out.zero) - real) > 0.51 * step + lost;
            }
        }
        for (size_t i = (size_t)c->k * size; i < c->ldo * size; i++)
            touched += out[pixel * c->ldo * size + i] != 0xA5;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(far, 0);
    CU_ASSERT_EQUAL(touched, 0);
    if (wrong + far + touched)
        printf("\n  %dx%dx%d to %d, %dx%d s%d, %d groups, mr %d: %zu wrong, %zu far, %zu touched",
               c->h, c->w, c->c, c->k, c->r, c->s, c->stride, c->groups, kernels->mr, wrong, far,
               touched);
    adl_free(packed);
    adl_free(scratch);
    adl_free(out);
}

static void check_scene(const struct scene *s)
{
    static const enum adl_isa isas[] = {ADL_ISA_GENERIC, ADL_ISA_NEON, ADL_ISA_AVX2,
                                        ADL_ISA_AVX512};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        if (adl_isa_available(isas[i]))
            check_isa(s, adl_kernels_for(isas[i])->int8);
#if defined(__x86_64__)
    if (adl_isa_available(ADL_ISA_AVX2)) {
        check_isa(s, &adl_int8_avx2); /* also where there is AVX-VNNI */
        check_isa(s, &int8_defined_vnni);
    }
#endif
}

/* All forms of one shape: bytes and floats out, with and without residual and clamp. */
static void check_shape(struct adl_rng *rng, struct adl_conv conv, enum fill fill)
{
    struct scene s;

    for (int form = 0; form < 4; form++) {
        conv.lo = form & 1 ? 0 : -INFINITY;
        conv.hi = form & 1 ? 6 : INFINITY;
        open_scene(&s, rng, conv, fill);
        s.job.to_floats = form == 2;
        s.job.has_residual = form > 0 && adl_conv_int8_supports(&conv, true);
        check_scene(&s);
        close_scene(&s);
    }
}

static struct adl_conv shape(int h, int w, int c, int k, int r, int s, int stride, int pad,
                             int groups, size_t gap)
{
    struct adl_conv conv = conv_run_shape(h, w, c, k, r, s, stride, pad, groups);
    conv.ldx += gap;
    conv.ldo += gap;
    conv.ldr += gap;
    return conv;
}

static void random_dense_shapes_match_the_definition(void)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 20, 0, 0);
    for (int i = 0; i < 60; i++) {
        int r = 1 + 2 * (int)adl_rng_below(&rng, 3), pad = (int)adl_rng_below(&rng, (uint32_t)r);
        int h = r + (int)adl_rng_below(&rng, 9), w = r + (int)adl_rng_below(&rng, 9);
        check_shape(&rng,
                    shape(h, w, 1 + (int)adl_rng_below(&rng, 40), 1 + (int)adl_rng_below(&rng, 50),
                          r, r, 1 + (int)adl_rng_below(&rng, 2), pad, 1, adl_rng_below(&rng, 4)),
                    FILL_RANDOM);
    }
    struct adl_conv dilated = shape(11, 10, 7, 19, 3, 3, 1, 0, 1, 0);
    dilated.gap = 1;
    dilated.p = 7;
    dilated.q = 6;
    check_shape(&rng, dilated, FILL_RANDOM);
    check_shape(&rng, shape(9, 8, 5, 18, 1, 7, 1, 0, 1, 3), FILL_RANDOM);
}

static void random_depthwise_shapes_match_the_definition(void)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 21, 0, 0);
    for (int i = 0; i < 60; i++) {
        int r = i % 3 ? 3 : 1 + 2 * (int)adl_rng_below(&rng, 4);
        int pad = (int)adl_rng_below(&rng, (uint32_t)r);
        int c = 2 + (int)adl_rng_below(&rng, i % 4 ? 70 : 200);
        check_shape(&rng,
                    shape(r + (int)adl_rng_below(&rng, 9), r + (int)adl_rng_below(&rng, 9), c, c, r,
                          r, 1 + (int)adl_rng_below(&rng, 3), pad, c, adl_rng_below(&rng, 4)),
                    FILL_RANDOM);
    }
    check_shape(&rng, shape(9, 8, 67, 67, 5, 3, 1, 2, 67, 1), FILL_RANDOM);
}

/* VPMADDUBSW would saturate here; the deepest sum is that of VGG16's last 3x3 convolutions and
 * four times that. */
static void the_ends_of_the_range_do_not_saturate(void)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 22, 0, 0);
    for (enum fill fill = FILL_HIGHEST; fill < FILL_COUNT; fill++) {
        check_shape(&rng, shape(5, 5, 512, 17, 3, 3, 1, 1, 1, 0), fill);
        check_shape(&rng, shape(3, 3, 2048, 9, 3, 3, 1, 0, 1, 0), fill);
        check_shape(&rng, shape(6, 7, 48, 48, 3, 3, 1, 1, 48, 0), fill);
        check_shape(&rng, shape(7, 7, 20, 20, 7, 7, 1, 3, 20, 0), fill);
    }
}

static void shapes_without_kernels_are_refused(void)
{
    struct adl_conv grouped = shape(5, 5, 8, 16, 3, 3, 1, 1, 4, 0);
    struct adl_conv deep = shape(5, 5, 8192, 16, 3, 3, 1, 1, 1, 0);
    struct adl_conv wide = shape(9, 9, 8, 8, 9, 9, 1, 1, 8, 0);
    struct adl_conv depthwise = shape(5, 5, 8, 8, 3, 3, 1, 1, 8, 0);
    CU_ASSERT_FALSE(adl_conv_int8_supports(&grouped, false));
    CU_ASSERT_FALSE(adl_conv_int8_supports(&deep, false));
    CU_ASSERT_FALSE(adl_conv_int8_supports(&wide, false));
    CU_ASSERT_FALSE(adl_conv_int8_supports(&depthwise, true));
    CU_ASSERT_TRUE(adl_conv_int8_supports(&depthwise, false));
}

/* --- pooling and conversions ------------------------------------------------------------- */

static void check_pool(struct adl_rng *rng, const struct adl_int8_kernels *kernels, int channels,
                       int size, int stride, int w)
{
    int q = (w - 1) / stride + 1, pad_left = size / 2;
    size_t c = (size_t)channels, ldx = c + 3, ldo = c + 2;
    const uint8_t *rows[3];
    size_t steps[3];
    uint8_t pad[200], *x = bytes_of(rng, 3 * (size_t)w * ldx, FILL_RANDOM);
    uint8_t *out = adl_malloc((size_t)q * ldo, 1);
    size_t wrong = 0;

    for (int average = 0; average < 2; average++) {
        memset(pad, average ? 7 : 0, sizeof pad);
        for (int r = 0; r < size; r++) {
            bool inside = r < 2;
            rows[r] = inside ? x + (size_t)r * (size_t)w * ldx : pad;
            steps[r] = inside ? ldx : 0;
        }
        struct adl_int8_pool job = {rows, steps, pad,   size, stride, pad_left, w,
                                    q,    c,     0.13F, 1.5F, out,    ldo};
        if (!average && channels % 2) {
            job.scale = 1;
            job.shift = 0;
        }
        (average ? kernels->avgpool : kernels->maxpool)(&job);
        for (int o = 0; o < q; o++)
            for (size_t i = 0; i < c; i++) {
                int best = 0, sum = 0;
                for (int r = 0; r < size; r++)
                    for (int s = 0; s < size; s++) {
                        int column = o * stride - pad_left + s;
                        bool there = column >= 0 && column < w && r < 2;
                        int byte =
                            there ? x[((size_t)r * (size_t)w + (size_t)column) * ldx + i] : pad[0];
                        best = byte > best ? byte : best;
                        sum += byte;
                    }
                volatile float v = (float)(average ? sum : best) * job.scale;
                v = v + job.shift;
                wrong += out[(size_t)o * ldo + i] != (uint8_t)lrintf(fminf(fmaxf(v, 0), 255));
            }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    adl_free(x);
    adl_free(out);
}

static void check_pools(const struct adl_kernels *kernels)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 23, 0, 0);
    for (int i = 0; i < 30; i++)
        check_pool(&rng, kernels->int8, 1 + (int)adl_rng_below(&rng, 199),
                   1 + (int)adl_rng_below(&rng, 3), 1 + (int)adl_rng_below(&rng, 2),
                   1 + (int)adl_rng_below(&rng, 12));
}

static void pools_match_the_definition(void)
{
    for_each_isa(check_pools);
}

/* Halves go to the even neighbour; what is out of range or no number goes to an end. */
static void check_conversions(const struct adl_kernels *kernels)
{
    static const float values[] = {-INFINITY, INFINITY, NAN,   -1,     0,     0.5F,
                                   1.5F,      2.5F,     10,    126.5F, 127,   127.5F,
                                   3e38F,     -3e38F,   1e-9F, 200,    63.75F};
    static const uint8_t wanted[] = {0,   255, 0,   127, 128, 128, 130, 130, 138,
                                     254, 255, 255, 255, 0,   128, 255, 192};
    enum { COUNT = sizeof values / sizeof *values, WIDTH = COUNT + 19 };
    float x[3 * WIDTH], back[3 * WIDTH];
    uint8_t bytes[3 * WIDTH];

    for (size_t channels = 1; channels <= WIDTH; channels++)
        for (size_t gap = 0; gap < 2 && channels + gap <= WIDTH; gap++) {
            size_t wrong = 0, ld = channels + gap;
            for (size_t i = 0; i < 3 * ld; i++)
                x[i] = values[i % COUNT];
            memset(bytes, 0xA5, sizeof bytes);
            kernels->int8->to_bytes(
                &(struct adl_int8_convert){x, bytes, ld, ld, 3, channels, 1, 128});
            kernels->int8->to_floats(
                &(struct adl_int8_convert){back, bytes, ld, ld, 3, channels, 0.25F, 128});
            for (size_t i = 0; i < 3 * ld; i++) {
                bool there = i % ld < channels;
                wrong += bytes[i] != (there ? wanted[i % COUNT] : 0xA5);
                if (there)
                    wrong += back[i] != 0.25F * ((float)bytes[i] - 128);
            }
            CU_ASSERT_EQUAL(wrong, 0);
        }
}

static void conversions_match_the_definition(void)
{
    for_each_isa(check_conversions);
}

/* The last row of a matrix ends where a page ends, and the next page cannot be read: a compiler
 * that makes vectors of a plain loop may read rows that do not exist, which ends the program on the
 * day when the memory behind the matrix is not mapped. */
static void rows_that_do_not_exist_are_not_read(void)
{
    static int16_t b[64 * 2 * 8] __attribute__((aligned(64)));
    static float scale[8], shift[8];
    static uint8_t bytes[4 * 8];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct adl_int8_out out = {
        .scale = scale, .shift = shift, .hi = 255, .bytes = bytes, .ldo = 8};

    CU_ASSERT_FATAL(pages != MAP_FAILED && mprotect(pages + 2 * page, page, PROT_NONE) == 0);
    for (size_t steps = 1; steps <= 64; steps++)
        for (int m = 1; m <= adl_int8_generic.mr; m++) {
            const size_t lda = 4 * steps;
            struct adl_int8_tile tile = {.a = pages + 2 * page - (size_t)m * lda,
                                         .lda = lda,
                                         .b = b,
                                         .steps = steps,
                                         .m = m,
                                         .n = adl_int8_generic.nr,
                                         .out = out};
            adl_int8_generic.gemm(&tile);
        }
    munmap(pages, 3 * page);
}

TEST_SUITE(int8,
           {"random dense shapes match the definition", random_dense_shapes_match_the_definition},
           {"random depthwise shapes match the definition",
            random_depthwise_shapes_match_the_definition},
           {"the ends of the range do not saturate", the_ends_of_the_range_do_not_saturate},
           {"shapes without kernels are refused", shapes_without_kernels_are_refused},
           {"pools match the definition", pools_match_the_definition},
           {"conversions match the definition", conversions_match_the_definition},
           {"rows that do not exist are not read", rows_that_do_not_exist_are_not_read});
