#ifndef ADL_KERNELS_WINOGRAD_PARTS_H
#define ADL_KERNELS_WINOGRAD_PARTS_H

/* Types and functions that the three files of Winograd convolution share: the division into
 * tiles and blocks (winograd_tiles.c) and the layout of the weights (winograd_weights.c), both
 * used by conv_winograd.c. winograd.h defines the terms point, position and tile. */

#include "kernels/conv.h"
#include "kernels/winograd.h"

/* One side of a tile: the points that it uses and the outputs m that they give. */
struct adl_winograd_part {
    int points, outputs;
    const unsigned char *positions; /* `points` of them: indices into all points */
};

/* The rows or the columns of the output, divided into tiles. */
struct adl_winograd_side {
    int r;                          /* taps of the kernel */
    struct adl_winograd_part whole; /* the whole tiles */
    struct adl_winograd_part last;  /* the last tile, if it is not whole; else 0 outputs */
    int count;                      /* number of whole tiles */
    int pixels;                     /* of the output */
};

struct adl_winograd_blocking {
    struct adl_winograd_side rows, columns;
    size_t channels;                   /* of the input */
    size_t positions;                  /* of a whole tile, n n' */
    size_t tiles, blocks, block_tiles; /* block_tiles: tiles of the largest block */
    bool shared;                       /* `prepare` transforms the input for all tasks */
    size_t transformed_tiles;          /* tiles of one transformed matrix: all, or a block's */
    size_t nr, panels;                 /* output channels of a panel; panels */
    size_t slices, slice_panels;       /* tasks along the panels; panels of each */
    bool compact;                      /* layout of the weights */
    bool bf16;                         /* their type */
    size_t chunk;                      /* input channels done at a time */
    size_t ldv, ldm;                   /* floats from tile to tile: transformed input, products */
};

/* --- tiles (winograd_tiles.c) ------------------------------------------------- */

bool adl_winograd_supports(int points, const struct adl_conv *conv,
                           const struct adl_kernels *kernels);
struct adl_winograd_blocking adl_winograd_blocking(struct adl_winograd_variant variant,
                                                   const struct adl_conv *conv,
                                                   const struct adl_kernels *kernels);

/* The work of a Winograd convolution with tiles of `points` points per side, for the cost
 * model; the blocks are those that it has with transformed weights. */
struct adl_winograd_work {
    size_t tiles;
    size_t positions; /* of a whole tile */
    size_t products;  /* positions that are multiplied, summed over the tiles */
    size_t blocks;    /* how often all weights are read */
};
struct adl_winograd_work adl_winograd_work(const struct adl_conv *conv,
                                           const struct adl_kernels *kernels, int points);

struct adl_winograd_tile {
    const struct adl_winograd_part *rows, *columns;
    int row, column; /* of its first pixel in the output */
};
struct adl_winograd_tile adl_winograd_tile(const struct adl_winograd_blocking *b, size_t index);

struct adl_winograd_run {
    size_t from, to;
};
/* Returns the tiles [from, to) that need a position; there are none if from >= to. */
struct adl_winograd_run adl_winograd_tiles_of(const struct adl_winograd_blocking *b,
                                              size_t position);

/* --- weights (winograd_weights.c) ----------------------------------------------- */

/* Returns the floats of the packed weights, in either layout; the biases, padded to whole
 * panels, follow them. */
size_t adl_winograd_weight_floats(const struct adl_winograd_blocking *b);
/* Returns the floats of all that is packed: weights, biases, and factors with bfloat16. */
size_t adl_winograd_packed_floats(const struct adl_winograd_blocking *b);
void adl_winograd_pack(const struct adl_winograd_blocking *b, const struct adl_conv *conv,
                       const struct adl_kernels *kernels, const float *weights, const float *scale,
                       const float *bias, float *packed);

/* Transformed layout: returns the offset of the nr floats of one position, panel and input
 * channel. */
size_t adl_winograd_weight_offset(const struct adl_winograd_blocking *b, size_t position,
                                  size_t panel, size_t channel);

/* Compact layout: returns the offset in floats of a panel's weights from an input channel on. */
size_t adl_winograd_compact_offset(const struct adl_winograd_blocking *b, size_t panel,
                                   size_t channel);
/* Compact layout: transforms the weights at `packed`, those of `depth` input channels
 * (at most a chunk) of one panel, to `to`, which holds chunk_floats: for each position
 * depth x nr floats, the positions chunk_step floats apart. `factors` are those of the panel with
 * bfloat16. */
size_t adl_winograd_chunk_floats(const struct adl_winograd_blocking *b);
size_t adl_winograd_chunk_step(const struct adl_winograd_blocking *b);
void adl_winograd_transform_chunk(const struct adl_winograd_blocking *b,
                                  const struct adl_kernels *kernels, const float *packed,
                                  const float *factors, size_t depth, float *to);

#endif
