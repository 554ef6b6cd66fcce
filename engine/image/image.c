/* Images in memory: allocation, and the conversion to the network's input. */

#include "image/image.h"

#include "base/mem.h"
#include "base/size.h"

void adl_image_release(struct adl_image *image)
{
    adl_free(image->rgb);
    *image = (struct adl_image){0};
}

int adl_image_init(struct adl_image *image, int width, int height, struct adl_error *err)
{
    size_t pixels;

    *image = (struct adl_image){0};
    if (width < 1 || height < 1)
        return adl_fail(err, ADL_ERR_ARG, "an image cannot be %d x %d", width, height);
    if (adl_size_mul((size_t)width, (size_t)height, &pixels) < 0)
        return adl_fail_nomem(err, "an image");
    image->rgb = adl_malloc(pixels, 3);
    if (!image->rgb)
        return adl_fail(err, ADL_ERR_NOMEM, "out of memory for an image of %d x %d", width, height);
    image->width = width;
    image->height = height;
    return 0;
}

void adl_image_to_input(const struct adl_image *image, const float mean[3], const float std[3],
                        float *out)
{
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    const uint8_t *rgb = image->rgb;
    float table[3][256]; /* a byte has 256 values, so no pixel needs a division */

    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            table[c][v] = ((float)v / 255.0f - mean[c]) / std[c];
    for (size_t i = 0; i < pixels; i++, rgb += 3, out += 3) {
        out[0] = table[0][rgb[0]];
        out[1] = table[1][rgb[1]];
        out[2] = table[2][rgb[2]];
    }
}

void adl_image_mirror(struct adl_image *image)
{
    size_t width = (size_t)image->width;

    for (size_t y = 0; y < (size_t)image->height; y++) {
        uint8_t *row = image->rgb + y * width * 3;
        for (size_t left = 0, right = width - 1; left < right; left++, right--) {
            for (size_t c = 0; c < 3; c++) {
                uint8_t value = row[left * 3 + c];
                row[left * 3 + c] = row[right * 3 + c];
                row[right * 3 + c] = value;
            }
        }
    }
}
