/* Score maps: bicubic enlargement and normalisation.
 *
 * The enlargement gives the bits of cv2.resize(INTER_CUBIC) on doubles, for
 * which positions and weights have to be rounded to float where OpenCV does:
 * a byte of the map on the other side of a threshold moves a box. */

#include "wsol/boxes.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

#define TAPS 4

/* For each output pixel of one axis: where its four sources are, and how much
 * of each it takes. */
struct taps {
    int *sources;   /* TAPS each, clamped to the edge */
    float *weights; /* TAPS each */
};

static void scoremap_taps_release(struct taps *taps)
{
    adl_free(taps->sources);
    adl_free(taps->weights);
}

/* Keys' cubic convolution kernel with A = -0.75. */
static void scoremap_cubic_weights(float fraction, float *weights)
{
    const float a = -0.75F;
    float before = fraction + 1, after = 1 - fraction;
    weights[0] = ((a * before - 5 * a) * before + 8 * a) * before - 4 * a;
    weights[1] = ((a + 2) * fraction - (a + 3)) * fraction * fraction + 1;
    weights[2] = ((a + 2) * after - (a + 3)) * after * after + 1;
    weights[3] = 1 - weights[0] - weights[1] - weights[2];
}

static int scoremap_taps_init(struct taps *taps, int in, int out, struct adl_error *err)
{
    size_t count = (size_t)out;
    taps->sources = adl_malloc(count, TAPS * sizeof *taps->sources);
    taps->weights = adl_malloc(count, TAPS * sizeof *taps->weights);
    if (!taps->sources || !taps->weights)
        return adl_fail_nomem(err, "the weights of a score map's enlargement");

    double scale = 1 / ((double)out / in);
    for (int i = 0; i < out; i++) {
        float position = (float)((i + 0.5) * scale - 0.5);
        float whole = floorf(position);
        for (int tap = 0; tap < TAPS; tap++) {
            int source = (int)whole + tap - 1;
            taps->sources[i * TAPS + tap] = ADL_MAX(0, ADL_MIN(source, in - 1));
        }
        scoremap_cubic_weights(position - whole, taps->weights + i * TAPS);
    }
    return 0;
}

int adl_scoremap_resize(const double *map, int h, int w, double *out, int out_h, int out_w,
                        struct adl_error *err)
{
    struct taps across = {0}, down = {0};
    double *wide = NULL; /* h x out_w */
    size_t values;
    int result = -1;

    if (h < 1 || w < 1 || out_h < 1 || out_w < 1) {
        adl_fail(err, ADL_ERR_ARG, "a score map of %d x %d cannot become one of %d x %d", w, h,
                 out_w, out_h);
        goto out;
    }
    ADL_TRY(scoremap_taps_init(&across, w, out_w, err));
    ADL_TRY(scoremap_taps_init(&down, h, out_h, err));
    if (adl_size_mul((size_t)h, (size_t)out_w, &values) < 0 ||
        !(wide = adl_malloc(values, sizeof *wide))) {
        adl_fail_nomem(err, "a score map's enlargement");
        goto out;
    }

    for (int y = 0; y < h; y++) {
        const double *from = map + (size_t)y * (size_t)w;
        double *to = wide + (size_t)y * (size_t)out_w;
        for (int x = 0; x < out_w; x++) {
            const int *s = across.sources + x * TAPS;
            const float *a = across.weights + x * TAPS;
            to[x] = from[s[0]] * (double)a[0] + from[s[1]] * (double)a[1] +
                    from[s[2]] * (double)a[2] + from[s[3]] * (double)a[3];
        }
    }
    for (int y = 0; y < out_h; y++) {
        const double *rows[TAPS];
        double b[TAPS];
        double *to = out + (size_t)y * (size_t)out_w;
        for (int tap = 0; tap < TAPS; tap++) {
            rows[tap] = wide + (size_t)down.sources[y * TAPS + tap] * (size_t)out_w;
            b[tap] = (double)down.weights[y * TAPS + tap];
        }
        for (int x = 0; x < out_w; x++)
            to[x] = rows[0][x] * b[0] + rows[1][x] * b[1] + rows[2][x] * b[2] + rows[3][x] * b[3];
    }
    result = 0;
out:
    scoremap_taps_release(&across);
    scoremap_taps_release(&down);
    adl_free(wide);
    return result;
}

void adl_scoremap_normalise(double *map, size_t count)
{
    double least = INFINITY, greatest = -INFINITY;
    bool whole = count > 0;
    for (size_t i = 0; i < count; i++) {
        whole &= !isnan(map[i]);
        least = map[i] < least ? map[i] : least;
        greatest = map[i] > greatest ? map[i] : greatest;
    }
    double range = greatest - least;
    if (!whole || !isfinite(range) || range == 0) {
        memset(map, 0, count * sizeof *map);
        return;
    }
    for (size_t i = 0; i < count; i++)
        map[i] = (map[i] - least) / range;
}
