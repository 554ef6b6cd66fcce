/* Fuzz target: any bytes as the text files of a data set: those of CUB-200-2011, the lists of the
 * reference evaluation code, or the split of a Pascal VOC data set. The first byte says which, and
 * whether images may have several labels. The rest are the files one after the other, with a form
 * feed between them; a file without any byte is missing. */

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/dataset_open.h"

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

static char root[] = "/tmp/fuzz-lists-XXXXXX";

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static void clean_up(void)
{
    nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Replaces a file; one without any byte is removed. */
static void put(const char *dir, const char *name, const void *data, size_t size)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s/%s", root, dir, name);
    if (size == 0) {
        remove(path);
        return;
    }
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        exit(1);
}

static void set_up(void)
{
    static bool done;
    static const char *const directories[] = {
        "cub",           "cub/images",        "lists",
        "lists/images",  "lists/metadata",    "lists/metadata/val",
        "voc",           "voc/JPEGImages",    "voc/Annotations",
        "voc/ImageSets", "voc/ImageSets/Main"};
    static const char xml[] = "<annotation><size><width>9</width><height>8</height></size><object>"
                              "<name>b</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax>"
                              "<ymax>4</ymax></bndbox></object></annotation>";
    char path[200];

    if (done)
        return;
    done = true;
    if (!mkdtemp(root))
        exit(1);
    atexit(clean_up);
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        snprintf(path, sizeof path, "%s/%s", root, directories[i]);
        if (mkdir(path, 0700) < 0)
            exit(1);
    }
    put("voc", "Annotations/a.xml", xml, sizeof xml - 1);
}

/* Every image has to be below the directory and of a class that there is, and its boxes and labels
 * among those of the data set. */
static void check(const struct adl_dataset *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct adl_dataset_image *image = &d->images[i];
        if (!adl_dataset_id_valid(image->id) || image->class_id < 0 ||
            (size_t)image->class_id >= d->class_count ||
            image->first_box + image->box_count > d->box_count || image->width < 0 ||
            image->height < 0 || (d->classes && !*d->classes[image->class_id]))
            abort();
        for (size_t k = 0; k < image->box_count; k++) {
            const struct adl_dataset_box *box = &d->boxes[image->first_box + k];
            if (box->x0 < 0 || box->y0 < 0 || box->x0 > box->x1 || box->y0 > box->y1)
                abort();
        }
        for (size_t k = 0; d->labels && k < image->label_count; k++) {
            int label = d->labels[image->first_label + k];
            if (label < 0 || (size_t)label >= d->class_count)
                abort();
        }
    }
}

static void try_open(const struct layout *layout, bool several)
{
    char path[200];
    struct adl_error err = {0};
    snprintf(path, sizeof path, "%s/%s", root, layout->dir);
    const struct adl_dataset_options options = {
        .dir = path, .split = layout->split, .multi_label = several};
    struct adl_dataset *d = adl_dataset_open(&options, &err);

    if (d)
        check(d);
    else if (err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_INTERNAL)
        abort();
    adl_dataset_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t count = sizeof layouts / sizeof *layouts, blocks = adl_mem_stats().live_blocks;

    set_up();
    if (size == 0)
        return 0;
    const struct layout *layout = &layouts[data[0] % count];
    const uint8_t *next = data + 1, *end = data + size;
    for (size_t i = 0; i < MOST_FILES && layout->files[i]; i++) {
        const uint8_t *stop = next < end ? memchr(next, '\f', (size_t)(end - next)) : NULL;
        if (!stop)
            stop = end;
        put(layout->dir, layout->files[i], next, (size_t)(stop - next));
        next = stop < end ? stop + 1 : end;
    }
    try_open(layout, data[0] / count % 2);
    if (adl_mem_stats().live_blocks != blocks)
        abort();
    return 0;
}
