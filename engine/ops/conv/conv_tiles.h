#ifndef ADL_OPS_CONV_CONV_TILES_H
#define ADL_OPS_CONV_CONV_TILES_H

/* A batch of maps as tiles of Winograd's algorithm, for a training step. The tiles of all
 * images are numbered consecutively, image by image and row by row; at each position of a
 * tile there is one matrix product whose rows are the tiles of many images, so that the
 * weights, which are new in each step, are read once for all of them. */

#include "kernels/conv.h"
#include "kernels/winograd.h"

/* The largest number of positions of a tile. */
#define ADL_TILE_POSITIONS (ADL_WINOGRAD_MAX_SIDE * ADL_WINOGRAD_MAX_SIDE)
/* Tiles that a task transforms. */
#define ADL_TILE_TASK ((size_t)16)

/* 0, 1, 2 ..: all positions along a side of a tile, for kernels->winograd. */
extern const unsigned char adl_tile_positions[ADL_WINOGRAD_MAX_SIDE];

struct adl_tiles {
    int row_points, column_points;   /* input pixels of a tile along each side */
    int row_outputs, column_outputs; /* output pixels of a tile along each side */
    size_t positions;                /* row_points * column_points */
    size_t across;                   /* tiles in a row of tiles */
    size_t image;                    /* tiles of an image */
    size_t all;                      /* tiles of the batch */
    size_t ldx, ldy; /* floats from tile to tile when transformed: of the input, the output */
    size_t chunk;    /* tiles that are transformed before they are multiplied */
};

/* Divides a batch into tiles of `points` = 6 or 8 points a side. Along a side on which the
 * kernel has only one row or column, a tile has one point. Tiles at the right and lower edges
 * reach beyond the map. */
struct adl_tiles adl_tiles_of(const struct adl_conv *conv, int batch, int points);

struct adl_tile {
    size_t image;
    int p, q; /* its first output pixel */
};
struct adl_tile adl_tile_at(const struct adl_tiles *tiles, size_t index);

/* The transform of a tile of the input x (N x H x W x C): the C values at position i
 * go to `to` + i * step, which is 64-byte aligned. `zeros`: ldx zeros, for the padding.
 * *zero_outputs (may be NULL): the outputs that see zeros only (kernels/zeros.h). */
void adl_tile_input(const struct adl_tiles *tiles, const struct adl_conv *conv,
                    const struct adl_kernels *kernels, struct adl_tile tile, const float *x,
                    const float *zeros, float *to, size_t step, uint64_t *zero_outputs);

/* Sets `pixels` to the addresses of the output pixels of a tile in y (N x P x Q x K), row by
 * row; `zeros` for those beyond the map. */
void adl_tile_output_pixels(const struct adl_tiles *tiles, const struct adl_conv *conv,
                            struct adl_tile tile, const float *y, const float *zeros,
                            const float *pixels[ADL_TILE_POSITIONS]);

#endif
