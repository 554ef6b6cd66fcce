#ifndef ADL_BASE_CLOCK_H
#define ADL_BASE_CLOCK_H

/* Measuring durations. */

#include <stdint.h>

/* Returns the nanoseconds since an arbitrary moment, by a clock that is never set back or
 * forward. */
uint64_t adl_clock_ns(void);

/* Returns the milliseconds between two readings of adl_clock_ns(). */
static inline double adl_clock_ms(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) * 1e-6;
}

#endif
