/* Levenshtein's distance by dynamic programming.
 *
 * D(i, j), the distance between the first i bytes of a and the first j of b, is
 *   min(D(i-1, j-1) + (a[i-1] != b[j-1]), D(i-1, j) + 1, D(i, j-1) + 1):
 * a byte is changed or kept, removed, or inserted. Row i needs only row i-1, so one row
 * is kept and overwritten from the left, with the one value that is still needed and
 * already overwritten, D(i-1, j-1), in `diagonal`. */

#include "base/edit.h"

#include <stdint.h>

#include "base/size.h"

size_t adl_edit_distance(const char *a, size_t length_a, const char *b, size_t length_b)
{
    size_t row[ADL_EDIT_BYTES + 1];
    if (length_a > ADL_EDIT_BYTES || length_b > ADL_EDIT_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= length_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            size_t above = row[j];
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = ADL_MIN(change, ADL_MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[length_b];
}
