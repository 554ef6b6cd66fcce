#ifndef ADL_OPS_CLASS_RANGE_H
#define ADL_OPS_CLASS_RANGE_H

/* Min-max normalisation of a channel of a class map over its positions: (v - min) / (max - min), in
 * float as PyTorch does it. */

#include <math.h>
#include <stddef.h>

struct class_range {
    float min, max;
};

/* Returns the least and the greatest value of channel `c`, both NaN if it has a NaN. */
static inline struct class_range class_range_of(const float *map, size_t pixels, size_t channels,
                                                size_t c)
{
    struct class_range range = {map[c], map[c]};
    for (size_t i = 1; i < pixels; i++) {
        float v = map[i * channels + c];
        range.min = v < range.min || isnan(v) ? v : range.min;
        range.max = v > range.max || isnan(v) ? v : range.max;
    }
    return range;
}

/* Returns v normalised. PyTorch has 0 / 0 where the map is constant; here it is 0 everywhere, which
 * shows no object. A map with a NaN is NaN everywhere. */
static inline float class_range_normalise(struct class_range range, float v)
{
    return range.max == range.min ? 0 : (v - range.min) / (range.max - range.min);
}

#endif
