#ifndef ADL_WSOL_PXAP_H
#define ADL_WSOL_PXAP_H

/* Pixel average precision (PxAP) against segmentation masks (Choe et al., CVPR 2020), as the
 * reference evaluation code computes it for OpenImages. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct adl_pxap {
    double interval; /* between the thresholds 0, interval, ... < 1 */
    size_t bins;     /* one for each threshold, and one for a score of exactly 1 */
    uint64_t *foreground, *background; /* [bins] pixels on and off the object; owned */
};

/* Values of a mask. */
#define ADL_PXAP_BACKGROUND 0
#define ADL_PXAP_FOREGROUND 1
#define ADL_PXAP_IGNORED 255

/* Prepares empty histograms; `interval` is in (0, 1]. Fails with ADL_ERR_ARG, ADL_ERR_LIMIT (too
 * many thresholds) or ADL_ERR_NOMEM. A struct is for one thread at a time; several threads use one
 * each and merge them at the end. */
int adl_pxap_init(struct adl_pxap *pxap, double interval, struct adl_error *err) ADL_MUST_CHECK;

void adl_pxap_release(struct adl_pxap *pxap);

/* Counts `count` pixels of a normalised map and of a mask of equal size. Fails with ADL_ERR_ARG for
 * a map value outside 0..1, a NaN or a mask value other than the three above; then nothing is
 * counted. */
int adl_pxap_add(struct adl_pxap *pxap, const double *map, const uint8_t *mask, size_t count,
                 struct adl_error *err) ADL_MUST_CHECK;

/* Adds the counts of `from`. Fails with ADL_ERR_INTERNAL if the two have different intervals. */
int adl_pxap_merge(struct adl_pxap *into, const struct adl_pxap *from,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Computes PxAP in percent. Fails with ADL_ERR_ARG if no foreground pixel was counted. */
int adl_pxap_result(const struct adl_pxap *pxap, double *percent,
                    struct adl_error *err) ADL_MUST_CHECK;

#endif
