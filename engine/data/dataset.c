/* Frees a data set, forms the paths of its images, checks their ids and shortens it. */

#include "data/dataset.h"

#include <string.h>

#include "base/mem.h"

const char *const adl_dataset_exif_names[] = {
    [ADL_EXIF_AUTO] = "auto", [ADL_EXIF_APPLY] = "apply", [ADL_EXIF_IGNORE] = "ignore", NULL};

int adl_dataset_exif_find(const char *name)
{
    for (int i = 0; name && adl_dataset_exif_names[i]; i++)
        if (!strcmp(name, adl_dataset_exif_names[i]))
            return i;
    return ADL_EXIF_AUTO;
}

void adl_dataset_free(struct adl_dataset *dataset)
{
    if (!dataset)
        return;
    adl_free(dataset->images);
    adl_free(dataset->boxes);
    adl_free(dataset->labels);
    adl_free(dataset->box_classes);
    adl_free(dataset->masks);
    adl_free(dataset->classes);
    adl_arena_release(&dataset->arena);
    adl_free(dataset);
}

const char *adl_dataset_path(const struct adl_dataset *dataset, size_t index, struct adl_str *path,
                             struct adl_error *err)
{
    path->length = 0;
    adl_str_printf(path, "%s/%s", dataset->image_dir, dataset->images[index].id);
    if (path->failed) {
        path->failed = false;
        adl_fail_nomem(err, "a path");
        return NULL;
    }
    return path->data;
}

bool adl_dataset_id_valid(const char *path)
{
    const char *part = path;

    if (!*path || *path == '/')
        return false;
    while (part) {
        size_t length = strcspn(part, "/");
        if (length == 2 && part[0] == '.' && part[1] == '.')
            return false;
        part = part[length] ? part + length + 1 : NULL;
    }
    return true;
}

int adl_dataset_keep_first(struct adl_dataset *dataset, size_t most, struct adl_error *err)
{
    size_t *counts = adl_calloc(dataset->class_count + 1, sizeof *counts), kept = 0;

    if (!counts)
        return adl_fail_nomem(err, "the counts of the classes");
    for (size_t i = 0; i < dataset->count; i++)
        if (counts[dataset->images[i].class_id]++ < most)
            dataset->images[kept++] = dataset->images[i];
    dataset->count = kept;
    adl_free(counts);
    return 0;
}
