/* Fuzz target: any bytes as a file of an annotation tool: JSON of COCO or Label Studio, XML of
 * Pascal VOC, or a text of YOLO with its data.yaml. The first byte says which. */

#include <stdlib.h>

#include "base/mem.h"
#include "fuzz/dataset_try.h"
#include "fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The header of a PNG of 10 x 8 pixels. */
static const char png[] =
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\n\0\0\0\x08\x08\0\0\0\0\xdf\x9c\x5c\x8e";

static void set_up(void)
{
    static const char *const names[] = {"voc", "voc/Annotations", "yolo", "yolo/labels",
                                        "yolo/images"};
    if (!scratch_make())
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        scratch_make_folder(names[i]);
    scratch_put("yolo/images/a.png", png, sizeof png - 1);
}

/* Every class has to have a name, an image without a box to be bare, and a box to be in its image.
 */
static void check(const struct adl_dataset *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct adl_dataset_image *image = &d->images[i];
        if (!d->classes || (image->box_count == 0 && !image->bare))
            abort();
        for (size_t k = 0; k < image->box_count; k++) {
            const struct adl_dataset_box *box = &d->boxes[image->first_box + k];
            if ((image->width > 0 && box->x1 >= image->width) ||
                (image->height > 0 && box->y1 >= image->height))
                abort();
        }
    }
}

static void try_open(const char *name, bool several)
{
    char path[200];
    scratch_path(path, name);
    struct adl_dataset *d = dataset_try(path, "val", several);

    if (d)
        check(d);
    adl_dataset_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const opened[] = {"set.json", "voc", "yolo"};

    set_up();
    if (size == 0)
        return 0;
    size_t kind = data[0] % 3, half = (size - 1) / 2;
    const size_t blocks = adl_mem_stats().live_blocks;
    if (kind == 0) {
        scratch_put("set.json", data + 1, size - 1);
    } else if (kind == 1) {
        scratch_put("voc/Annotations/a.xml", data + 1, size - 1);
    } else {
        scratch_put("yolo/data.yaml", data + 1, half);
        scratch_put("yolo/labels/a.txt", data + 1 + half, size - 1 - half);
    }
    try_open(opened[kind], false);
    try_open(opened[kind], true);
    if (adl_mem_stats().live_blocks != blocks)
        abort();
    return 0;
}
