/* Changes of brightness, contrast, saturation and hue.
 *
 * The first three blend: a value v becomes g + factor (v - g), where the grey g is 0, the mean luma
 * of the image, or the luma of the pixel. The hue is that of HSV: with the largest and the least of
 * R, G and B, and c their difference, it is the position of the pixel on the hexagon red, yellow,
 * green, cyan, blue, magenta. Turning it keeps the largest and the least value, so neither a
 * conversion to HSV and back nor its rounding is needed: only the value between them is computed
 * anew. (A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978.) */

#include "data/colour.h"

#include <math.h>

#include "base/size.h"

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

/* Turns the hue of a pixel by `turn` of the six sides of the hexagon, 0..6. */
static void turn_hue(uint8_t *pixel, double turn)
{
    int r = pixel[0], g = pixel[1], b = pixel[2];
    int most = ADL_MAX(ADL_MAX(r, g), b), least = ADL_MIN(ADL_MIN(r, g), b), c = most - least;

    if (c == 0)
        return;
    double hue = most == r   ? (double)(g - b) / c
                 : most == g ? 2 + (double)(b - r) / c
                             : 4 + (double)(r - g) / c;
    hue = fmod(hue + turn + 6, 6);
    int side = ADL_MIN((int)hue, 5);
    double along = hue - side;
    /* On even sides the value in the middle rises, on odd ones it falls. */
    uint8_t middle = (uint8_t)lrint(least + c * (side % 2 ? 1 - along : along));
    uint8_t high = (uint8_t)most, low = (uint8_t)least;
    const uint8_t sides[6][3] = {{high, middle, low}, {middle, high, low}, {low, high, middle},
                                 {low, middle, high}, {middle, low, high}, {high, low, middle}};
    for (size_t i = 0; i < 3; i++)
        pixel[i] = sides[side][i];
}

void adl_colour_change(struct adl_image *image, enum adl_colour colour, double amount)
{
    size_t pixels = (size_t)image->width * (size_t)image->height;
    double constant = colour == ADL_COLOUR_CONTRAST ? mean_luma(image) : 0;

    for (size_t i = 0; i < pixels; i++) {
        uint8_t *pixel = image->rgb + i * 3;
        if (colour == ADL_COLOUR_HUE) {
            turn_hue(pixel, 6 * amount);
            continue;
        }
        double grey = colour == ADL_COLOUR_SATURATION ? luma(pixel) : constant;
        for (size_t c = 0; c < 3; c++)
            pixel[c] = blend(pixel[c], grey, amount);
    }
}
