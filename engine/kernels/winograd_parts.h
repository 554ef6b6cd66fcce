#ifndef ADL_KERNELS_WINOGRAD_PARTS_H
#define ADL_KERNELS_WINOGRAD_PARTS_H

/* What the files of Winograd convolution share: how a convolution falls into
 * tiles and blocks (winograd_tiles.c), and where its weights are
 * (winograd_weights.c). conv_winograd.c runs it. */

#include "kernels/conv.h"
#include "kernels/winograd.h"

/* Rows or columns: points of the whole tile, and of what is needed of it. */
struct adl_winograd_part {
    int points, outputs;
    const unsigned char *positions;
};

struct adl_winograd_side {
    int r;                          /* of the kernel */
    struct adl_winograd_part whole; /* tiles */
    struct adl_winograd_part last;  /* the last tile's; no outputs: there is none */
    int count;                      /* whole tiles */
    int pixels;                     /* of the output */
};

struct adl_winograd_blocking {
    struct adl_winograd_side rows, columns;
    size_t channels; /* of the input */
    size_t positions;
    size_t tiles, blocks, block_tiles; /* of a block at most */
    bool shared;                       /* the input is transformed once for all tasks */
    size_t transformed_tiles;          /* that lie together: all, or a block's */
    size_t nr, panels, slices, slice_panels;
    bool compact;
    size_t chunk;    /* of the depth */
    size_t ldv, ldm; /* floats from tile to tile: transformed input, product */
};

/* --- tiles (winograd_tiles.c) ------------------------------------------------- */

bool adl_winograd_supports(int points, const struct adl_conv *conv,
                           const struct adl_kernels *kernels);
struct adl_winograd_blocking adl_winograd_blocking(struct adl_winograd_variant variant,
                                                   const struct adl_conv *conv,
                                                   const struct adl_kernels *kernels);

/* What a Winograd convolution of `points` a side multiplies and transforms. */
struct adl_winograd_work {
    size_t tiles;
    size_t positions; /* of a tile: points of both sides */
    size_t products;  /* positions that are multiplied, over all tiles */
    size_t blocks;    /* times that all weights are read */
};
struct adl_winograd_work adl_winograd_work(const struct adl_conv *conv,
                                           const struct adl_kernels *kernels, int points);

struct adl_winograd_tile {
    const struct adl_winograd_part *rows, *columns;
    int row, column; /* of the output: its first pixel */
};
struct adl_winograd_tile adl_winograd_tile(const struct adl_winograd_blocking *b, size_t index);

struct adl_winograd_run {
    size_t from, to;
};
/* The tiles that need a position. */
struct adl_winograd_run adl_winograd_tiles_of(const struct adl_winograd_blocking *b,
                                              size_t position);

/* --- weights (winograd_weights.c) ----------------------------------------------- */

/* Floats of the packed weights; the biases, padded to whole panels, follow. */
size_t adl_winograd_weight_floats(const struct adl_winograd_blocking *b);
void adl_winograd_pack(const struct adl_winograd_blocking *b, const struct adl_conv *conv,
                       const struct adl_kernels *kernels, const float *weights, const float *scale,
                       const float *bias, float *packed);

/* Transformed ahead: where the weights of one position, panel and input channel
 * are, a vector of nr output channels. */
size_t adl_winograd_weight_offset(const struct adl_winograd_blocking *b, size_t position,
                                  size_t panel, size_t channel);

/* Compact: where those of a panel from an input channel on are. */
size_t adl_winograd_compact_offset(const struct adl_winograd_blocking *b, size_t panel,
                                   size_t channel);
/* Compact: transforms a panel's weights for `depth` input channels, at most a chunk,
 * which are at `packed`; position by position, chunk_step floats apart. */
size_t adl_winograd_chunk_floats(const struct adl_winograd_blocking *b);
size_t adl_winograd_chunk_step(const struct adl_winograd_blocking *b);
void adl_winograd_transform_chunk(const struct adl_winograd_blocking *b,
                                  const struct adl_kernels *kernels, const float *packed,
                                  size_t depth, float *to);

#endif
