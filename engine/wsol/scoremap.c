/* Enlarges score maps bicubically.
 *
 * The enlargement reproduces cv2.resize(map, INTER_CUBIC) on doubles to the last bit, because
 * the map is cut at a threshold afterwards, and a pixel on the other side of the threshold moves
 * a box.
 * Output pixel i of `out` along a side of `in` has its centre at
 *
 *     p = (i + 0.5) * in / out - 0.5
 *
 * in input pixels; with f = p - floor(p), it is a weighted sum of the four pixels
 * floor(p) - 1 .. floor(p) + 2, where pixels beyond the edge repeat the edge. The weights are
 * those of cubic convolution (R. Keys, 1981) with A = -0.75:
 *
 *     w(d) = (A + 2) d^3 - (A + 3) d^2 + 1        for distances d up to 1
 *     w(d) = A d^3 - 5 A d^2 + 8 A d - 4 A        for distances from 1 to 2
 *
 * As in OpenCV, p is rounded to float, f and the weights are computed in float, the last
 * weight is 1 minus the other three, and pixels are summed in double, first along rows,
 * then along columns, each from the lowest tap to the highest. There is no antialiasing. */

#include "wsol/boxes.h"

#include <math.h>

#include "base/mem.h"
#include "base/size.h"

#define TAPS 4

/* Computes Keys' kernel at the distances 1 + f, f, 1 - f and 2 - f, in Horner's form. */
static void scoremap_cubic_weights(float fraction, float *weights)
{
    const float a = -0.75F;
    float before = fraction + 1, after = 1 - fraction;
    weights[0] = ((a * before - 5 * a) * before + 8 * a) * before - 4 * a;
    weights[1] = ((a + 2) * fraction - (a + 3)) * fraction * fraction + 1;
    weights[2] = ((a + 2) * after - (a + 3)) * after * after + 1;
    weights[3] = 1 - weights[0] - weights[1] - weights[2];
}

static int scoremap_taps_init(struct adl_scoremap_taps *taps, int in, int out,
                              struct adl_error *err)
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

int adl_scoremap_resizer_init(struct adl_scoremap_resizer *resizer, int h, int w, int out_h,
                              int out_w, struct adl_error *err)
{
    *resizer = (struct adl_scoremap_resizer){.h = h, .w = w, .out_h = out_h, .out_w = out_w};
    if (h < 1 || w < 1 || out_h < 1 || out_w < 1)
        return adl_fail(err, ADL_ERR_ARG, "a score map of %d x %d cannot become one of %d x %d", w,
                        h, out_w, out_h);
    if (scoremap_taps_init(&resizer->across, w, out_w, err) < 0 ||
        scoremap_taps_init(&resizer->down, h, out_h, err) < 0) {
        adl_scoremap_resizer_release(resizer);
        return -1;
    }
    return 0;
}

void adl_scoremap_resizer_release(struct adl_scoremap_resizer *resizer)
{
    adl_free(resizer->across.sources);
    adl_free(resizer->across.weights);
    adl_free(resizer->down.sources);
    adl_free(resizer->down.weights);
    *resizer = (struct adl_scoremap_resizer){0};
}

void adl_scoremap_resizer_run(const struct adl_scoremap_resizer *resizer, const double *map,
                              double *wide, double *out)
{
    int h = resizer->h, w = resizer->w, out_h = resizer->out_h, out_w = resizer->out_w;

    for (int y = 0; y < h; y++) {
        const double *from = map + (size_t)y * (size_t)w;
        double *to = wide + (size_t)y * (size_t)out_w;
        for (int x = 0; x < out_w; x++) {
            const int *s = resizer->across.sources + x * TAPS;
            const float *a = resizer->across.weights + x * TAPS;
            to[x] = from[s[0]] * (double)a[0] + from[s[1]] * (double)a[1] +
                    from[s[2]] * (double)a[2] + from[s[3]] * (double)a[3];
        }
    }
    for (int y = 0; y < out_h; y++) {
        const double *rows[TAPS];
        double b[TAPS];
        double *to = out + (size_t)y * (size_t)out_w;
        for (int tap = 0; tap < TAPS; tap++) {
            rows[tap] = wide + (size_t)resizer->down.sources[y * TAPS + tap] * (size_t)out_w;
            b[tap] = (double)resizer->down.weights[y * TAPS + tap];
        }
        for (int x = 0; x < out_w; x++)
            to[x] = rows[0][x] * b[0] + rows[1][x] * b[1] + rows[2][x] * b[2] + rows[3][x] * b[3];
    }
}

int adl_scoremap_resize(const double *map, int h, int w, double *out, int out_h, int out_w,
                        struct adl_error *err)
{
    struct adl_scoremap_resizer resizer;
    double *wide = NULL;
    size_t values;

    if (adl_scoremap_resizer_init(&resizer, h, w, out_h, out_w, err) < 0)
        return -1;
    if (adl_size_mul((size_t)h, (size_t)out_w, &values) == 0)
        wide = adl_malloc(values, sizeof *wide);
    if (wide)
        adl_scoremap_resizer_run(&resizer, map, wide, out);
    else
        adl_fail_nomem(err, "a score map's enlargement");
    adl_scoremap_resizer_release(&resizer);
    adl_free(wide);
    return wide ? 0 : -1;
}
