/* Levenshtein's distance with one row of the table. */

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
