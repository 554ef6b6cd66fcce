/* Fuzz target: any bytes as a file of an annotation tool: JSON of COCO or Label Studio, XML of
 * Pascal VOC, or a text of YOLO with its data.yaml. The first byte says which. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/dataset_open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The header of a PNG of 10 x 8 pixels. */
static const char png[] =
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\n\0\0\0\x08\x08\0\0\0\0\xdf\x9c\x5c\x8e";

static char root[] = "/tmp/fuzz-boxes-XXXXXX";

static void path_in(char path[200], const char *name)
{
    snprintf(path, 200, "%s/%s", root, name);
}

static void put(const char *name, const void *data, size_t size)
{
    char path[200];
    path_in(path, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        exit(1);
}

static void make(const char *name)
{
    char path[200];
    path_in(path, name);
    if (mkdir(path, 0700) < 0)
        exit(1);
}

static void clean_up(void)
{
    static const char *const names[] = {"set.json",
                                        "voc/Annotations/a.xml",
                                        "voc/Annotations",
                                        "voc",
                                        "yolo/data.yaml",
                                        "yolo/labels/a.txt",
                                        "yolo/labels",
                                        "yolo/images/a.png",
                                        "yolo/images",
                                        "yolo",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[200];
        path_in(path, names[i]);
        remove(path);
    }
}

static void set_up(void)
{
    static bool done;
    static const char *const names[] = {"voc", "voc/Annotations", "yolo", "yolo/labels",
                                        "yolo/images"};
    if (done)
        return;
    done = true;
    if (!mkdtemp(root))
        exit(1);
    atexit(clean_up);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make(names[i]);
    put("yolo/images/a.png", png, sizeof png - 1);
}

/* Every image has to be below the directory, its class to have a name, and its boxes to be in it.
 */
static void check(const struct adl_dataset *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct adl_dataset_image *image = &d->images[i];
        if (!adl_dataset_id_valid(image->id) || image->class_id < 0 ||
            (size_t)image->class_id >= d->class_count || !*d->classes[image->class_id] ||
            image->first_box + image->box_count > d->box_count ||
            (image->box_count == 0 && !image->bare))
            abort();
        for (size_t k = 0; k < image->box_count; k++) {
            const struct adl_dataset_box *box = &d->boxes[image->first_box + k];
            if (box->x0 < 0 || box->y0 < 0 || box->x0 > box->x1 || box->y0 > box->y1 ||
                (image->width > 0 && box->x1 >= image->width) ||
                (image->height > 0 && box->y1 >= image->height))
                abort();
        }
    }
}

static void try_open(const char *name, bool several)
{
    char path[200];
    struct adl_error err = {0};
    path_in(path, name);
    const struct adl_dataset_options options = {
        .dir = path, .split = "val", .multi_label = several};
    struct adl_dataset *d = adl_dataset_open(&options, &err);

    if (d)
        check(d);
    else if (err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_INTERNAL)
        abort();
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
        put("set.json", data + 1, size - 1);
    } else if (kind == 1) {
        put("voc/Annotations/a.xml", data + 1, size - 1);
    } else {
        put("yolo/data.yaml", data + 1, half);
        put("yolo/labels/a.txt", data + 1 + half, size - 1 - half);
    }
    try_open(opened[kind], false);
    try_open(opened[kind], true);
    if (adl_mem_stats().live_blocks != blocks)
        abort();
    return 0;
}
