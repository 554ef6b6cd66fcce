/* Bilinear enlargement. The centre of output pixel i of `size` lies at
 *
 *     p = (i + 0.5) * map_size / size - 0.5,  clamped to 0..map_size - 1,
 *
 * in the map's pixels (pixel centres are at whole numbers), and its value is interpolated
 * between the two neighbours floor(p) and floor(p) + 1.
 *
 * Each row of the map is first stretched to the output's width. The two latest rows are kept,
 * since all output rows between them need both; an output row is then one vertical
 * interpolation over contiguous floats. */

#include "image/bilinear.h"

#include "base/mem.h"
#include "base/size.h"

/* Sets *first to the first of the two neighbours of output pixel i, and *weight to the weight
 * of the second, 0..1; the first has 1 - *weight. */
static void bilinear_position(int i, int size, int map_size, int *first, float *weight)
{
    double position = ((double)i + 0.5) * (double)map_size / (double)size - 0.5;
    const double last = (double)(map_size - 1);
    position = position < 0 ? 0 : position > last ? last : position;
    /* The last pixel of the map has none after it: there the first neighbour is the one
     * before it, and the second, the last pixel, has a weight of 1. */
    *first = ADL_MIN((int)position, ADL_MAX(map_size - 2, 0));
    *weight = (float)(position - (double)*first);
}

int adl_bilinear_init(struct adl_bilinear *b, const float *map, int map_width, int map_height,
                      int width, int height, struct adl_error *err)
{
    *b = (struct adl_bilinear){.map = map,
                               .map_width = map_width,
                               .map_height = map_height,
                               .width = width,
                               .height = height,
                               .row_number = {-1, -1}};
    b->first = adl_malloc((size_t)width, sizeof *b->first);
    b->weight = adl_malloc((size_t)width, sizeof *b->weight);
    b->out = adl_malloc((size_t)width, sizeof *b->out);
    for (int i = 0; i < 2; i++)
        b->rows[i] = adl_malloc((size_t)width, sizeof *b->rows[i]);
    if (!b->first || !b->weight || !b->out || !b->rows[0] || !b->rows[1])
        return adl_fail_nomem(err, "a heat map");
    for (int x = 0; x < width; x++)
        bilinear_position(x, width, map_width, &b->first[x], &b->weight[x]);
    return 0;
}

void adl_bilinear_release(struct adl_bilinear *b)
{
    adl_free(b->first);
    adl_free(b->weight);
    adl_free(b->out);
    adl_free(b->rows[0]);
    adl_free(b->rows[1]);
    *b = (struct adl_bilinear){0};
}

/* Clamps to 0..1. NaN gives 0, because every comparison with NaN is false. */
static float clamp_value(float value)
{
    return value > 0 ? ADL_MIN(value, 1) : 0;
}

/* Returns row `y` of the map, stretched to the output's width. Even rows are kept in one
 * buffer and odd ones in the other, so two neighbouring rows never displace each other. */
static const float *bilinear_stretch(struct adl_bilinear *b, int y)
{
    const float *from = b->map + (size_t)y * (size_t)b->map_width;
    /* In a map of one column, the second neighbour is the first. */
    const int next = b->map_width > 1 ? 1 : 0;
    float *to = b->rows[y & 1];

    if (b->row_number[y & 1] == y)
        return to;
    b->row_number[y & 1] = y;
    for (int x = 0; x < b->width; x++) {
        float left = clamp_value(from[b->first[x]]);
        float right = clamp_value(from[b->first[x] + next]);
        to[x] = left + b->weight[x] * (right - left);
    }
    return to;
}

const float *adl_bilinear_row(struct adl_bilinear *b, int y)
{
    int first;
    float weight;

    bilinear_position(y, b->height, b->map_height, &first, &weight);
    const float *above = bilinear_stretch(b, first);
    const float *below = b->map_height > 1 ? bilinear_stretch(b, first + 1) : above;
    for (int x = 0; x < b->width; x++)
        b->out[x] = above[x] + weight * (below[x] - above[x]);
    return b->out;
}
