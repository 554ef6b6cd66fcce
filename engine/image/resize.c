/* Resizes an image whose pixels are all in memory; the formula is in resize_filter.c. */

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image.h"
#include "image/resize_filter.h"

/* Does the horizontal pass. */
static void resize_rows(const struct adl_image *image, const struct adl_resize_filter *filter,
                        uint8_t *out)
{
    const size_t width = (size_t)image->width, size = (size_t)filter->size;

    for (size_t y = 0; y < (size_t)image->height; y++)
        adl_resize_row(image->rgb + y * width * 3, filter, out + y * size * 3);
}

/* Does the vertical pass. */
static void resize_columns(const uint8_t *in, size_t row_bytes,
                           const struct adl_resize_filter *filter, uint8_t *out)
{
    for (int i = 0; i < filter->size; i++)
        adl_resize_column(in + (size_t)filter->first[i] * row_bytes, row_bytes, filter, i,
                          out + (size_t)i * row_bytes);
}

int adl_image_resize(const struct adl_image *image, int width, int height, struct adl_image *out,
                     struct adl_error *err)
{
    struct adl_resize_filter across = {0}, down = {0};
    struct adl_image narrow = {0};
    int result = -1;

    ADL_TRY(adl_image_init(out, width, height, err));
    if (width == image->width && height == image->height) {
        memcpy(out->rgb, image->rgb, (size_t)width * (size_t)height * 3);
        return 0;
    }
    if (width != image->width) {
        ADL_TRY(adl_resize_filter_init(&across, image->width, width, err));
        if (height != image->height)
            ADL_TRY(adl_image_init(&narrow, width, image->height, err));
        resize_rows(image, &across, narrow.rgb ? narrow.rgb : out->rgb);
    }
    if (height != image->height) {
        ADL_TRY(adl_resize_filter_init(&down, image->height, height, err));
        resize_columns(narrow.rgb ? narrow.rgb : image->rgb, (size_t)width * 3, &down, out->rgb);
    }
    result = 0;
out:
    adl_image_release(&narrow);
    adl_resize_filter_release(&across);
    adl_resize_filter_release(&down);
    if (result < 0)
        adl_image_release(out);
    return result;
}
