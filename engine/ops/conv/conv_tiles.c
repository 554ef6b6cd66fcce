/* A batch as tiles of Winograd's algorithm. */

#include "ops/conv/conv_tiles.h"

#include "base/size.h"

#define LINE_FLOATS ((size_t)16)
/* Floats of a chunk's transformed tiles, unless that were too few tiles for a
 * product to be worth its sums' way through the caches. */
#define CHUNK_FLOATS ((size_t)1 << 20)
#define CHUNK_TILES ((size_t)256)

const unsigned char adl_tile_positions[ADL_WINOGRAD_MAX_SIDE] = {0, 1, 2, 3, 4, 5, 6, 7};

/* A line more than the channels need: tiles fall into different cache sets. */
static size_t tile_floats(int channels)
{
    return ((size_t)channels + 2 * LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
}

struct adl_tiles adl_tiles_of(const struct adl_conv *v, int batch, int points)
{
    struct adl_tiles tiles = {.ldx = tile_floats(v->c), .ldy = tile_floats(v->k)};
    tiles.row_points = v->r == 1 ? 1 : points;
    tiles.column_points = v->s == 1 ? 1 : points;
    tiles.row_outputs = tiles.row_points - v->r + 1;
    tiles.column_outputs = tiles.column_points - v->s + 1;
    tiles.positions = (size_t)(tiles.row_points * tiles.column_points);
    tiles.across = (size_t)((v->q + tiles.column_outputs - 1) / tiles.column_outputs);
    tiles.image = tiles.across * (size_t)((v->p + tiles.row_outputs - 1) / tiles.row_outputs);
    tiles.all = tiles.image * (size_t)batch;
    tiles.chunk = ADL_MAX(CHUNK_FLOATS / (tiles.positions * (tiles.ldx + tiles.ldy)), CHUNK_TILES);
    tiles.chunk = ADL_MIN(tiles.chunk, tiles.all);
    return tiles;
}

struct adl_tile adl_tile_at(const struct adl_tiles *tiles, size_t index)
{
    size_t at = index % tiles->image;
    return (struct adl_tile){.image = index / tiles->image,
                             .p = (int)(at / tiles->across) * tiles->row_outputs,
                             .q = (int)(at % tiles->across) * tiles->column_outputs};
}

/* Pointers to the pixels of a rectangle of a map, `zeros` where there is none. */
static void rectangle(const float *map, int h, int w, size_t ld, int top, int left, int rows,
                      int columns, const float *zeros, const float **pixels)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            int y = top + i, z = left + j;
            bool inside = y >= 0 && y < h && z >= 0 && z < w;
            *pixels++ = inside ? map + ((size_t)y * (size_t)w + (size_t)z) * ld : zeros;
        }
}

void adl_tile_input(const struct adl_tiles *tiles, const struct adl_conv *v,
                    const struct adl_kernels *kernels, struct adl_tile tile, const float *x,
                    const float *zeros, float *to, size_t step)
{
    const float *pixels[ADL_TILE_POSITIONS];
    rectangle(x + tile.image * (size_t)v->h * (size_t)v->w * v->ldx, v->h, v->w, v->ldx,
              tile.p - v->pad_top, tile.q - v->pad_left, tiles->row_points, tiles->column_points,
              zeros, pixels);
    kernels->winograd->input(&(struct adl_winograd_input){.row_points = tiles->row_points,
                                                          .column_points = tiles->column_points,
                                                          .rows = tiles->row_points,
                                                          .columns = tiles->column_points,
                                                          .row_positions = adl_tile_positions,
                                                          .column_positions = adl_tile_positions,
                                                          .pixels = pixels,
                                                          .channels = (size_t)v->c,
                                                          .v = to,
                                                          .step = step});
}

void adl_tile_output_pixels(const struct adl_tiles *tiles, const struct adl_conv *v,
                            struct adl_tile tile, const float *y, const float *zeros,
                            const float *pixels[ADL_TILE_POSITIONS])
{
    rectangle(y + tile.image * (size_t)v->p * (size_t)v->q * v->ldo, v->p, v->q, v->ldo, tile.p,
              tile.q, tiles->row_outputs, tiles->column_outputs, zeros, pixels);
}
