#ifndef ADL_OPS_CONV_TILES_H
#define ADL_OPS_CONV_TILES_H

/* A batch of maps as tiles of Winograd's F(4x4, 3x3), for a training step: the
 * products are over the tiles of many images at a time, so that weights, which
 * are new in each step, are read once for all of them. */

#include "kernels/conv.h"

#define ADL_TILE_SIDE 4                   /* of a tile of the output */
#define ADL_TILE_SPAN (ADL_TILE_SIDE + 2) /* of the input */
#define ADL_TILE_POSITIONS (ADL_TILE_SPAN * ADL_TILE_SPAN)
/* Tiles in a task that transforms. */
#define ADL_TILE_TASK ((size_t)16)

/* All of a tile's positions, for kernels->winograd. */
extern const unsigned char adl_tile_positions[ADL_TILE_SPAN];

struct adl_tiles {
    size_t across, image, all; /* tiles of a row, of an image, of the batch */
    size_t ldx, ldy;           /* floats from tile to tile, transformed: of the input, the output */
    size_t chunk;              /* tiles that are transformed at a time */
};
struct adl_tiles adl_tiles_of(const struct adl_conv *conv, int batch);

struct adl_tile {
    size_t image;
    int p, q; /* its first pixel of the output */
};
struct adl_tile adl_tile_at(const struct adl_tiles *tiles, size_t index);

/* The transform of a tile of the input: position i at v + i * step. `zeros` are
 * ldx of them. */
void adl_tile_input(const struct adl_conv *conv, const struct adl_kernels *kernels,
                    struct adl_tile tile, const float *x, const float *zeros, float *v,
                    size_t step);

/* Pointers to the pixels of a tile of the output's map, `zeros` where there are none. */
void adl_tile_output_pixels(const struct adl_conv *conv, struct adl_tile tile, const float *y,
                            const float *zeros, const float *pixels[ADL_TILE_POSITIONS]);

#endif
