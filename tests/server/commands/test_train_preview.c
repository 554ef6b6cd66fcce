/* `train --augment-preview`: the sheet that it writes. */

#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "io/file.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

enum { SIDE = 32, STEP = SIDE + 4, COLUMNS = 9, ROWS = 8 };

static void preview(const char *name, struct adl_image *sheet, const char *const *words)
{
    const struct adl_decode_options options = {0};
    struct adl_error err = {0};
    struct adl_image_info info;
    const char *all[TRAIN_MAX_ARGUMENTS] = {TRAIN_COMMON, "--augment-preview"};
    size_t count = 0, length;
    char path[600];

    snprintf(path, sizeof path, "%s", scratch_path("%s", name));
    while (all[count])
        count++;
    all[count++] = path;
    while (*words)
        all[count++] = *words++;
    TEST_OK(train_words("run", false, all, &err), &err);
    void *bytes = adl_file_read(path, 1 << 24, &length, &err);
    CU_ASSERT_FATAL(bytes != NULL);
    TEST_OK(adl_image_decode(bytes, length, &options, sheet, &info, &err), &err);
    adl_free(bytes);
    CU_ASSERT_EQUAL(sheet->width, COLUMNS * STEP + 4);
    CU_ASSERT_EQUAL(sheet->height, ROWS * STEP + 4);
}

#define PREVIEW(name, sheet, ...) preview(name, sheet, (const char *const[]){__VA_ARGS__, NULL})

static const uint8_t *pixel(const struct adl_image *sheet, int row, int column, int y, int x)
{
    int at_y = 4 + row * STEP + y, at_x = 4 + column * STEP + x;
    return sheet->rgb + ((size_t)at_y * (size_t)sheet->width + (size_t)at_x) * 3;
}

/* Returns the bytes in which two tiles of a row differ by more than the rounding. */
static int difference(const struct adl_image *sheet, int row, int a, int b)
{
    int count = 0;
    for (int y = 0; y < SIDE; y++)
        for (int i = 0; i < 3 * SIDE; i++)
            count += abs(pixel(sheet, row, a, y, 0)[i] - pixel(sheet, row, b, y, 0)[i]) > 1;
    return count;
}

/* Without any augmentation, the draws are the whole image; with it, they differ from each other. A
 * square that is cut out is the mean colour everywhere in it. */
static void draws_are_shown(void)
{
    struct adl_image sheet;
    train_directories("preview");
    PREVIEW("plain.png", &sheet, "--resize-size", "32", "--flip", "0");
    CU_ASSERT(access(scratch_path("run"), F_OK) < 0);
    for (int row = 0; row < ROWS; row++) {
        for (int column = 1; column < COLUMNS; column++)
            CU_ASSERT_EQUAL(difference(&sheet, row, 0, column), 0);
        /* Squares on grey noise: no two rows show the same image. */
        CU_ASSERT(row == 0 || memcmp(pixel(&sheet, row - 1, 0, 9, 0), pixel(&sheet, row, 0, 9, 0),
                                     SIDE * 3) != 0);
    }
    adl_image_release(&sheet);
    PREVIEW("crops.png", &sheet, "--random-resized-crop", "--color-jitter", "0.4,0.4,0.4,0.1");
    for (int row = 0; row < ROWS; row++)
        for (int column = 2; column < COLUMNS; column++)
            CU_ASSERT(difference(&sheet, row, column - 1, column) > SIDE * SIDE / 4);
    adl_image_release(&sheet);
}

static void methods_are_shown(void)
{
    struct adl_image sheet;
    int cut = 0;
    train_directories("preview-methods");
    PREVIEW("cut.png", &sheet, "--resize-size", "32", "--flip", "0", "--method", "cutout",
            "--cutout-size", "0.5");
    for (int row = 0; row < ROWS; row++)
        for (int column = 1; column < COLUMNS; column++) {
            /* ImageNet's mean, 255 * (0.485, 0.456, 0.406), which is 0 for the network. */
            for (int i = 0; i < SIDE * SIDE; i++) {
                const uint8_t *p = pixel(&sheet, row, column, i / SIDE, i % SIDE);
                const uint8_t *q = pixel(&sheet, row, 0, i / SIDE, i % SIDE);
                bool mean = p[0] == 124 && p[1] == 116 && p[2] == 104;
                if (!mean && (abs(p[0] - q[0]) > 1 || abs(p[1] - q[1]) > 1))
                    TEST_FAIL("row %d column %d pixel %d is changed", row, column, i);
                cut += mean;
            }
        }
    CU_ASSERT(cut > 64 * 8 * 8 && cut <= 64 * 16 * 16);
    adl_image_release(&sheet);
    PREVIEW("mix.jpg", &sheet, "--resize-size", "32", "--flip", "0", "--method", "cutmix",
            "--cutmix-prob", "1");
    adl_image_release(&sheet);
}

static void other_files_are_refused(void)
{
    struct adl_error err;
    train_directories("preview-bad");
    CU_ASSERT(TRAIN("run", false, &err, "--augment-preview", scratch_path("a.gif")) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    CU_ASSERT(TRAIN("run", false, &err, "--augment-preview", scratch_path("none/a.png")) < 0);
    CU_ASSERT(TRAIN("run", false, &err, "--augment-preview", "a.png", "--resume") < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

/* Without crops, the draws of an image differ by its colours alone. */
static void colours_are_shown(void)
{
    static const char *const jitters[] = {"0.3", "0.3,0.3,0.3,0", "0,0,0,0.5"};
    static const char *const wrong[] = {"-1",        "2",         "0.1,0.1",  "0.1,0.1,0.1",
                                        "0,0,0,0.6", "0,0,0,0,0", "0,0,0,0,", "x",
                                        "0.1x",      "nan"};
    struct adl_image sheet;
    struct adl_error err;
    train_directories("preview-colours");
    for (size_t i = 0; i < ADL_COUNT(jitters); i++) {
        PREVIEW("colours.png", &sheet, "--resize-size", "32", "--flip", "0", "--color-jitter",
                jitters[i]);
        for (int row = 0; row < ROWS; row++)
            CU_ASSERT(difference(&sheet, row, 1, 2) > SIDE);
        adl_image_release(&sheet);
    }
    for (size_t i = 0; i < ADL_COUNT(wrong); i++) {
        CU_ASSERT(TRAIN("run", false, &err, "--color-jitter", wrong[i]) < 0);
        CU_ASSERT(strstr(err.message, "is neither one strength") != NULL);
    }
}

TEST_SUITE(train_preview, {"draws are shown", draws_are_shown},
           {"colours are shown", colours_are_shown}, {"methods are shown", methods_are_shown},
           {"other files are refused", other_files_are_refused});
