#include "ops/conv/conv_tiles.h"

#include "base/mem.h"
#include "base/size.h"
#include "kernels/zeros.h"

/* A chunk has as many tiles as fill CHUNK_FLOATS floats (4 MiB) when transformed, but at
 * least CHUNK_TILES: the products of fewer tiles would not outweigh moving their sums through
 * the caches. */
#define CHUNK_FLOATS ((size_t)1 << 20)
#define CHUNK_TILES ((size_t)256)

const unsigned char adl_tile_positions[ADL_WINOGRAD_MAX_SIDE] = {0, 1, 2, 3, 4, 5, 6, 7};

/* Returns the stride from tile to tile in floats: whole cache lines, and one more than the
 * channels need, so that tiles do not all fall into the same sets of the cache. */
static size_t conv_tiles_stride(int channels)
{
    return ((size_t)channels + 2 * ADL_LINE_FLOATS - 1) / ADL_LINE_FLOATS * ADL_LINE_FLOATS;
}

struct adl_tiles adl_tiles_of(const struct adl_conv *conv, int batch, int points)
{
    struct adl_tiles tiles = {.ldx = conv_tiles_stride(conv->c), .ldy = conv_tiles_stride(conv->k)};
    tiles.row_points = conv->r == 1 ? 1 : points;
    tiles.column_points = conv->s == 1 ? 1 : points;
    tiles.row_outputs = tiles.row_points - conv->r + 1;
    tiles.column_outputs = tiles.column_points - conv->s + 1;
    tiles.positions = (size_t)(tiles.row_points * tiles.column_points);
    tiles.across = (size_t)((conv->q + tiles.column_outputs - 1) / tiles.column_outputs);
    tiles.image = tiles.across * (size_t)((conv->p + tiles.row_outputs - 1) / tiles.row_outputs);
    tiles.all = tiles.image * (size_t)batch;
    tiles.chunk = ADL_MAX(CHUNK_FLOATS / (tiles.positions * (tiles.ldx + tiles.ldy)), CHUNK_TILES);
    tiles.chunk = ADL_MIN(tiles.chunk, tiles.all);
    return tiles;
}

struct adl_tile adl_tile_at(const struct adl_tiles *tiles, size_t index)
{
    size_t in_image = index % tiles->image;
    return (struct adl_tile){.image = index / tiles->image,
                             .p = (int)(in_image / tiles->across) * tiles->row_outputs,
                             .q = (int)(in_image % tiles->across) * tiles->column_outputs};
}

/* Sets `pixels` to the addresses of the pixels of a rectangle of a map, row by row; `zeros`
 * for those that lie outside the map. */
static void conv_tiles_rectangle(const float *map, int h, int w, size_t ld, int top, int left,
                                 int rows, int columns, const float *zeros, const float **pixels)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            int y = top + i, x = left + j;
            bool inside = y >= 0 && y < h && x >= 0 && x < w;
            *pixels++ = inside ? map + ((size_t)y * (size_t)w + (size_t)x) * ld : zeros;
        }
}

void adl_tile_input(const struct adl_tiles *tiles, const struct adl_conv *conv,
                    const struct adl_kernels *kernels, struct adl_tile tile, const float *x,
                    const float *zeros, float *to, size_t step, uint64_t *zero_outputs)
{
    const float *pixels[ADL_TILE_POSITIONS];
    conv_tiles_rectangle(x + tile.image * (size_t)conv->h * (size_t)conv->w * conv->ldx, conv->h,
                         conv->w, conv->ldx, tile.p - conv->pad_top, tile.q - conv->pad_left,
                         tiles->row_points, tiles->column_points, zeros, pixels);
    struct adl_winograd_input input = {.row_points = tiles->row_points,
                                       .column_points = tiles->column_points,
                                       .rows = tiles->row_points,
                                       .columns = tiles->column_points,
                                       .row_positions = adl_tile_positions,
                                       .column_positions = adl_tile_positions,
                                       .pixels = pixels,
                                       .channels = (size_t)conv->c,
                                       .v = to,
                                       .step = step};
    kernels->winograd->input(&input);
    if (zero_outputs)
        *zero_outputs = adl_zeros_outputs(&input, conv->r, conv->s);
}

void adl_tile_output_pixels(const struct adl_tiles *tiles, const struct adl_conv *conv,
                            struct adl_tile tile, const float *y, const float *zeros,
                            const float *pixels[ADL_TILE_POSITIONS])
{
    conv_tiles_rectangle(y + tile.image * (size_t)conv->p * (size_t)conv->q * conv->ldo, conv->p,
                         conv->q, conv->ldo, tile.p, tile.q, tiles->row_outputs,
                         tiles->column_outputs, zeros, pixels);
}
