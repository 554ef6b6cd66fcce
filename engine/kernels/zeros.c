/* Finds values and windows that are zero; see zeros.h. */

#include "kernels/zeros.h"

/* Values compared before the search may end, so that the comparison is vectorised. */
#define RUN ((size_t)16)

bool adl_zeros_only(const float *x, size_t count)
{
    size_t i = 0;
    for (; i + RUN <= count; i += RUN) {
        int found = 0;
        for (size_t l = 0; l < RUN; l++)
            found |= x[i + l] != 0;
        if (found)
            return false;
    }
    for (; i < count; i++)
        if (x[i] != 0)
            return false;
    return true;
}

static bool zeros_pixel(const struct adl_winograd_input *tile, int row, int column)
{
    return adl_zeros_only(tile->pixels[row * tile->columns + column], tile->channels);
}

/* Returns false if no window of r x s pixels can be zero: every window holds a pixel in row
 * r - 1, 2 r - 1, ... and column s - 1, 2 s - 1, ..., and none of these few pixels is zero. */
static bool zeros_possible(const struct adl_winograd_input *tile, int r, int s)
{
    for (int i = r - 1; i < tile->rows; i += r)
        for (int j = s - 1; j < tile->columns; j += s)
            if (zeros_pixel(tile, i, j))
                return true;
    return false;
}

uint64_t adl_zeros_outputs(const struct adl_winograd_input *tile, int r, int s)
{
    unsigned zero[ADL_WINOGRAD_MAX_SIDE] = {0}; /* bit j of row i: pixel (i, j) is zero */
    uint64_t outputs = 0;

    if (!zeros_possible(tile, r, s))
        return 0;
    for (int i = 0; i < tile->rows; i++) {
        for (int j = 0; j < tile->columns; j++)
            zero[i] |= (unsigned)zeros_pixel(tile, i, j) << j;
    }
    for (int i = 0; i + r <= tile->rows; i++) {
        unsigned column = zero[i], window;
        for (int l = 1; l < r; l++)
            column &= zero[i + l];
        window = column;
        for (int l = 1; l < s; l++)
            window &= column >> l;
        outputs |= (uint64_t)window << 8 * i;
    }
    return outputs;
}
