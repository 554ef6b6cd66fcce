#ifndef ADL_WSOL_THRESHOLDS_H
#define ADL_WSOL_THRESHOLDS_H

#include <stddef.h>

#include "base/error.h"

/* Sets *steps to the number of thresholds 0, interval, 2 * interval, ... below 1 at which a curve
 * is sampled: as many as in numpy.arange(0, 1, interval), which the reference evaluation code uses.
 * Threshold i is (double)i * interval. Fails with ADL_ERR_ARG unless interval is in (0, 1], and
 * with ADL_ERR_LIMIT if there are more than ADL_LIMIT_CURVE_STEPS. */
int adl_threshold_steps(double interval, size_t *steps, struct adl_error *err) ADL_MUST_CHECK;

#endif
