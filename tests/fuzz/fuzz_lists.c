/* Fuzz target: any bytes as the text files of a data set: those of CUB-200-2011, the lists of the
 * reference evaluation code, or the split of a Pascal VOC data set. The first byte says which, and
 * whether images may have several labels. The rest are the files one after the other, with a form
 * feed between them; a file without any byte is missing. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz/dataset_try.h"
#include "fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_FILES = 5 };

static const struct layout {
    const char *dir, *split;
    const char *files[MOST_FILES]; /* below `dir` */
} layouts[] = {
    {"cub",
     "test",
     {"images.txt", "train_test_split.txt", "image_class_labels.txt", "bounding_boxes.txt",
      "classes.txt"}},
    {"lists",
     "val",
     {"metadata/val/image_ids.txt", "metadata/val/class_labels.txt",
      "metadata/val/localization.txt", "metadata/val/image_sizes.txt", "classes.txt"}},
    {"voc", "val", {"ImageSets/Main/val.txt"}},
};

static void set_up(void)
{
    static const char *const directories[] = {
        "cub",           "cub/images",        "lists",
        "lists/images",  "lists/metadata",    "lists/metadata/val",
        "voc",           "voc/JPEGImages",    "voc/Annotations",
        "voc/ImageSets", "voc/ImageSets/Main"};
    static const char xml[] = "<annotation><size><width>9</width><height>8</height></size><object>"
                              "<name>b</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax>"
                              "<ymax>4</ymax></bndbox></object></annotation>";

    if (!scratch_make())
        return;
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        scratch_make_folder(directories[i]);
    scratch_put("voc/Annotations/a.xml", xml, sizeof xml - 1);
}

/* Replaces a file of a data set; one without any byte is removed. */
static void replace(const char *dir, const char *name, const void *data, size_t size)
{
    char below[100], path[200];

    snprintf(below, sizeof below, "%s/%s", dir, name);
    scratch_path(path, below);
    if (size > 0)
        scratch_put(below, data, size);
    else
        remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t count = sizeof layouts / sizeof *layouts, blocks = adl_mem_stats().live_blocks;
    char path[200];

    set_up();
    if (size == 0)
        return 0;
    const struct layout *layout = &layouts[data[0] % count];
    const uint8_t *next = data + 1, *end = data + size;
    for (size_t i = 0; i < MOST_FILES && layout->files[i]; i++) {
        const uint8_t *stop = next < end ? memchr(next, '\f', (size_t)(end - next)) : NULL;
        if (!stop)
            stop = end;
        replace(layout->dir, layout->files[i], next, (size_t)(stop - next));
        next = stop < end ? stop + 1 : end;
    }
    scratch_path(path, layout->dir);
    adl_dataset_free(dataset_try(path, layout->split, data[0] / count % 2));
    if (adl_mem_stats().live_blocks != blocks)
        abort();
    return 0;
}
