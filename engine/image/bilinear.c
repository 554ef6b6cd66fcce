/* Bilinear enlargement. The centre of output pixel i of `size` lies at
 *
 *     p = (i + 0.5) * map_size / size - 0.5,  clamped to 0..map_size - 1,
 *
 * in the map's pixels (pixel centres are at whole numbers), and its value is interpolated
 * between the neighbours floor(p) and floor(p) + 1. Horizontal interpolation comes first:
 * a stretched row of the map serves all output rows between it and its neighbours, so that
 * each is made once, and what is left for an output row is one vertical interpolation over
 * contiguous floats. */

#include "image/bilinear.h"

#include "base/mem.h"
#include "base/size.h"

/* The lower neighbour of an output pixel and the weight of the upper one. */
static void bilinear_position(int i, int size, int map_size, int *first, float *share)
{
    double at = ((double)i + 0.5) * (double)map_size / (double)size - 0.5;
    at = at < 0 ? 0 : at > (double)(map_size - 1) ? (double)(map_size - 1) : at;
    /* The last pixel has no upper neighbour; it is the one before it with a weight of 1. */
    *first = ADL_MIN((int)at, ADL_MAX(map_size - 2, 0));
    *share = (float)(at - (double)*first);
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
    b->share = adl_malloc((size_t)width, sizeof *b->share);
    b->out = adl_malloc((size_t)width, sizeof *b->out);
    for (int i = 0; i < 2; i++)
        b->rows[i] = adl_malloc((size_t)width, sizeof *b->rows[i]);
    if (!b->first || !b->share || !b->out || !b->rows[0] || !b->rows[1])
        return adl_fail_nomem(err, "a heat map");
    for (int x = 0; x < width; x++)
        bilinear_position(x, width, map_width, &b->first[x], &b->share[x]);
    return 0;
}

void adl_bilinear_release(struct adl_bilinear *b)
{
    adl_free(b->first);
    adl_free(b->share);
    adl_free(b->out);
    adl_free(b->rows[0]);
    adl_free(b->rows[1]);
    *b = (struct adl_bilinear){0};
}

static float clamp_value(float value)
{
    return value > 0 ? ADL_MIN(value, 1) : 0;
}

/* Row `y` of the map stretched to the output's width. Even rows are kept in one buffer and
 * odd ones in the other, so two neighbours never displace each other. */
static const float *bilinear_stretch(struct adl_bilinear *b, int y)
{
    const float *from = b->map + (size_t)y * (size_t)b->map_width;
    const int next = b->map_width > 1;
    float *to = b->rows[y & 1];

    if (b->row_number[y & 1] == y)
        return to;
    b->row_number[y & 1] = y;
    for (int x = 0; x < b->width; x++) {
        float left = clamp_value(from[b->first[x]]);
        float right = clamp_value(from[b->first[x] + next]);
        to[x] = left + b->share[x] * (right - left);
    }
    return to;
}

const float *adl_bilinear_row(struct adl_bilinear *b, int y)
{
    int first;
    float share;

    bilinear_position(y, b->height, b->map_height, &first, &share);
    const float *upper = bilinear_stretch(b, first);
    const float *lower = b->map_height > 1 ? bilinear_stretch(b, first + 1) : upper;
    for (int x = 0; x < b->width; x++)
        b->out[x] = upper[x] + share * (lower[x] - upper[x]);
    return b->out;
}
