#ifndef ADL_OPS_CONV_CONV_TILES_H
#define ADL_OPS_CONV_CONV_TILES_H

/* A batch of maps as tiles of Winograd's algorithm, for a training step: the
 * products are over the tiles of many images at a time, so that weights, which
 * are new in each step, are read once for all of them. */

#include "kernels/conv.h"
#include "kernels/winograd.h"

#define ADL_TILE_POSITIONS (ADL_WINOGRAD_MAX_SIDE * ADL_WINOGRAD_MAX_SIDE)
/* Tiles in a task that transforms. */
#define ADL_TILE_TASK ((size_t)16)

/* All of a tile's positions along a side, for kernels->winograd. */
extern const unsigned char adl_tile_positions[ADL_WINOGRAD_MAX_SIDE];

struct adl_tiles {
    int row_points, column_points, row_outputs, column_outputs; /* of a tile: winograd.h */
    size_t positions;
    size_t across, image, all; /* tiles of a row, of an image, of the batch */
    size_t ldx, ldy;           /* floats from tile to tile, transformed: of the input, the output */
    size_t chunk;              /* tiles that are transformed at a time */
};
/* Tiles of 6 or 8 points a side; of a kernel of one row or column 1 along it. */
struct adl_tiles adl_tiles_of(const struct adl_conv *conv, int batch, int points);

struct adl_tile {
    size_t image;
    int p, q; /* its first pixel of the output */
};
struct adl_tile adl_tile_at(const struct adl_tiles *tiles, size_t index);

/* The transform of a tile of the input: position i at v + i * step. `zeros` are
 * ldx of them. */
void adl_tile_input(const struct adl_tiles *tiles, const struct adl_conv *conv,
                    const struct adl_kernels *kernels, struct adl_tile tile, const float *x,
                    const float *zeros, float *v, size_t step);

/* Pointers to the pixels of a tile of the output's map, `zeros` where there are none. */
void adl_tile_output_pixels(const struct adl_tiles *tiles, const struct adl_conv *conv,
                            struct adl_tile tile, const float *y, const float *zeros,
                            const float *pixels[ADL_TILE_POSITIONS]);

#endif
