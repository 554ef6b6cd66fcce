#ifndef ADL_IMAGE_BILINEAR_H
#define ADL_IMAGE_BILINEAR_H

/* Enlarges a heat map to the size of an image, row by row, bilinearly. */

#include "base/error.h"

/* A heat map of map_height x map_width that is enlarged to height x width. Only the sizes are
 * for other files to read. One thread at a time. */
struct adl_bilinear {
    const float *map; /* borrowed */
    int map_width, map_height;
    int width, height;
    int *first;        /* [width] left neighbour of each output column */
    float *weight;     /* [width] weight of its right neighbour, 0..1 */
    float *rows[2];    /* [width] two neighbouring rows of the map, stretched */
    int row_number[2]; /* the map's rows that are in `rows`; -1: none yet */
    float *out;        /* [width] the row that adl_bilinear_row returns */
};

/* Prepares to enlarge `map`, map_height rows of map_width floats (at least 1 each), which has
 * to outlive the struct. Values outside 0..1 are clamped, and NaN counts as 0. Fails with
 * ADL_ERR_NOMEM; the struct has to be released in any case. */
int adl_bilinear_init(struct adl_bilinear *b, const float *map, int map_width, int map_height,
                      int width, int height, struct adl_error *err) ADL_MUST_CHECK;
void adl_bilinear_release(struct adl_bilinear *b);

/* Returns row y of the result: `width` values in 0..1 (except for rounding), valid until the
 * next call. Rows may be asked for in any order; ascending order is the cheapest. */
const float *adl_bilinear_row(struct adl_bilinear *b, int y);

#endif
