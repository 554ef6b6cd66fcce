/* Crops and mirrors images and changes their colours.
 *
 * Every random number comes from the caller's generator, which is for one image in one epoch, and
 * the order of draws is fixed, so the result does not depend on which thread makes it. */

#include "data/augment.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/size.h"
#include "data/colour.h"

/* The constants of torchvision's RandomResizedCrop: the largest aspect ratio, whose inverse is the
 * least, and the number of attempts to find a part that fits into the image. */
#define MAX_RATIO (4.0 / 3.0)
#define ATTEMPTS 10

/* The bounds of a part, with the defaults in place of 0. */
struct bounds {
    double max_area, min_ratio, max_ratio;
};

static struct bounds bounds_of(const struct adl_augment_options *o)
{
    return (struct bounds){.max_area = o->max_area > 0 ? o->max_area : 1,
                           .min_ratio = o->min_ratio > 0 ? o->min_ratio : 1 / MAX_RATIO,
                           .max_ratio = o->max_ratio > 0 ? o->max_ratio : MAX_RATIO};
}

static int check_parts(const struct adl_augment_options *o, struct adl_error *err)
{
    const struct bounds b = bounds_of(o);

    if (!(o->min_area > 0 && o->min_area <= 1))
        return adl_fail(err, ADL_ERR_ARG, "a smallest area of %g is not in 0..1", o->min_area);
    if (!(o->max_area >= 0 && b.max_area >= o->min_area && b.max_area <= 1))
        return adl_fail(err, ADL_ERR_ARG, "a largest area of %g is not from the smallest, %g, to 1",
                        o->max_area, o->min_area);
    if (!(o->min_ratio >= 0 && o->max_ratio >= 0 && b.min_ratio <= b.max_ratio))
        return adl_fail(err, ADL_ERR_ARG, "a smallest aspect ratio of %g is above the largest, %g",
                        b.min_ratio, b.max_ratio);
    return 0;
}

int adl_augment_check(const struct adl_augment_options *o, struct adl_error *err)
{
    const double strengths[] = {o->brightness, o->contrast, o->saturation};

    if (o->crop_size < 1 || o->crop_size > ADL_LIMIT_INPUT_SIDE)
        return adl_fail(err, ADL_ERR_ARG, "a crop size of %d is not in 1..%d", o->crop_size,
                        ADL_LIMIT_INPUT_SIDE);
    if (!o->train)
        return 0;
    if (!o->random_resized_crop &&
        (o->resize_size < o->crop_size || o->resize_size > ADL_LIMIT_INPUT_SIDE))
        return adl_fail(err, ADL_ERR_ARG,
                        "a resize size of %d is not in %d..%d, from the crop size up",
                        o->resize_size, o->crop_size, ADL_LIMIT_INPUT_SIDE);
    if (o->random_resized_crop && check_parts(o, err) < 0)
        return -1;
    if (!(o->flip >= 0 && o->flip <= 1))
        return adl_fail(err, ADL_ERR_ARG, "a probability of mirroring of %g is not in 0..1",
                        o->flip);
    for (size_t i = 0; i < ADL_COUNT(strengths); i++)
        if (!(strengths[i] >= 0 && strengths[i] <= 1))
            return adl_fail(err, ADL_ERR_ARG, "a colour change of %g is not in 0..1", strengths[i]);
    if (!(o->hue >= 0 && o->hue <= 0.5))
        return adl_fail(err, ADL_ERR_ARG, "a change of hue of %g is not in 0..0.5", o->hue);
    return 0;
}

/* --- geometry ------------------------------------------------------------------ */

struct part {
    int x, y, width, height;
};

/* Draws an integer in 0..max. */
static int draw_offset(struct adl_rng *rng, int max)
{
    return (int)adl_rng_below(rng, (uint64_t)max + 1);
}

/* Draws a part of the image: the fraction of the area is uniform and the aspect ratio log-uniform
 * within the bounds of the options. If no attempt fits, returns the largest centred part within the
 * ratios. */
static struct part draw_part(int width, int height, const struct adl_augment_options *o,
                             struct adl_rng *rng)
{
    const struct bounds b = bounds_of(o);
    double area = (double)width * height;
    /* Not the logarithm of the rounded inverse: the bits are those of versions without options. */
    double least = o->min_ratio > 0 ? log(b.min_ratio) : -log(MAX_RATIO), most = log(b.max_ratio);

    for (int i = 0; i < ATTEMPTS; i++) {
        double part_area = area * adl_rng_between(rng, o->min_area, b.max_area);
        double ratio = exp(adl_rng_between(rng, least, most));
        int w = (int)rint(sqrt(part_area * ratio)), h = (int)rint(sqrt(part_area / ratio));
        if (w < 1 || w > width || h < 1 || h > height)
            continue;
        int y = draw_offset(rng, height - h);
        return (struct part){draw_offset(rng, width - w), y, w, h};
    }
    int w = (int)ADL_MIN((double)width, ADL_MAX(rint(height * b.max_ratio), 1));
    int h = (int)ADL_MIN((double)height, ADL_MAX(rint(width / b.min_ratio), 1));
    return (struct part){(width - w) / 2, (height - h) / 2, w, h};
}

/* Copies a part of the image. */
static int cut_out(const struct adl_image *image, struct part part, struct adl_image *out,
                   struct adl_error *err)
{
    if (adl_image_init(out, part.width, part.height, err) < 0)
        return -1;
    for (int y = 0; y < part.height; y++)
        memcpy(out->rgb + (size_t)y * (size_t)part.width * 3,
               image->rgb + ((size_t)(part.y + y) * (size_t)image->width + (size_t)part.x) * 3,
               (size_t)part.width * 3);
    return 0;
}

/* --- colours ------------------------------------------------------------------------ */

/* Changes the colours in a fixed order, without the hue. */
static void change_colours(struct adl_image *image, const struct adl_augment_options *o,
                           struct adl_rng *rng)
{
    const double strengths[] = {o->brightness, o->contrast, o->saturation};

    for (size_t i = 0; i < ADL_COUNT(strengths); i++)
        if (strengths[i] > 0)
            adl_colour_change(image, (enum adl_colour)i,
                              adl_rng_between(rng, 1 - strengths[i], 1 + strengths[i]));
}

/* Changes the colours in an order that is drawn. Like torchvision, draws the order first, then the
 * amounts in the order of enum adl_colour. */
static void change_colours_in_any_order(struct adl_image *image,
                                        const struct adl_augment_options *o, struct adl_rng *rng)
{
    const double strengths[] = {o->brightness, o->contrast, o->saturation, o->hue};
    size_t order[] = {ADL_COLOUR_BRIGHTNESS, ADL_COLOUR_CONTRAST, ADL_COLOUR_SATURATION,
                      ADL_COLOUR_HUE};
    double amounts[ADL_COLOURS] = {0};

    adl_rng_shuffle(rng, order, ADL_COLOURS);
    for (size_t i = 0; i < ADL_COLOURS; i++) {
        double middle = i == ADL_COLOUR_HUE ? 0 : 1;
        if (strengths[i] > 0)
            amounts[i] = adl_rng_between(rng, middle - strengths[i], middle + strengths[i]);
    }
    for (size_t i = 0; i < ADL_COLOURS; i++)
        if (strengths[order[i]] > 0)
            adl_colour_change(image, (enum adl_colour)order[i], amounts[order[i]]);
}

/* --- augmentation ---------------------------------------------------------------------- */

static int crop_part(const struct adl_image *image, const struct adl_augment_options *o,
                     struct adl_rng *rng, struct adl_image *out, struct adl_error *err)
{
    struct adl_image between = {0};
    int result = -1;

    struct part part = draw_part(image->width, image->height, o, rng);
    ADL_TRY(cut_out(image, part, &between, err));
    result = adl_image_resize(&between, o->crop_size, o->crop_size, out, err);
out:
    adl_image_release(&between);
    return result;
}

static int crop_frame(const struct adl_image *frame, const struct adl_augment_options *o,
                      struct adl_rng *rng, struct adl_image *out, struct adl_error *err)
{
    int slack = o->resize_size - o->crop_size;
    int y = draw_offset(rng, slack), x = draw_offset(rng, slack);
    return cut_out(frame, (struct part){x, y, o->crop_size, o->crop_size}, out, err);
}

/* Does the steps after the crop. */
static void vary(struct adl_image *out, const struct adl_augment_options *o, struct adl_rng *rng)
{
    if (o->flip > 0 && adl_rng_uniform(rng) < o->flip)
        adl_image_mirror(out);
    if (o->any_order)
        change_colours_in_any_order(out, o, rng);
    else
        change_colours(out, o, rng);
}

int adl_augment_frame_side(const struct adl_augment_options *o)
{
    if (!o->train)
        return o->crop_size;
    return o->random_resized_crop ? 0 : o->resize_size;
}

int adl_augment_frame(struct adl_image *frame, const struct adl_augment_options *o,
                      struct adl_rng *rng, struct adl_image *out, struct adl_error *err)
{
    if (!o->train) {
        *out = *frame;
        *frame = (struct adl_image){0};
        return 0;
    }
    int result = crop_frame(frame, o, rng, out, err);
    adl_image_release(frame);
    if (result == 0)
        vary(out, o, rng);
    return result;
}

int adl_augment(const struct adl_image *image, const struct adl_augment_options *o,
                struct adl_rng *rng, struct adl_image *out, struct adl_error *err)
{
    struct adl_image frame = {0};
    int side = adl_augment_frame_side(o);

    if (side > 0)
        return adl_image_resize(image, side, side, &frame, err) < 0
                   ? -1
                   : adl_augment_frame(&frame, o, rng, out, err);
    if (crop_part(image, o, rng, out, err) < 0)
        return -1;
    vary(out, o, rng);
    return 0;
}
