/* Rounds pieces of an array in a small buffer; see train/narrow.h.
 *
 * In units of 16 bits, float i of an array of `count` lies at 2 i, and number i of the message in
 * its second half at count + i, which is never below. So what is packed from the last number down
 * overwrites no float that is still to be read, and what is unpacked from the first one up
 * overwrites no number of the message that is. */

#include "train/narrow.h"

#include <string.h>

#include "base/size.h"

/* Floats of the buffers on the stack. */
#define PIECE ((size_t)1024)

void adl_narrow_round(const struct adl_bf16_kernels *kernels, float *values, size_t count)
{
    uint16_t halves[PIECE];
    for (size_t first = 0; first < count; first += PIECE) {
        size_t n = ADL_MIN(PIECE, count - first);
        kernels->round_map(values + first, n, halves);
        kernels->widen_map(halves, n, values + first);
    }
}

void adl_narrow_join_message(const struct adl_bf16_kernels *kernels, float *to,
                             const uint16_t *from, size_t count)
{
    uint16_t halves[PIECE];
    float wide[PIECE];
    for (size_t first = 0; first < count; first += PIECE) {
        size_t n = ADL_MIN(PIECE, count - first);
        kernels->round_map(to + first, n, halves);
        kernels->widen_map(halves, n, to + first);
        kernels->widen_map(from + first, n, wide);
        for (size_t i = 0; i < n; i++)
            to[first + i] += wide[i];
    }
}

void adl_narrow_join(const struct adl_bf16_kernels *kernels, float *to, const float *from,
                     size_t count)
{
    uint16_t halves[PIECE];
    for (size_t first = 0; first < count; first += PIECE) {
        size_t n = ADL_MIN(PIECE, count - first);
        kernels->round_map(from + first, n, halves);
        adl_narrow_join_message(kernels, to + first, halves, n);
    }
}

void adl_narrow_pack(const struct adl_bf16_kernels *kernels, float *values, size_t count,
                     size_t first, size_t last)
{
    uint16_t halves[PIECE];
    while (last > first) {
        size_t n = ADL_MIN(PIECE, last - first);
        last -= n;
        kernels->round_map(values + last, n, halves);
        memcpy(adl_narrow_message(values, count) + last, halves, n * sizeof *halves);
    }
}

void adl_narrow_unpack(const struct adl_bf16_kernels *kernels, float *values, size_t count,
                       size_t first, size_t last)
{
    uint16_t halves[PIECE];
    for (; first < last; first += ADL_MIN(PIECE, last - first)) {
        size_t n = ADL_MIN(PIECE, last - first);
        memcpy(halves, adl_narrow_message(values, count) + first, n * sizeof *halves);
        kernels->widen_map(halves, n, values + first);
    }
}
