/* Reads true masks.
 *
 * A mask file is decoded as any image is, within the same limits, and sampled at the pixels that
 * cv2.resize(INTER_NEAREST) takes: for column x of `out` columns from `in`, floor(x * s) with
 * s = 1 / (out / in), all in double. Where x * in / out is a whole number this may be one less, and
 * one differing pixel would change PxAP, so the expression is OpenCV's, term by term.
 *
 * A colour becomes grey as libpng makes it for cv2.imread(IMREAD_GRAYSCALE), in 15 bits and
 * truncated; alpha is not looked at. A pixel is on if its grey value is at least 1. */

#include "data/mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/image_file.h"

/* Whether a pixel's grey value is 1 or more. The weights are 0.299, 0.587 and 0.114 of 2^15. */
static bool is_on(const uint8_t *rgb)
{
    return 9798 * rgb[0] + 19235 * rgb[1] + 3735 * rgb[2] >= 1 << 15;
}

static int nearest(int index, int in, int out)
{
    return ADL_MIN((int)floor(index * (1 / ((double)out / in))), in - 1);
}

/* Refuses a mask whose sides are not those of the image times one factor. Each side of either may
 * be off by one pixel, because someone has rounded it. */
static int check_shape(const struct adl_image *image, int width, int height, const char *path,
                       struct adl_error *err)
{
    int64_t across = (int64_t)image->width * height, down = (int64_t)image->height * width;
    int64_t slack = ADL_MAX((int64_t)image->width + image->height, (int64_t)width + height);

    if (width < 1 || height < 1 || llabs(across - down) <= slack)
        return 0;
    return adl_fail(err, ADL_ERR_FORMAT,
                    "%s: the mask has %d x %d pixels, but its image has %d x %d, which is another "
                    "shape",
                    path, image->width, image->height, width, height);
}

/* Reads one file and sets the pixels of `mask` that are ADL_MASK_BACKGROUND, and on in the file, to
 * `value`. */
static int add_file(const struct adl_dataset *dataset, const char *path, int image_width,
                    int image_height, int height, int width, uint8_t value, uint8_t *mask,
                    struct adl_error *err)
{
    const struct adl_decode_options how = {.ignore_orientation = !dataset->upright,
                                           .ignore_alpha = true};
    struct adl_image image = {0};
    struct adl_image_info info;
    struct stat file;
    int *columns = NULL, result = -1;

    /* A FIFO would wait for a writer, for ever. adl_image_read() reports a missing file. */
    if (stat(path, &file) == 0 && !S_ISREG(file.st_mode))
        return adl_fail(err, ADL_ERR_IO, "%s: is not a regular file", path);
    ADL_TRY(adl_image_read(path, &how, &image, &info, err));
    if (info.type != ADL_IMAGE_PNG) {
        adl_fail(err, ADL_ERR_FORMAT,
                 "%s: is no PNG file; masks have to be, because other formats blur their edges",
                 path);
        goto out;
    }
    ADL_TRY(check_shape(&image, image_width, image_height, path, err));
    columns = adl_malloc((size_t)width, sizeof *columns);
    if (!columns) {
        adl_fail_nomem(err, "a mask");
        goto out;
    }
    for (int x = 0; x < width; x++)
        columns[x] = nearest(x, image.width, width);
    for (int y = 0; y < height; y++) {
        const uint8_t *row =
            image.rgb + (size_t)nearest(y, image.height, height) * (size_t)image.width * 3;
        for (int x = 0; x < width; x++, mask++)
            if (*mask == ADL_MASK_BACKGROUND && is_on(row + (size_t)columns[x] * 3))
                *mask = value;
    }
    result = 0;
out:
    adl_free(columns);
    adl_image_release(&image);
    return result;
}

/* Writes the path of a mask of image `index` to `path`: that of the file which a list names; or
 * without a name, that of the file called as the image with .png instead of its extension, or, if
 * only that exists, behind it. */
static const char *mask_path(const struct adl_dataset *dataset, size_t index, const char *name,
                             struct adl_str *path, struct adl_error *err)
{
    const char *id = dataset->images[index].id, *slash = strrchr(id, '/'), *dot = strrchr(id, '.');
    size_t length = strlen(id),
           stem = dot && dot > (slash ? slash + 1 : id) ? (size_t)(dot - id) : length;
    const size_t lengths[] = {stem, length, stem};

    for (size_t i = 0; i < ADL_COUNT(lengths); i++) {
        path->length = 0;
        if (name)
            adl_str_printf(path, "%s/%s", dataset->mask_dir, name);
        else
            adl_str_printf(path, "%s/%.*s.png", dataset->mask_dir, (int)lengths[i], id);
        if (path->failed) {
            path->failed = false;
            adl_fail_nomem(err, "a path");
            return NULL;
        }
        if (name || access(path->data, F_OK) == 0)
            break;
    }
    return path->data;
}

int adl_dataset_mask_read(const struct adl_dataset *dataset, size_t index, int image_width,
                          int image_height, int height, int width, uint8_t *mask,
                          struct adl_str *path, struct adl_error *err)
{
    const struct adl_dataset_image *entry = &dataset->images[index];
    size_t count = dataset->mask_count > 0 ? entry->mask_count : 1;

    if (!dataset->mask_dir)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s has masks, but there is no directory of images or masks: --masks DIR "
                        "names it",
                        entry->id);
    memset(mask, ADL_MASK_BACKGROUND, (size_t)height * (size_t)width);
    for (size_t i = 0; i < count; i++) {
        const char *name = dataset->mask_count > 0 ? dataset->masks[entry->first_mask + i] : NULL;
        const char *text = mask_path(dataset, index, name, path, err);
        if (!text || add_file(dataset, text, image_width, image_height, height, width,
                              ADL_MASK_FOREGROUND, mask, err) < 0)
            return -1;
    }
    if (!entry->ignore)
        return 0;
    const char *text = mask_path(dataset, index, entry->ignore, path, err);
    return text ? add_file(dataset, text, image_width, image_height, height, width,
                           ADL_MASK_IGNORED, mask, err)
                : -1;
}
