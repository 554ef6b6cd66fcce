/* data/mask: files of true masks, good and bad, as cv2.imread and cv2.resize read them. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "data/mask.h"
#include "image/image.h"
#include "io/file.h"
#include "support/scratch.h"

/* --- files ------------------------------------------------------------------------------ */

static void write_bytes(const char *path, const void *bytes, size_t length)
{
    struct adl_error err = {0};
    TEST_OK(
        adl_file_write(scratch_path("%s", path), &(struct adl_file_piece){bytes, length}, 1, &err),
        &err);
}

static void write_grey(const char *path, const uint8_t *grey, int width, int height)
{
    struct adl_error err = {0};
    size_t length;
    void *png;
    TEST_OK(adl_image_encode_grey_png(grey, width, height, NULL, &png, &length, &err), &err);
    write_bytes(path, png, length);
    adl_free(png);
}

/* A mask that is on in one column. */
static void write_column(const char *path, int column, int width, int height)
{
    uint8_t *grey = adl_calloc((size_t)width, (size_t)height);
    CU_ASSERT_FATAL(grey != NULL);
    for (int y = 0; grey && y < height; y++)
        grey[y * width + column] = 255;
    write_grey(path, grey, width, height);
    adl_free(grey);
}

static struct adl_dataset *open_lists(const char *masks)
{
    struct adl_error err = {0};
    const struct adl_dataset_options options = {
        .metadata = scratch_path("metadata"), .split = "test", .masks = masks};
    struct adl_dataset *d = adl_dataset_open(&options, &err);
    if (!d)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_FATAL(d != NULL);
    return d;
}

static void new_lists(const char *name, const char *localization)
{
    static const char *const folders[] = {"masks", "masks/sub", "metadata", "metadata/test", NULL};
    char unique[100];
    snprintf(unique, sizeof unique, "mask-%s", name);
    scratch_open(unique, folders);
    scratch_append("metadata/test/image_ids.txt", "sub/a.jpg\nb, c.jpg\n");
    scratch_append("metadata/test/class_labels.txt", "sub/a.jpg,0\nb, c.jpg,1\n");
    scratch_append("metadata/test/localization.txt", "%s", localization);
}

/* Reads the mask of an image as one row of `width` pixels. */
static int read_row(const struct adl_dataset *d, size_t index, int image_width, int image_height,
                    int width, uint8_t *mask, struct adl_error *err)
{
    struct adl_str path = {0};
    int result =
        adl_dataset_mask_read(d, index, image_width, image_height, 1, width, mask, &path, err);
    adl_str_release(&path);
    return result;
}

static void refused(const struct adl_dataset *d, int image_width, int image_height,
                    enum adl_error_kind kind, const char *part)
{
    struct adl_error err = {0};
    uint8_t mask[8];
    CU_ASSERT_EQUAL(read_row(d, 0, image_width, image_height, 8, mask, &err), -1);
    if (err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("%s \"%s\", expected %s with \"%s\"", test_error_kind(err.kind), err.message,
                  test_error_kind(kind), part);
}

/* --- tests ------------------------------------------------------------------------------ */

static void instances_are_united_and_the_rest_ignored(void)
{
    struct adl_error err = {0};
    uint8_t mask[6];
    new_lists("instances", "sub/a.jpg,sub/one.png,ignore.png\nb, c.jpg,two.PNG,\n"
                           "sub/a.jpg,two.PNG,\nelse.jpg,none.png,\n");
    write_grey("masks/sub/one.png", (const uint8_t[]){255, 0, 0, 0, 0, 1}, 6, 1);
    write_grey("masks/two.PNG", (const uint8_t[]){0, 0, 128, 0, 0, 0}, 6, 1);
    write_grey("masks/ignore.png", (const uint8_t[]){255, 255, 255, 0, 9, 0}, 6, 1);
    struct adl_dataset *d = open_lists(scratch_path("masks"));
    CU_ASSERT(d->masked && d->mask_count == 3 && d->box_count == 0);
    TEST_OK(read_row(d, 0, 6, 1, 6, mask, &err), &err);
    CU_ASSERT(memcmp(mask, (const uint8_t[]){1, 255, 1, 0, 255, 1}, 6) == 0);
    TEST_OK(read_row(d, 1, 0, 0, 6, mask, &err), &err);
    CU_ASSERT(memcmp(mask, (const uint8_t[]){0, 0, 1, 0, 0, 0}, 6) == 0);
    adl_dataset_free(d);
}

static void masks_are_found_by_the_names_of_the_images(void)
{
    struct adl_error err = {0};
    uint8_t mask[2];
    new_lists("names", "sub/a.jpg,1,2,3,4\nb, c.jpg,1,2,3,4\n");
    write_grey("masks/sub/a.png", (const uint8_t[]){0, 1}, 2, 1);
    write_grey("masks/b, c.jpg.png", (const uint8_t[]){1, 0}, 2, 1);
    struct adl_dataset *d = open_lists(scratch_path("masks"));
    CU_ASSERT(d->masked && d->mask_count == 0 && d->box_count == 2);
    TEST_OK(read_row(d, 0, 2, 1, 2, mask, &err), &err);
    CU_ASSERT(mask[0] == 0 && mask[1] == 1);
    TEST_OK(read_row(d, 1, 2, 1, 2, mask, &err), &err);
    CU_ASSERT(mask[0] == 1 && mask[1] == 0);
    remove(scratch_path("masks/sub/a.png"));
    refused(d, 2, 1, ADL_ERR_NOT_FOUND, "masks/sub/a.png");
    adl_dataset_free(d);
    d = open_lists(NULL);
    CU_ASSERT(!d->masked && !d->mask_dir);
    adl_dataset_free(d);
}

/* cv2.resize(INTER_NEAREST) of OpenCV 4.6 takes these source columns, which are one less than
 * floor(column * in / 224). */
static void nearest_pixels_are_those_of_opencv(void)
{
    static const struct {
        int in, column, source;
    } cases[] = {{36, 168, 26},  {200, 140, 124}, {300, 168, 224}, {400, 126, 224},
                 {600, 84, 224}, {651, 192, 557}, {693, 32, 98},   {500, 223, 497},
                 {7, 223, 6},    {1, 100, 0},     {224, 117, 117}};
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        uint8_t mask[224];
        char name[20];
        snprintf(name, sizeof name, "nearest-%zu", i);
        new_lists(name, "");
        write_column("masks/sub/a.png", cases[i].source, cases[i].in, 1);
        struct adl_dataset *d = open_lists(scratch_path("masks"));
        TEST_OK(read_row(d, 0, cases[i].in, 1, 224, mask, &err), &err);
        if (mask[cases[i].column] != 1)
            TEST_FAIL("%d columns: column %d does not come from %d", cases[i].in, cases[i].column,
                      cases[i].source);
        adl_dataset_free(d);
    }
}

/* cv2.imread(IMREAD_GRAYSCALE) gives 0 or more for these colours:
 * (9798 r + 19235 g + 3735 b) >> 15, found by trying all colours below 6. */
static void colours_become_grey_as_in_opencv(void)
{
    static const uint8_t colours[][4] = {/* r, g, b, on */
                                         {3, 0, 0, 0}, {4, 0, 0, 1}, {0, 1, 0, 0}, {0, 2, 0, 1},
                                         {0, 0, 5, 0}, {1, 1, 1, 1}, {1, 1, 0, 0}, {2, 1, 0, 1}};
    struct adl_error err = {0};
    struct adl_image image;
    uint8_t mask[ADL_COUNT(colours)];
    size_t length;
    void *png;
    new_lists("colours", "");
    TEST_OK(adl_image_init(&image, ADL_COUNT(colours), 1, &err), &err);
    for (size_t i = 0; i < ADL_COUNT(colours); i++)
        memcpy(image.rgb + 3 * i, colours[i], 3);
    TEST_OK(adl_image_encode_png(&image, &png, &length, &err), &err);
    write_bytes("masks/sub/a.png", png, length);
    adl_free(png);
    adl_image_release(&image);
    struct adl_dataset *d = open_lists(scratch_path("masks"));
    TEST_OK(read_row(d, 0, 0, 0, ADL_COUNT(colours), mask, &err), &err);
    for (size_t i = 0; i < ADL_COUNT(colours); i++)
        if (mask[i] != colours[i][3])
            TEST_FAIL("colour %zu is %d", i, mask[i]);
    adl_dataset_free(d);
}

/* A transparent black pixel is background, not white. The file is
 * cv2.imwrite("a.png", [[[9,9,9,0], [0,0,0,0], [0,0,0,255]]]), as IMREAD_GRAYSCALE reads it. */
static void alpha_is_not_looked_at(void)
{
    static const uint8_t file[] = {
        0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49,
        0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06,
        0x00, 0x00, 0x00, 0x1b, 0xe0, 0x14, 0xb4, 0x00, 0x00, 0x00, 0x14, 0x49, 0x44,
        0x41, 0x54, 0x08, 0x1d, 0x63, 0xe4, 0xe4, 0xe4, 0x64, 0xf8, 0xfe, 0xfd, 0x3b,
        0x03, 0x10, 0xfc, 0x07, 0x00, 0x16, 0x85, 0x04, 0x01, 0x4a, 0xf1, 0x4f, 0x7e,
        0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
    struct adl_error err = {0};
    uint8_t mask[3];
    new_lists("alpha", "");
    write_bytes("masks/sub/a.png", file, sizeof file);
    struct adl_dataset *d = open_lists(scratch_path("masks"));
    TEST_OK(read_row(d, 0, 3, 1, 3, mask, &err), &err);
    CU_ASSERT(mask[0] == 1 && mask[1] == 0 && mask[2] == 0);
    adl_dataset_free(d);
}

static void unfit_files_are_refused_by_name(void)
{
    static const uint8_t grey[64] = {255};
    struct adl_error err = {0};
    struct adl_image image;
    size_t length;
    void *bytes;
    new_lists("unfit", "");
    struct adl_dataset *d = open_lists(scratch_path("masks"));
    write_grey("masks/sub/a.png", grey, 8, 4);
    refused(d, 4, 8, ADL_ERR_FORMAT,
            "sub/a.png: the mask has 8 x 4 pixels, but its image has 4 x 8");
    refused(d, 800, 600, ADL_ERR_FORMAT, "another shape");
    uint8_t mask[8];
    TEST_OK(read_row(d, 0, 801, 400, 8, mask, &err), &err); /* rounded */
    TEST_OK(adl_image_encode_grey_png(grey, 8, 8, NULL, &bytes, &length, &err), &err);
    write_bytes("masks/sub/a.png", bytes, length / 2);
    adl_free(bytes);
    refused(d, 8, 8, ADL_ERR_FORMAT, "sub/a.png: the PNG image is truncated");
    TEST_OK(adl_image_init(&image, 8, 8, &err), &err);
    memset(image.rgb, 255, 8 * 8 * 3);
    TEST_OK(adl_image_encode_jpeg(&image, 90, &bytes, &length, &err), &err);
    write_bytes("masks/sub/a.png", bytes, length);
    adl_free(bytes);
    adl_image_release(&image);
    refused(d, 8, 8, ADL_ERR_FORMAT, "sub/a.png: is no PNG file");
    write_bytes("masks/sub/a.png", "", 0);
    refused(d, 8, 8, ADL_ERR_UNSUPPORTED, "sub/a.png");
    remove(scratch_path("masks/sub/a.png"));
    CU_ASSERT_EQUAL(mkfifo(scratch_path("masks/sub/a.png"), 0666), 0);
    refused(d, 8, 8, ADL_ERR_IO, "sub/a.png: is not a regular file");
    adl_dataset_free(d);

    new_lists("nowhere", "sub/a.jpg,m.png,\nb, c.jpg,m.png,\n");
    d = open_lists(NULL);
    refused(d, 8, 8, ADL_ERR_NOT_FOUND, "--masks DIR");
    adl_dataset_free(d);
}

static void memory_may_run_out(void)
{
    static const uint8_t grey[64] = {255};
    uint8_t mask[8];
    new_lists("memory", "sub/a.jpg,m.png,m.png\nb, c.jpg,m.png,\n");
    write_grey("masks/m.png", grey, 8, 8);
    char *dir = strdup(scratch_path("masks")), *metadata = strdup(scratch_path("metadata"));
    const struct adl_dataset_options options = {
        .metadata = metadata, .split = "test", .masks = dir};
    struct adl_mem_stats before = adl_mem_stats();
    for (size_t n = 1;; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        struct adl_dataset *d = adl_dataset_open(&options, &err);
        int result = d ? read_row(d, 0, 8, 8, 8, mask, &err) : -1;
        adl_mem_fail_nth(0);
        adl_dataset_free(d);
        if (result == 0)
            break;
        if (err.kind != ADL_ERR_NOMEM)
            TEST_FAIL("allocation %zu: %s", n, err.message);
        CU_ASSERT_FATAL(n < 1000);
    }
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
    free(dir);
    free(metadata);
}

TEST_SUITE(mask, {"unites instances, ignores the rest", instances_are_united_and_the_rest_ignored},
           {"finds masks by the names of images", masks_are_found_by_the_names_of_the_images},
           {"takes the nearest pixels of OpenCV", nearest_pixels_are_those_of_opencv},
           {"makes colours grey as OpenCV", colours_become_grey_as_in_opencv},
           {"does not look at alpha", alpha_is_not_looked_at},
           {"refuses unfit files by name", unfit_files_are_refused_by_name},
           {"survives running out of memory", memory_may_run_out});
