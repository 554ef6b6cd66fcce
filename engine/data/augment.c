/* Crops and mirrors images and changes their colours.
 *
 * Every random number comes from the caller's generator, which is for one image in one epoch, and
 * the order of draws is fixed, so the result does not depend on which thread makes it. */

#include "data/augment.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/size.h"

/* The constants of torchvision's RandomResizedCrop: the largest aspect ratio, and the number of
 * attempts to find a part that fits into the image. */
#define MAX_RATIO (4.0 / 3.0)
#define ATTEMPTS 10

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
    if (o->random_resized_crop && !(o->min_area > 0 && o->min_area <= 1))
        return adl_fail(err, ADL_ERR_ARG, "a smallest area of %g is not in 0..1", o->min_area);
    if (!(o->flip >= 0 && o->flip <= 1))
        return adl_fail(err, ADL_ERR_ARG, "a probability of mirroring of %g is not in 0..1",
                        o->flip);
    for (size_t i = 0; i < ADL_COUNT(strengths); i++)
        if (!(strengths[i] >= 0 && strengths[i] <= 1))
            return adl_fail(err, ADL_ERR_ARG, "a colour change of %g is not in 0..1", strengths[i]);
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

/* Draws a part of the image: the fraction of the area is uniform in min_area..1 and the aspect
 * ratio log-uniform in 3/4..4/3. If no attempt fits, returns the largest centred part within these
 * ratios. */
static struct part draw_part(int width, int height, double min_area, struct adl_rng *rng)
{
    double area = (double)width * height, log_ratio = log(MAX_RATIO);

    for (int i = 0; i < ATTEMPTS; i++) {
        double part_area = area * adl_rng_between(rng, min_area, 1);
        double ratio = exp(adl_rng_between(rng, -log_ratio, log_ratio));
        int w = (int)rint(sqrt(part_area * ratio)), h = (int)rint(sqrt(part_area / ratio));
        if (w < 1 || w > width || h < 1 || h > height)
            continue;
        int y = draw_offset(rng, height - h);
        return (struct part){draw_offset(rng, width - w), y, w, h};
    }
    int w = ADL_MIN(width, (int)rint(height * MAX_RATIO));
    int h = ADL_MIN(height, (int)rint(width * MAX_RATIO));
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

/* Returns the ITU-R 601 luma, 0..255. */
static double luma(const uint8_t *pixel)
{
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
}

static double mean_luma(const struct adl_image *image)
{
    size_t pixels = (size_t)image->width * (size_t)image->height;
    double sum = 0;

    for (size_t i = 0; i < pixels; i++)
        sum += luma(image->rgb + i * 3);
    return sum / (double)pixels;
}

/* Returns grey + factor * (value - grey), rounded and clamped to 0..255: a factor of 1 leaves the
 * value, 0 gives the grey, and more than 1 exaggerates the difference. */
static uint8_t blend(uint8_t value, double grey, double factor)
{
    double mixed = grey + factor * (value - grey);
    return (uint8_t)lrint(ADL_MIN(ADL_MAX(mixed, 0), 255));
}

/* The changes of colour. Each blends pixels with a grey: black, the mean luma of the image, or the
 * luma of the pixel, like torchvision's ColorJitter but in a fixed order. */
enum colour_change { BRIGHTNESS, CONTRAST, SATURATION };

static void change_colour(struct adl_image *image, enum colour_change change, double strength,
                          struct adl_rng *rng)
{
    size_t pixels = (size_t)image->width * (size_t)image->height;

    if (strength <= 0)
        return;
    double factor = adl_rng_between(rng, 1 - strength, 1 + strength);
    double constant = change == CONTRAST ? mean_luma(image) : 0;
    for (size_t i = 0; i < pixels; i++) {
        uint8_t *pixel = image->rgb + i * 3;
        double grey = change == SATURATION ? luma(pixel) : constant;
        for (size_t c = 0; c < 3; c++)
            pixel[c] = blend(pixel[c], grey, factor);
    }
}

/* --- augmentation ---------------------------------------------------------------------- */

static int crop_part(const struct adl_image *image, const struct adl_augment_options *o,
                     struct adl_rng *rng, struct adl_image *out, struct adl_error *err)
{
    struct adl_image between = {0};
    int result = -1;

    struct part part = draw_part(image->width, image->height, o->min_area, rng);
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
    change_colour(out, BRIGHTNESS, o->brightness, rng);
    change_colour(out, CONTRAST, o->contrast, rng);
    change_colour(out, SATURATION, o->saturation, rng);
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
