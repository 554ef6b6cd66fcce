/* Data of images with several labels. */

#include "support/label_fixture.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/rng.h"
#include "image/image.h"
#include "io/file.h"
#include "support/scratch.h"
#include "support/test.h"
#include "support/train_fixture.h"

/* Draws a square of a class into a quarter of the image, and writes its box. */
static void draw_square(struct adl_image *image, struct adl_rng *rng, int class_id, int quarter,
                        const char *id, FILE *boxes)
{
    const int side = LABEL_SIDE / 2 - 4, room = LABEL_SIDE / 2 - side + 1;
    int x0 = quarter % 2 * LABEL_SIDE / 2 + (int)adl_rng_below(rng, (uint64_t)room);
    int y0 = quarter / 2 * LABEL_SIDE / 2 + (int)adl_rng_below(rng, (uint64_t)room);

    for (int y = y0; y < y0 + side; y++)
        for (int x = x0; x < x0 + side; x++) {
            uint8_t *rgb = image->rgb + (y * LABEL_SIDE + x) * 3;
            rgb[0] = class_id == 1 ? 230 : 10;
            rgb[1] = 20;
            rgb[2] = class_id == 1 ? 10 : 230;
        }
    fprintf(boxes, "%s,%d,%d,%d,%d,%d\n", id, x0, y0, x0 + side - 1, y0 + side - 1, class_id);
}

static void draw(uint64_t number, int labels, const char *id, FILE *boxes)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct adl_rng rng;
    void *bytes = NULL;
    size_t length = 0;

    adl_rng_seed(&rng, 3, number, 0);
    TEST_OK(adl_image_init(&image, LABEL_SIDE, LABEL_SIDE, &err), &err);
    for (int i = 0; i < LABEL_SIDE * LABEL_SIDE; i++) {
        uint8_t grey = (uint8_t)(100 + adl_rng_below(&rng, 50));
        for (int k = 0; k < 3; k++)
            image.rgb[3 * i + k] = grey;
    }
    int quarter = (int)adl_rng_below(&rng, 4), other = 1 + (int)adl_rng_below(&rng, 3);
    for (int k = 0; k < 2; k++)
        if (labels >> k & 1)
            draw_square(&image, &rng, k, k ? (quarter + other) % 4 : quarter, id, boxes);
    TEST_OK(adl_image_encode_png(&image, &bytes, &length, &err), &err);
    TEST_OK(adl_file_write(scratch_path("data/images/%s", id),
                           &(struct adl_file_piece){bytes, length}, 1, &err),
            &err);
    adl_free(bytes);
    adl_image_release(&image);
}

void label_lists(const char *name)
{
    static const char *const labels_text[] = {"", "0", "1", "0,1"};

    train_list_directories(name);
    for (int val = 0; val < 2; val++) {
        const char *split = val ? "val" : "train";
        FILE *ids = train_open_list(split, "image_ids"),
             *labels = train_open_list(split, "class_labels"),
             *boxes = train_open_list(split, "localization");
        for (int i = 0; i < (val ? LABEL_VAL : LABEL_TRAIN); i++) {
            char id[32];
            snprintf(id, sizeof id, "%s%d.png", split, i);
            draw((uint64_t)(1000 * val + i), i % 4, id, boxes);
            fprintf(ids, "%s\n", id);
            fprintf(labels, "%s,%s\n", id, labels_text[i % 4]);
        }
        fclose(ids);
        fclose(labels);
        fclose(boxes);
    }
}
