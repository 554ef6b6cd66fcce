/* Fuzz target: any bytes as an image, decoded with small limits at full and at reduced
 * scale, then resized. Corpus: tests/golden/images.
 *
 * Of AVIF and HEIC only the header is read, unless ADL_FUZZ_LIBHEIF is set: Debian's libheif 1.15
 * loses 40 bytes for some damaged files and dav1d writes about others. */

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const uint8_t *data, size_t size, int target)
{
    const struct adl_decode_options options = {.max_pixels = 1 << 18,
                                               .max_memory_bytes = 16 << 20,
                                               .target_width = target,
                                               .target_height = target};
    struct adl_error err = {0};
    struct adl_image image, small;
    struct adl_image_info info;

    if (adl_image_decode(data, size, &options, &image, &info, &err) < 0) {
        if (image.rgb || err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_INTERNAL)
            abort();
        return;
    }
    if ((size_t)image.width * (size_t)image.height > options.max_pixels ||
        image.width > info.width || info.orientation < 1 || info.orientation > 8)
        abort();
    if (adl_image_resize(&image, 13, 17, &small, &err) == 0)
        adl_image_release(&small);
    adl_image_release(&image);
}

/* What the header says has to be what decoding finds. */
static void examine(const uint8_t *data, size_t size)
{
    const struct adl_decode_options options = {.max_pixels = 1 << 18, .max_memory_bytes = 16 << 20};
    const struct adl_image sizes[] = {{.width = 13, .height = 17}};
    struct adl_error err = {0};
    struct adl_image_needs needs;
    struct adl_image image;

    const int result = adl_image_examine(data, size, &options, sizes, 1, &needs, &err);
    if (result == 0 && (needs.width < 1 || needs.height < 1 ||
                        (size_t)needs.width * (size_t)needs.height > options.max_pixels))
        abort();
    if (adl_image_sniff(data, size) == ADL_IMAGE_HEIF)
        return;
    adl_error_clear(&err);
    if (adl_image_decode(data, size, &options, &image, NULL, &err) < 0)
        return;
    if (result < 0 || needs.width != image.width || needs.height != image.height)
        abort();
    adl_image_release(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t blocks = adl_mem_stats().live_blocks;
    examine(data, size);
    if (adl_image_sniff(data, size) != ADL_IMAGE_HEIF || getenv("ADL_FUZZ_LIBHEIF")) {
        decode(data, size, 0);
        decode(data, size, 5);
    }
    if (adl_mem_stats().live_blocks != blocks)
        abort();
    return 0;
}
