/* kernels/train_loops.h: the loops of training of every instruction set this
 * machine has, against plain C, at odd sizes. */

#include "support/test.h"

#include <string.h>

#include "base/mem.h"
#include "support/formula.h"
#include "support/isas.h"

/* One window of a map of few different values, so that its maximum is there
 * more than once. */
static void check_maxpool_back(const struct adl_kernels *kernels, int rows, int columns, size_t c)
{
    size_t line = (size_t)(columns + 2) * c, count = (size_t)rows * line, wrong = 0;
    float *x = random_floats("x", count), *dy = random_floats("dy", c);
    float *dx = random_floats("dx", count), *want = random_floats("dx", count);
    float *y = adl_malloc(c, sizeof *y);

    for (size_t i = 0; i < count; i++)
        x[i] = (float)(int)(x[i] * 3);
    for (size_t i = 0; i < c; i++) {
        size_t best = i;
        for (int r = 0; r < rows; r++)
            for (int s = 0; s < columns; s++) {
                size_t at = (size_t)r * line + (size_t)s * c + i;
                best = x[at] > x[best] ? at : best;
            }
        y[i] = x[best];
        want[best] += dy[i];
    }
    kernels->maxpool_back(&(struct adl_maxpool_back){x, rows, columns, line, y, dy, dx, c});
    for (size_t i = 0; i < count; i++)
        wrong += dx[i] != want[i];
    CU_ASSERT_EQUAL(wrong, 0);
    adl_free(x);
    adl_free(y);
    adl_free(dy);
    adl_free(dx);
    adl_free(want);
}

static void maxpool_back_of(const struct adl_kernels *kernels)
{
    static const size_t widths[] = {1, 7, 16, 33, 255, 256, 259};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int rows = 1; rows <= 3; rows++)
            for (int columns = 1; columns <= 3; columns++)
                check_maxpool_back(kernels, rows, columns, widths[i]);
}

static void maxpool_back(void)
{
    for_each_isa(maxpool_back_of);
}

TEST_SUITE(train_kernels, {"the first maximum of a window takes the gradient", maxpool_back});
