/* Intersection over union of cut maps with masks, see mask_iou.h.
 *
 * The cut at a higher threshold lies within that at a lower one. A pixel of byte b is cut out at
 * the thresholds t with trunc(t * largest) < b, which are the first n(b) of the list. So a table of
 * n for the 256 bytes, made once for a map, and one increment a pixel give the counts at all
 * thresholds: the pixels cut out at threshold i are those with n > i, summed up from the end. */

#include "wsol/mask_iou.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "wsol/pxap.h"
#include "wsol/thresholds.h"

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

double adl_mask_cut_foreground(const struct adl_mask_cut *cut)
{
    return ratio(cut->both, cut->both + cut->map_only + cut->mask_only);
}

double adl_mask_cut_background(const struct adl_mask_cut *cut)
{
    return ratio(cut->neither, cut->neither + cut->map_only + cut->mask_only);
}

void adl_mask_cut_add(struct adl_mask_cut *into, const struct adl_mask_cut *from)
{
    into->both += from->both;
    into->map_only += from->map_only;
    into->mask_only += from->mask_only;
    into->neither += from->neither;
}

int adl_mask_iou_init(struct adl_mask_iou *counts, double interval, struct adl_error *err)
{
    *counts = (struct adl_mask_iou){.interval = interval};
    if (adl_threshold_steps(interval, &counts->steps, err) < 0)
        return -1;
    counts->foreground = adl_calloc(counts->steps + 1, sizeof *counts->foreground);
    counts->background = adl_calloc(counts->steps + 1, sizeof *counts->background);
    if (!counts->foreground || !counts->background) {
        adl_mask_iou_release(counts);
        return adl_fail_nomem(err, "counts of pixels");
    }
    return 0;
}

void adl_mask_iou_release(struct adl_mask_iou *counts)
{
    adl_free(counts->foreground);
    adl_free(counts->background);
    *counts = (struct adl_mask_iou){0};
}

/* Fills in, for each byte, the number of thresholds at which it is cut out of a map with this
 * largest byte. */
static void count_thresholds(const struct adl_mask_iou *counts, int largest, size_t table[256])
{
    size_t step = 0;

    for (int byte = 0; byte < 256; byte++) {
        while (step < counts->steps && (int)((double)step * counts->interval * largest) < byte)
            step++;
        table[byte] = step;
    }
}

static void count_pixel(struct adl_mask_cut *cut, bool out, bool on)
{
    cut->both += out && on;
    cut->map_only += out && !on;
    cut->mask_only += !out && on;
    cut->neither += !out && !on;
}

int adl_mask_iou_add(struct adl_mask_iou *counts, const double *map, const uint8_t *mask,
                     size_t count, double threshold, struct adl_mask_cut *cut,
                     struct adl_error *err)
{
    size_t table[256];
    int largest = 0;

    for (size_t i = 0; i < count; i++) {
        if (!(map[i] >= 0 && map[i] <= 1))
            return adl_fail(err, ADL_ERR_ARG,
                            "value %zu of the score map is %g; normalise the map to 0..1", i,
                            map[i]);
        largest = ADL_MAX(largest, (int)(map[i] * 255));
    }
    count_thresholds(counts, largest, table);
    *cut = (struct adl_mask_cut){0};
    int limit = (int)(threshold * largest);
    for (size_t i = 0; i < count; i++) {
        int byte = (int)(map[i] * 255);
        if (mask[i] == ADL_PXAP_IGNORED)
            continue;
        bool on = mask[i] == ADL_PXAP_FOREGROUND;
        (on ? counts->foreground : counts->background)[table[byte]]++;
        count_pixel(cut, byte > limit, on);
    }
    return 0;
}

void adl_mask_iou_merge(struct adl_mask_iou *into, const struct adl_mask_iou *from)
{
    for (size_t i = 0; i <= into->steps; i++) {
        into->foreground[i] += from->foreground[i];
        into->background[i] += from->background[i];
    }
}

void adl_mask_iou_clear(struct adl_mask_iou *counts)
{
    memset(counts->foreground, 0, (counts->steps + 1) * sizeof *counts->foreground);
    memset(counts->background, 0, (counts->steps + 1) * sizeof *counts->background);
}

void adl_mask_iou_cuts(const struct adl_mask_iou *counts, struct adl_mask_cut *cuts)
{
    struct adl_mask_cut cut = {0};

    for (size_t i = 0; i <= counts->steps; i++) {
        cut.mask_only += counts->foreground[i];
        cut.neither += counts->background[i];
    }
    for (size_t i = counts->steps; i-- > 0;) {
        cut.both += counts->foreground[i + 1];
        cut.mask_only -= counts->foreground[i + 1];
        cut.map_only += counts->background[i + 1];
        cut.neither -= counts->background[i + 1];
        cuts[i] = cut;
    }
}
