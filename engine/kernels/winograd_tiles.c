/* Divides the output of a Winograd convolution into tiles, and the tiles into blocks and
 * tasks.
 *
 * P and Q are rarely multiples of a tile's m outputs. The last row and the last column
 * of tiles then have fewer outputs, and smaller tiles for them, with a subset of the
 * points (winograd.h), save multiplications: on a 14x14 map with m = 4, for instance,
 * 3 of 4 tiles of a side are whole and the last one has 2 outputs, for which 4 of the
 * 6 points are enough. Not every tile then needs every position. The tiles are in such an
 * order (last row, whole tiles, last column) that those which need a given position are
 * always one contiguous run, hence rows of one matrix product. */

#include "base/mem.h"
#include "base/size.h"
#include "kernels/winograd_parts.h"

/* Input channels of a chunk of the depth, at most: rows of this length stay in the L1
 * cache. */
#define CHUNK 256
/* Bytes of a transformed chunk of compact weights, which stays in the L2 cache until
 * the block has been multiplied by it. */
#define COMPACT_BYTES 300000
/* Bytes of a block's transformed input and products, which stay in the L2 cache and
 * leave space for the weights that pass through it. */
#define BLOCK_BYTES 600000
/* Fewest tiles of a block: how often a weight is used once it has been loaded. */
#define BLOCK_TILES 28
/* A map of at most so many tiles is transformed as a whole, by `prepare`. */
#define WHOLE_TILES 64
/* Tasks of such a small map, if it has enough channels or tiles for them. The number of
 * blocks of a larger map is a multiple of this number, so that a few threads get equal
 * amounts of work, unless there are MANY_TASKS times as many blocks. */
#define WANTED_TASKS 8
#define MANY_TASKS 4

static bool winograd_supports_side(int points, int r)
{
    return r % 2 == 1 && r < points;
}

bool adl_winograd_supports(int points, const struct adl_conv *conv,
                           const struct adl_kernels *kernels)
{
    return kernels->winograd && conv->stride == 1 && conv->groups == 1 && conv->gap == 0 &&
           !conv->accumulate && conv->r * conv->s > 1 && winograd_supports_side(points, conv->r) &&
           winograd_supports_side(points, conv->s);
}

static size_t winograd_round_up(size_t a, size_t b)
{
    return adl_ceil_div(a, b) * b;
}

static const unsigned char winograd_all_positions[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* Returns the smallest subset of the points that gives `outputs` outputs with r taps. */
static struct adl_winograd_part winograd_smallest_part(int points, int r, int outputs)
{
    static const unsigned char of6_4[] = ADL_WINOGRAD_POSITIONS6_4;
    static const unsigned char of8_4[] = ADL_WINOGRAD_POSITIONS8_4;
    static const unsigned char of8_6[] = ADL_WINOGRAD_POSITIONS8_6;
    /* The kernels have no subset with a single output. */
    for (int size = 4; size < points; size += 2)
        if (size - r + 1 >= ADL_MAX(outputs, 2))
            return (struct adl_winograd_part){size, size - r + 1,
                                              points == 6 ? of6_4
                                              : size == 4 ? of8_4
                                                          : of8_6};
    return (struct adl_winograd_part){points, points - r + 1, winograd_all_positions};
}

static struct adl_winograd_side winograd_make_side(int points, int r, int pixels)
{
    struct adl_winograd_side side = {.r = r, .pixels = pixels};
    if (r == 1) {
        side.whole = (struct adl_winograd_part){1, 1, winograd_all_positions};
        side.count = pixels;
        return side;
    }
    side.whole = (struct adl_winograd_part){points, points - r + 1, winograd_all_positions};
    side.count = pixels / side.whole.outputs;
    int rest = pixels % side.whole.outputs;
    if (rest)
        side.last = winograd_smallest_part(points, r, rest);
    return side;
}

static int winograd_tile_count(const struct adl_winograd_side *side)
{
    return side->count + (side->last.outputs > 0);
}

/* Returns the number of input channels of a chunk of compact weights, from COMPACT_BYTES. */
static size_t winograd_compact_chunk(const struct adl_winograd_blocking *b)
{
    size_t most = COMPACT_BYTES / sizeof(float) / (b->positions * b->nr);
    size_t chunks = adl_ceil_div(b->channels, ADL_MAX(most, ADL_LINE_FLOATS));
    return winograd_round_up(adl_ceil_div(b->channels, chunks), ADL_LINE_FLOATS);
}

/* Returns the number of tiles of the map that the weights were packed for. */
static size_t winograd_packed_tiles(const struct adl_winograd_blocking *b,
                                    const struct adl_conv *conv)
{
    if (!conv->packed_p)
        return b->tiles;
    return adl_ceil_div((size_t)conv->packed_p, (size_t)b->rows.whole.outputs) *
           adl_ceil_div((size_t)conv->packed_q, (size_t)b->columns.whole.outputs);
}

struct adl_winograd_blocking adl_winograd_blocking(struct adl_winograd_variant variant,
                                                   const struct adl_conv *conv,
                                                   const struct adl_kernels *kernels)
{
    size_t nr = (size_t)kernels->winograd->nr, c = (size_t)conv->c, k = (size_t)conv->k;
    struct adl_winograd_blocking b = {
        .channels = c, .nr = nr, .compact = variant.compact, .bf16 = variant.bf16};

    b.rows = winograd_make_side(variant.points, conv->r, conv->p);
    b.columns = winograd_make_side(variant.points, conv->s, conv->q);
    b.positions = (size_t)(b.rows.whole.points * b.columns.whole.points);
    b.tiles = (size_t)winograd_tile_count(&b.rows) * (size_t)winograd_tile_count(&b.columns);
    b.panels = adl_ceil_div(k, nr);
    b.shared = winograd_packed_tiles(&b, conv) <= WHOLE_TILES;
    if (b.shared) {
        b.blocks = 1;
        b.slice_panels = adl_ceil_div(b.panels, WANTED_TASKS);
        b.slices = adl_ceil_div(b.panels, b.slice_panels);
        /* Each block would transform compact weights again, so with them there is only one. */
        while (!b.compact && b.blocks * b.slices < WANTED_TASKS &&
               b.tiles > b.blocks * (size_t)kernels->winograd->mr)
            b.blocks *= 2;
    } else {
        size_t most = BLOCK_BYTES / sizeof(float) / (b.positions * (c + k));
        b.blocks = adl_ceil_div(b.tiles, ADL_MAX(most, BLOCK_TILES));
        if (b.blocks < MANY_TASKS * WANTED_TASKS)
            b.blocks = winograd_round_up(b.blocks, WANTED_TASKS);
        b.slice_panels = b.panels;
        b.slices = 1;
    }
    b.block_tiles = adl_ceil_div(b.tiles, b.blocks);
    b.transformed_tiles = b.shared ? b.tiles : b.block_tiles;
    b.chunk =
        variant.compact ? winograd_compact_chunk(&b) : adl_ceil_div(c, adl_ceil_div(c, CHUNK));
    b.ldv = adl_conv_padded_row(c);
    b.ldm = b.slice_panels * nr + ADL_LINE_FLOATS;
    return b;
}

/* --- the order of the tiles -------------------------------------------------------- */

/* Returns the number of tiles of the last row if that is not whole, else 0. */
static size_t winograd_last_row_tiles(const struct adl_winograd_blocking *b)
{
    return b->rows.last.outputs ? (size_t)winograd_tile_count(&b->columns) : 0;
}

/* Returns 1 if there is a tile in a last row and a last column that are not whole, else 0. */
static size_t winograd_corner_tiles(const struct adl_winograd_blocking *b)
{
    return b->rows.last.outputs && b->columns.last.outputs ? 1 : 0;
}

/* The tiles are in this order: the corner, the rest of the last row, the whole tiles row by
 * row, the rest of the last column. */
struct adl_winograd_tile adl_winograd_tile(const struct adl_winograd_blocking *b, size_t index)
{
    const struct adl_winograd_side *rows = &b->rows, *columns = &b->columns;
    size_t corner = winograd_corner_tiles(b), last_row = winograd_last_row_tiles(b);
    size_t whole = (size_t)rows->count * (size_t)columns->count;
    struct adl_winograd_tile tile = {.rows = &rows->whole, .columns = &columns->whole};
    int i = rows->count, j = columns->count; /* row and column, in tiles */

    if (index < last_row) {
        tile.rows = &rows->last;
        if (index < corner)
            tile.columns = &columns->last;
        else
            j = (int)(index - corner);
    } else if (index < last_row + whole) {
        i = (int)((index - last_row) / (size_t)columns->count);
        j = (int)((index - last_row) % (size_t)columns->count);
    } else {
        tile.columns = &columns->last;
        i = (int)(index - last_row - whole);
    }
    tile.row = i * rows->whole.outputs;
    tile.column = j * columns->whole.outputs;
    return tile;
}

static bool winograd_has_position(const struct adl_winograd_part *part, int position)
{
    for (int i = 0; i < part->points; i++)
        if (part->positions[i] == position)
            return true;
    return false;
}

struct adl_winograd_run adl_winograd_tiles_of(const struct adl_winograd_blocking *b,
                                              size_t position)
{
    int row = (int)position / b->columns.whole.points;
    int column = (int)position % b->columns.whole.points;
    struct adl_winograd_run run = {0, b->tiles};

    if (!winograd_has_position(&b->columns.last, column)) {
        run.from = winograd_corner_tiles(b);
        run.to -= b->columns.last.outputs ? (size_t)b->rows.count : 0;
    }
    if (!winograd_has_position(&b->rows.last, row))
        run.from = winograd_last_row_tiles(b);
    return run;
}

struct adl_winograd_work adl_winograd_work(const struct adl_conv *conv,
                                           const struct adl_kernels *kernels, int points)
{
    struct adl_winograd_blocking b =
        adl_winograd_blocking((struct adl_winograd_variant){.points = points}, conv, kernels);
    struct adl_winograd_work work = {
        .tiles = b.tiles, .positions = b.positions, .blocks = b.blocks};
    for (size_t i = 0; i < b.positions; i++) {
        struct adl_winograd_run run = adl_winograd_tiles_of(&b, i);
        work.products += ADL_MAX(run.to, run.from) - run.from;
    }
    return work;
}
