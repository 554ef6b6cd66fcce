/* Winograd convolution at stride 1 (formulas: winograd.h): 3x3, 5x5, 1x7 and
 * other kernels of odd sides.
 *
 * The output falls into tiles of m x m pixels. Transformed, a block of tiles is
 * multiplied position by position (tiles as rows, that position's weights:
 * tiles x C by C x K) and transformed back. Position by position, so that each
 * weight is read once for a block and the product's operands stay in the nearer
 * caches even where all the transformed tiles do not.
 *
 * A large map is many blocks, each a task that does all three. A small one is
 * a single block, whose weights are what takes time: `prepare` transforms it
 * once, and the tasks are slices of the output channels.
 *
 * Where the map's last rows or columns are few, their tiles need a subset of the
 * positions only. Tiles are put in such an order (last row, whole tiles, last
 * column) that those which a position needs are one run.
 *
 * Weights are transformed once, and lie in the order of their use: for each
 * slice, position, chunk of the depth and panel of nr output channels, the
 * chunk's rows of nr floats, zero beyond the last channel. The biases, padded
 * alike, follow. */

#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"
#include "kernels/winograd.h"

#define LINE_FLOATS 16
/* The product's depth is cut into chunks whose rows stay in the L1 cache. */
#define CHUNK 256
/* Bytes of a block's transformed input and output: they stay in the L2 cache
 * with room for the weights that pass through. */
#define BLOCK_BYTES 600000
/* Tiles that a block has at least, so that loading a weight is worth it. */
#define BLOCK_TILES 28
/* A map of at most so many tiles is one block. */
#define SINGLE_BLOCK_TILES 64
/* Tasks of a single block, where the output channels suffice; blocks of a
 * larger map are a multiple of it until there are this many times as many. */
#define WANTED_TASKS 8
#define MANY_TASKS 4
/* Tiles in a task of `prepare`. */
#define PREPARE_TILES 4

#define MAX_SIDE ADL_WINOGRAD_MAX_SIDE

/* Rows or columns: points of the whole tile, and of what is needed of it. */
struct part {
    int points, outputs;
    const unsigned char *positions;
};

struct side {
    int r;                   /* of the kernel */
    struct part whole, last; /* the last tile's; no outputs: there is none */
    int count;               /* whole tiles */
    int pixels;              /* of the output */
};

struct blocking {
    struct side rows, columns;
    size_t positions;
    size_t tiles, blocks, block_tiles;
    size_t panels, slices, slice_panels;
    size_t chunk;    /* of the depth */
    size_t ldv, ldm; /* floats from tile to tile: transformed input, product */
};

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static size_t round_up(size_t a, size_t b)
{
    return divide_up(a, b) * b;
}

static const unsigned char all_positions[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* The fewest points that give `outputs` outputs of a kernel of r taps. */
static struct part smallest_part(int points, int r, int outputs)
{
    static const unsigned char of6_4[] = ADL_WINOGRAD_POSITIONS6_4;
    static const unsigned char of8_4[] = ADL_WINOGRAD_POSITIONS8_4;
    static const unsigned char of8_6[] = ADL_WINOGRAD_POSITIONS8_6;
    /* A subset of fewer than two outputs more than taps has no kernel. */
    for (int size = 4; size < points; size += 2)
        if (size - r + 1 >= ADL_MAX(outputs, 2))
            return (struct part){size, size - r + 1,
                                 points == 6 ? of6_4
                                 : size == 4 ? of8_4
                                             : of8_6};
    return (struct part){points, points - r + 1, all_positions};
}

static struct side make_side(int points, int r, int pixels)
{
    struct side side = {.r = r, .pixels = pixels};
    if (r == 1) {
        side.whole = (struct part){1, 1, all_positions};
        side.count = pixels;
        return side;
    }
    side.whole = (struct part){points, points - r + 1, all_positions};
    side.count = pixels / side.whole.outputs;
    int rest = pixels % side.whole.outputs;
    if (rest)
        side.last = smallest_part(points, r, rest);
    return side;
}

static int tile_count(const struct side *side)
{
    return side->count + (side->last.outputs > 0);
}

static struct blocking blocking(int points, const struct adl_conv *v,
                                const struct adl_kernels *kernels)
{
    struct blocking b;
    size_t nr = (size_t)kernels->winograd->nr, c = (size_t)v->c, k = (size_t)v->k;

    b.rows = make_side(points, v->r, v->p);
    b.columns = make_side(points, v->s, v->q);
    b.positions = (size_t)(b.rows.whole.points * b.columns.whole.points);
    b.tiles = (size_t)tile_count(&b.rows) * (size_t)tile_count(&b.columns);
    b.panels = divide_up(k, nr);
    if (b.tiles <= SINGLE_BLOCK_TILES) {
        b.blocks = 1;
        b.slice_panels = divide_up(b.panels, WANTED_TASKS);
    } else {
        size_t most = BLOCK_BYTES / sizeof(float) / (b.positions * (c + k));
        b.blocks = divide_up(b.tiles, ADL_MAX(most, BLOCK_TILES));
        if (b.blocks < MANY_TASKS * WANTED_TASKS)
            b.blocks = round_up(b.blocks, WANTED_TASKS);
        b.slice_panels = b.panels;
    }
    b.block_tiles = divide_up(b.tiles, b.blocks);
    b.blocks = divide_up(b.tiles, b.block_tiles);
    b.slices = divide_up(b.panels, b.slice_panels);
    b.chunk = divide_up(c, divide_up(c, CHUNK));
    /* A line more than needed: rows fall into different cache sets. */
    b.ldv = round_up(c, LINE_FLOATS) + LINE_FLOATS;
    b.ldm = b.slice_panels * nr + LINE_FLOATS;
    return b;
}

/* --- the order of the tiles -------------------------------------------------------- */

struct tile {
    const struct part *rows, *columns;
    int row, column; /* of the output: its first pixel */
};

struct run {
    size_t from, to;
};

/* In the last row; of those, also in the last column. */
static size_t last_row_tiles(const struct blocking *b)
{
    return b->rows.last.outputs ? (size_t)tile_count(&b->columns) : 0;
}

static size_t corner_tiles(const struct blocking *b)
{
    return b->rows.last.outputs && b->columns.last.outputs ? 1 : 0;
}

/* The corner, the rest of the last row, whole tiles row by row, the last
 * column. */
static struct tile tile_at(const struct blocking *b, size_t index)
{
    const struct side *rows = &b->rows, *columns = &b->columns;
    size_t corner = corner_tiles(b), last_row = last_row_tiles(b);
    size_t whole = (size_t)rows->count * (size_t)columns->count;
    struct tile tile = {.rows = &rows->whole, .columns = &columns->whole};
    int i = rows->count, j = columns->count; /* in tiles */

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

static bool has_position(const struct part *part, int position)
{
    for (int i = 0; i < part->points; i++)
        if (part->positions[i] == position)
            return true;
    return false;
}

/* The tiles that need a position. */
static struct run tiles_of(const struct blocking *b, size_t position)
{
    int row = (int)position / b->columns.whole.points;
    int column = (int)position % b->columns.whole.points;
    struct run run = {0, b->tiles};

    if (!has_position(&b->columns.last, column)) {
        run.from = corner_tiles(b);
        run.to -= b->columns.last.outputs ? (size_t)b->rows.count : 0;
    }
    if (!has_position(&b->rows.last, row))
        run.from = last_row_tiles(b);
    return run;
}

/* --- the weights -------------------------------------------------------------------- */

static bool side_supported(int points, int r)
{
    return r % 2 == 1 && r < points;
}

static bool supports(int points, const struct adl_conv *v, const struct adl_kernels *kernels)
{
    return kernels->winograd && v->stride == 1 && v->groups == 1 && !v->accumulate &&
           v->r * v->s > 1 && side_supported(points, v->r) && side_supported(points, v->s);
}

static size_t weight_floats(const struct blocking *b, const struct adl_conv *v,
                            const struct adl_kernels *kernels)
{
    return b->positions * b->panels * (size_t)v->c * (size_t)kernels->winograd->nr;
}

static size_t packed_floats(int points, const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(points, v, kernels);
    return weight_floats(&b, v, kernels) + b.panels * (size_t)kernels->winograd->nr;
}

/* G of one side: r numbers for each point. */
static void kernel_matrix(const struct side *side, double g[MAX_SIDE][MAX_SIDE])
{
    static const float six[] = ADL_WINOGRAD_PAIRS6, eight[] = ADL_WINOGRAD_PAIRS8;
    int last = side->whole.points - 1;
    const float *pairs = last == 5 ? six : eight;
    double points[MAX_SIDE] = {0};

    for (int i = 1; i < last; i++)
        points[i] = i % 2 ? (double)pairs[(i - 1) / 2] : -(double)pairs[(i - 1) / 2];
    for (int i = 0; i < last; i++) {
        double power = 1;
        for (int j = 0; j < last; j++)
            if (j != i)
                power /= points[i] - points[j];
        for (int j = 0; j < side->r; j++, power *= points[i])
            g[i][j] = power;
    }
    for (int j = 0; j < side->r; j++)
        g[last][j] = j == side->r - 1;
}

/* Where the weights of one position, panel and input channel are: a vector of
 * nr output channels. */
static size_t weight_offset(const struct blocking *b, size_t channels, size_t nr, size_t position,
                            size_t panel, size_t c)
{
    size_t first = panel / b->slice_panels * b->slice_panels;
    size_t slice_panels = ADL_MIN(b->slice_panels, b->panels - first);
    size_t chunk = c / b->chunk * b->chunk, depth = ADL_MIN(b->chunk, channels - chunk);
    size_t rows = first * b->positions * channels; /* of the slices before */
    rows += position * slice_panels * channels;
    rows += chunk * slice_panels + (panel - first) * depth + (c - chunk);
    return rows * nr;
}

static void pack(int points, const struct adl_conv *v, const struct adl_kernels *kernels,
                 const float *weights, const float *scale, const float *bias, float *packed)
{
    struct blocking b = blocking(points, v, kernels);
    size_t nr = (size_t)kernels->winograd->nr, c_count = (size_t)v->c, k_count = (size_t)v->k;
    float *biases = packed + weight_floats(&b, v, kernels);
    size_t taps = (size_t)(v->r * v->s);
    double rows[MAX_SIDE][MAX_SIDE], columns[MAX_SIDE][MAX_SIDE];

    kernel_matrix(&b.rows, rows);
    kernel_matrix(&b.columns, columns);
    memset(packed, 0, packed_floats(points, v, kernels) * sizeof *packed);
    memcpy(biases, bias, k_count * sizeof *biases);
    for (size_t k = 0; k < k_count; k++)
        for (size_t c = 0; c < c_count; c++) {
            const float *w = weights + (k * c_count + c) * taps;
            float *to = packed + weight_offset(&b, c_count, nr, 0, k / nr, c) + k % nr;
            size_t step = weight_offset(&b, c_count, nr, 1, k / nr, c) -
                          weight_offset(&b, c_count, nr, 0, k / nr, c);
            for (int i = 0; i < b.rows.whole.points; i++) {
                double line[MAX_SIDE] = {0};
                for (int r = 0; r < v->r; r++)
                    for (int s = 0; s < v->s; s++)
                        line[s] += (double)scale[k] * rows[i][r] * (double)w[r * v->s + s];
                for (int j = 0; j < b.columns.whole.points; j++, to += step) {
                    double sum = 0;
                    for (int s = 0; s < v->s; s++)
                        sum += line[s] * columns[j][s];
                    *to = (float)sum;
                }
            }
        }
}

/* --- running --------------------------------------------------------------------------- */

static size_t tasks(int points, const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(points, v, kernels);
    return b.blocks * b.slices;
}

static size_t transformed_floats(const struct blocking *b)
{
    return b->positions * b->block_tiles * b->ldv;
}

/* A row of zeros for the padding, and one block: transformed (unless that is
 * shared), multiplied. */
static size_t scratch_floats(int points, const struct adl_conv *v,
                             const struct adl_kernels *kernels)
{
    struct blocking b = blocking(points, v, kernels);
    return b.ldv + (b.blocks > 1 ? transformed_floats(&b) : 0) +
           b.positions * b.block_tiles * b.ldm;
}

static size_t shared_floats(int points, const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(points, v, kernels);
    return b.blocks > 1 ? 0 : transformed_floats(&b);
}

static size_t prepare_tasks(int points, const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(points, v, kernels);
    return b.blocks > 1 ? 0 : divide_up(b.tiles, PREPARE_TILES);
}

/* Tiles from tile0 on to where the block's tile0 belongs. */
static void transform_input(const struct adl_conv *v, const struct adl_kernels *kernels,
                            const struct blocking *b, const float *x, size_t tile0, size_t tiles,
                            float *zeros, float *to)
{
    const float *pixels[MAX_SIDE * MAX_SIDE];
    struct adl_winograd_input job = {
        .row_points = b->rows.whole.points,
        .column_points = b->columns.whole.points,
        .pixels = pixels,
        .channels = (size_t)v->c,
        .step = b->block_tiles * b->ldv,
    };

    memset(zeros, 0, b->ldv * sizeof *zeros);
    for (size_t t = 0; t < tiles; t++) {
        struct tile tile = tile_at(b, tile0 + t);
        job.rows = tile.rows->points;
        job.columns = tile.columns->points;
        job.row_positions = tile.rows->positions;
        job.column_positions = tile.columns->positions;
        for (int i = 0; i < job.rows; i++)
            for (int j = 0; j < job.columns; j++) {
                int y = tile.row - v->pad_top + i, z = tile.column - v->pad_left + j;
                bool inside = y >= 0 && y < v->h && z >= 0 && z < v->w;
                pixels[i * job.columns + j] =
                    inside ? x + ((size_t)y * (size_t)v->w + (size_t)z) * v->ldx : zeros;
            }
        job.v = to + t * b->ldv;
        kernels->winograd->input(&job);
    }
}

static void multiply(const struct adl_conv *v, const struct adl_kernels *kernels,
                     const struct blocking *b, const float *weights, size_t panels, size_t tile0,
                     size_t tiles, const float *from, float *to)
{
    size_t c = (size_t)v->c, nr = (size_t)kernels->winograd->nr;

    for (size_t i = 0; i < b->positions; i++) {
        struct run run = tiles_of(b, i);
        size_t first = ADL_MAX(run.from, tile0) - tile0;
        size_t last = ADL_MIN(run.to, tile0 + tiles);
        last = last > tile0 + first ? last - tile0 : first;
        for (size_t l = 0; l < c; l += b->chunk)
            for (size_t panel = 0; panel < panels; panel++) {
                struct adl_winograd_product product = {
                    .a = from + (i * b->block_tiles + first) * b->ldv + l,
                    .lda = b->ldv,
                    .rows = last - first,
                    .b = weights,
                    .depth = ADL_MIN(b->chunk, c - l),
                    .c = to + (i * b->block_tiles + first) * b->ldm + panel * nr,
                    .ldc = b->ldm,
                    .accumulate = l > 0,
                };
                if (product.rows > 0)
                    kernels->winograd->product(&product);
                weights += product.depth * nr;
            }
    }
}

static void transform_output(const struct adl_conv *v, const struct adl_kernels *kernels,
                             const struct blocking *b, const float *biases, size_t tile0,
                             size_t tiles, size_t k0, const float *from, const float *residual,
                             float *out)
{
    size_t nr = (size_t)kernels->winograd->nr, q = (size_t)v->q;
    struct adl_winograd_output job = {
        .row_points = b->rows.whole.points,
        .column_points = b->columns.whole.points,
        .step = b->block_tiles * b->ldm,
        .bias = biases + k0,
        .ldo = v->ldo,
        .out_row = q * v->ldo,
        .ldr = v->ldr,
        .residual_row = q * v->ldr,
        .channels = ADL_MIN(b->slice_panels * nr, (size_t)v->k - k0),
        .lo = v->lo,
        .hi = v->hi,
    };
    for (size_t t = 0; t < tiles; t++) {
        struct tile tile = tile_at(b, tile0 + t);
        size_t pixel = (size_t)tile.row * q + (size_t)tile.column;
        job.rows = tile.rows->points;
        job.columns = tile.columns->points;
        job.row_positions = tile.rows->positions;
        job.column_positions = tile.columns->positions;
        job.row_outputs = tile.rows->outputs;
        job.column_outputs = tile.columns->outputs;
        job.height = ADL_MIN(job.row_outputs, v->p - tile.row);
        job.width = ADL_MIN(job.column_outputs, v->q - tile.column);
        job.m = from + t * b->ldm;
        job.out = out + pixel * v->ldo + k0;
        job.residual = residual ? residual + pixel * v->ldr + k0 : NULL;
        kernels->winograd->output(&job);
    }
}

static void prepare(int points, const struct adl_conv *v, const struct adl_kernels *kernels,
                    const float *x, float *shared, size_t task, float *scratch)
{
    struct blocking b = blocking(points, v, kernels);
    size_t tile0 = task * PREPARE_TILES;
    transform_input(v, kernels, &b, x, tile0, ADL_MIN(PREPARE_TILES, b.tiles - tile0), scratch,
                    shared + tile0 * b.ldv);
}

static void run(int points, const struct adl_conv *v, const struct adl_kernels *kernels,
                const float *packed, const float *x, const float *residual, float *out, size_t task,
                float *scratch)
{
    struct blocking b = blocking(points, v, kernels);
    size_t nr = (size_t)kernels->winograd->nr;
    size_t tile0 = task / b.slices * b.block_tiles;
    size_t tiles = ADL_MIN(b.block_tiles, b.tiles - tile0);
    size_t panel0 = task % b.slices * b.slice_panels;
    size_t panels = ADL_MIN(b.slice_panels, b.panels - panel0);
    float *zeros = scratch, *products = zeros + b.ldv;

    if (b.blocks > 1) {
        float *transformed = products;
        products += transformed_floats(&b);
        transform_input(v, kernels, &b, x, tile0, tiles, zeros, transformed);
        x = transformed;
    }
    multiply(v, kernels, &b, packed + weight_offset(&b, (size_t)v->c, nr, 0, panel0, 0), panels,
             tile0, tiles, x, products);
    transform_output(v, kernels, &b, packed + weight_floats(&b, v, kernels), tile0, tiles,
                     panel0 * nr, products, residual, out);
}

struct adl_winograd_work adl_winograd_work(const struct adl_conv *v,
                                           const struct adl_kernels *kernels, int points)
{
    struct blocking b = blocking(points, v, kernels);
    struct adl_winograd_work work = {.tiles = b.tiles, .positions = b.positions};
    for (size_t i = 0; i < b.positions; i++) {
        struct run run = tiles_of(&b, i);
        work.products += ADL_MAX(run.to, run.from) - run.from;
    }
    return work;
}

/* --- the algorithms: by points of a side
 * ----------------------------------------------------------- */

#define ALGORITHM(N)                                                                               \
    static bool supports##N(const struct adl_conv *v, const struct adl_kernels *kernels)           \
    {                                                                                              \
        return supports(N, v, kernels);                                                            \
    }                                                                                              \
    static size_t packed_floats##N(const struct adl_conv *v, const struct adl_kernels *kernels)    \
    {                                                                                              \
        return packed_floats(N, v, kernels);                                                       \
    }                                                                                              \
    static void pack##N(const struct adl_conv *v, const struct adl_kernels *kernels,               \
                        const float *weights, const float *scale, const float *bias,               \
                        float *packed)                                                             \
    {                                                                                              \
        pack(N, v, kernels, weights, scale, bias, packed);                                         \
    }                                                                                              \
    static size_t tasks##N(const struct adl_conv *v, const struct adl_kernels *kernels)            \
    {                                                                                              \
        return tasks(N, v, kernels);                                                               \
    }                                                                                              \
    static size_t scratch_floats##N(const struct adl_conv *v, const struct adl_kernels *kernels)   \
    {                                                                                              \
        return scratch_floats(N, v, kernels);                                                      \
    }                                                                                              \
    static size_t shared_floats##N(const struct adl_conv *v, const struct adl_kernels *kernels)    \
    {                                                                                              \
        return shared_floats(N, v, kernels);                                                       \
    }                                                                                              \
    static size_t prepare_tasks##N(const struct adl_conv *v, const struct adl_kernels *kernels)    \
    {                                                                                              \
        return prepare_tasks(N, v, kernels);                                                       \
    }                                                                                              \
    static void prepare##N(const struct adl_conv *v, const struct adl_kernels *kernels,            \
                           const float *x, float *shared, size_t task, float *scratch)             \
    {                                                                                              \
        prepare(N, v, kernels, x, shared, task, scratch);                                          \
    }                                                                                              \
    static void run##N(const struct adl_conv *v, const struct adl_kernels *kernels,                \
                       const float *packed, const float *x, const float *residual, float *out,     \
                       size_t task, float *scratch)                                                \
    {                                                                                              \
        run(N, v, kernels, packed, x, residual, out, task, scratch);                               \
    }                                                                                              \
    const struct adl_conv_algorithm adl_conv_winograd##N = {                                       \
        .name = "winograd" #N,                                                                     \
        .supports = supports##N,                                                                   \
        .packed_floats = packed_floats##N,                                                         \
        .pack = pack##N,                                                                           \
        .tasks = tasks##N,                                                                         \
        .scratch_floats = scratch_floats##N,                                                       \
        .shared_floats = shared_floats##N,                                                         \
        .prepare_tasks = prepare_tasks##N,                                                         \
        .prepare = prepare##N,                                                                     \
        .run = run##N,                                                                             \
    };

ALGORITHM(6)
ALGORITHM(8)
