/* The data set as a value: what it owns and what can be asked of it. */

#include "data/dataset.h"

#include <string.h>

#include "base/mem.h"

const char *const adl_dataset_exif_names[] = {
    [ADL_EXIF_AUTO] = "auto", [ADL_EXIF_APPLY] = "apply", [ADL_EXIF_IGNORE] = "ignore", NULL};

void adl_dataset_free(struct adl_dataset *dataset)
{
    if (!dataset)
        return;
    adl_free(dataset->images);
    adl_free(dataset->boxes);
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

/* Sets numbers[i] to the place of class i among `names`; false if a class that is used by an
 * image has none. */
static bool find_classes(const struct adl_dataset *d, const char *const *names, size_t count,
                         int *numbers)
{
    for (size_t i = 0; i < d->class_count; i++) {
        numbers[i] = -1;
        for (size_t k = 0; numbers[i] < 0 && k < count; k++)
            if (!strcmp(d->classes[i], names[k]))
                numbers[i] = (int)k;
    }
    for (size_t i = 0; i < d->count; i++)
        if (numbers[d->images[i].class_id] < 0)
            return false;
    return true;
}

int adl_dataset_match_classes(struct adl_dataset *dataset, const char *const *names, size_t count,
                              struct adl_error *err)
{
    int *numbers;
    const char **classes;
    int result = -1;

    if (!dataset->classes)
        return 0;
    numbers = adl_malloc(dataset->class_count, sizeof *numbers);
    classes = adl_calloc(count, sizeof *classes);
    if (!numbers || !classes) {
        adl_fail_nomem(err, "class names");
        goto out;
    }
    result = find_classes(dataset, names, count, numbers);
    for (size_t i = 0; result == 1 && i < count; i++) {
        classes[i] = adl_arena_printf(&dataset->arena, "%s", names[i]);
        if (!classes[i])
            result = adl_fail_nomem(err, "class names");
    }
    if (result == 1) {
        for (size_t i = 0; i < dataset->count; i++)
            dataset->images[i].class_id = numbers[dataset->images[i].class_id];
        adl_free(dataset->classes);
        dataset->classes = classes;
        dataset->class_count = count;
        classes = NULL;
    }
out:
    adl_free(numbers);
    adl_free(classes);
    return result;
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
