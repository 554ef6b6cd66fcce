/* Counts the thresholds at which the curves of the metrics are sampled. */

#include "wsol/thresholds.h"

#include <math.h>

#include "base/limits.h"

int adl_threshold_steps(double interval, size_t *steps, struct adl_error *err)
{
    if (!(interval > 0 && interval <= 1))
        return adl_fail(err, ADL_ERR_ARG, "the threshold interval %g is not in (0, 1]", interval);
    double count = ceil(1 / interval);
    if (count > ADL_LIMIT_CURVE_STEPS)
        return adl_fail(err, ADL_ERR_LIMIT, "the threshold interval %g is below 1/%d", interval,
                        ADL_LIMIT_CURVE_STEPS);
    *steps = (size_t)count;
    return 0;
}
