#ifndef ADL_BASE_SIZE_H
#define ADL_BASE_SIZE_H

/* Arithmetic on sizes, with overflow checks for untrusted ones. */

#include <stdbool.h>
#include <stddef.h>

#define ADL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define ADL_MAX(a, b) ((a) > (b) ? (a) : (b))
#define ADL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Returns a / b, rounded up; b > 0. Unchecked: a + b must not overflow. */
static inline size_t adl_ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Returns the first of the items of part `i` when `count` items are cut into `parts` contiguous
 * parts, as even as possible; that of part `parts` is `count`. Unchecked: count * parts must not
 * overflow. */
static inline size_t adl_part_first(size_t count, size_t parts, size_t i)
{
    return count * i / parts;
}

/* The following functions are for untrusted sizes. Each returns 0, or -1 on overflow, in
 * which case *result is unchanged. */

static inline int adl_size_mul(size_t a, size_t b, size_t *result)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return -1;
    *result = product;
    return 0;
}

static inline int adl_size_add(size_t a, size_t b, size_t *result)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return -1;
    *result = sum;
    return 0;
}

/* Rounds up to a multiple of `unit`, a power of two. */
static inline int adl_size_round_up(size_t value, size_t unit, size_t *result)
{
    size_t sum;
    if (__builtin_add_overflow(value, unit - 1, &sum))
        return -1;
    *result = sum & ~(unit - 1);
    return 0;
}

#endif
