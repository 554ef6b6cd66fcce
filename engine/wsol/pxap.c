/* Computes pixel average precision: the area under the precision-recall curve of the pixels of a
 * data set, where a pixel is predicted as foreground if its score is at least the threshold t:
 *
 *   precision(t) = foreground pixels with score >= t / all pixels with score >= t
 *   recall(t)    = foreground pixels with score >= t / all foreground pixels
 *   PxAP         = sum over t of precision(t) * (recall(t) - recall(next higher t))
 *
 * Pixels that the mask marks as ignored count as neither foreground nor background. Since all
 * pixels of the data set make one curve, two histograms of scores, on and off the object, are
 * enough: they are summed up from the highest bin down. As in the reference, each threshold begins
 * a bin, and scores of exactly 1 have a separate bin. */

#include "wsol/pxap.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "wsol/thresholds.h"

int adl_pxap_init(struct adl_pxap *pxap, double interval, struct adl_error *err)
{
    size_t steps;

    memset(pxap, 0, sizeof *pxap);
    if (adl_threshold_steps(interval, &steps, err) < 0)
        return -1;
    pxap->interval = interval;
    pxap->bins = steps + 1;
    pxap->foreground = adl_calloc(pxap->bins, sizeof *pxap->foreground);
    pxap->background = adl_calloc(pxap->bins, sizeof *pxap->background);
    if (!pxap->foreground || !pxap->background) {
        adl_pxap_release(pxap);
        return adl_fail_nomem(err, "histograms of scores");
    }
    return 0;
}

void adl_pxap_release(struct adl_pxap *pxap)
{
    adl_free(pxap->foreground);
    adl_free(pxap->background);
    memset(pxap, 0, sizeof *pxap);
}

/* Returns the last bin i whose lower edge, i * interval in double, is not above the value. The
 * quotient is rounded and may be off by one if the value lies on an edge, so it is corrected. */
static size_t bin_of(const struct adl_pxap *pxap, double value)
{
    size_t last = pxap->bins - 2;
    if (value >= 1)
        return last + 1;
    size_t bin = ADL_MIN((size_t)(value / pxap->interval), last);
    while (bin > 0 && (double)bin * pxap->interval > value)
        bin--;
    while (bin < last && (double)(bin + 1) * pxap->interval <= value)
        bin++;
    return bin;
}

int adl_pxap_add(struct adl_pxap *pxap, const double *map, const uint8_t *mask, size_t count,
                 struct adl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!(map[i] >= 0 && map[i] <= 1))
            return adl_fail(err, ADL_ERR_ARG,
                            "value %zu of the score map is %g; normalise the map to 0..1", i,
                            map[i]);
        if (mask[i] != ADL_PXAP_BACKGROUND && mask[i] != ADL_PXAP_FOREGROUND &&
            mask[i] != ADL_PXAP_IGNORED)
            return adl_fail(err, ADL_ERR_ARG, "pixel %zu of the mask is %u, neither 0, 1 nor 255",
                            i, mask[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (mask[i] == ADL_PXAP_FOREGROUND)
            pxap->foreground[bin_of(pxap, map[i])]++;
        else if (mask[i] == ADL_PXAP_BACKGROUND)
            pxap->background[bin_of(pxap, map[i])]++;
    }
    return 0;
}

int adl_pxap_merge(struct adl_pxap *into, const struct adl_pxap *from, struct adl_error *err)
{
    if (into->interval != from->interval)
        return adl_fail(err, ADL_ERR_INTERNAL, "histograms of different bins cannot merge");
    for (size_t i = 0; i < into->bins; i++) {
        into->foreground[i] += from->foreground[i];
        into->background[i] += from->background[i];
    }
    return 0;
}

int adl_pxap_result(const struct adl_pxap *pxap, double *percent, struct adl_error *err)
{
    uint64_t positives = 0, above_foreground = 0, above_background = 0;
    double area = 0;
    for (size_t i = 0; i < pxap->bins; i++)
        positives += pxap->foreground[i];
    if (positives == 0)
        return adl_fail(err, ADL_ERR_ARG, "no foreground pixel in the masks to score against");
    for (size_t i = pxap->bins; i-- > 0;) {
        above_foreground += pxap->foreground[i];
        above_background += pxap->background[i];
        if (above_foreground + above_background > 0)
            area += (double)above_foreground / (double)(above_foreground + above_background) *
                    ((double)pxap->foreground[i] / (double)positives);
    }
    *percent = area * 100;
    return 0;
}
