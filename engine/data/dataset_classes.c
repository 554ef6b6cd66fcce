/* Matches the classes of a data set with those of a network, leaves out images of classes that the
 * network lacks, and finds labels that are probably mistakes. */

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/labels.h"

/* --- images of classes that a network lacks --------------------------------------------- */

/* Returns the name of a class, in the arena; NULL when out of memory. */
static const char *name_of(struct adl_dataset *d, size_t class_id)
{
    return d->classes ? adl_arena_printf(&d->arena, "%s", d->classes[class_id])
                      : adl_arena_printf(&d->arena, "class %zu", class_id);
}

/* Removes the images of the classes i for which numbers[i] is negative. Boxes stay where they are,
 * since images refer to them by index. */
static int drop_images(struct adl_dataset *d, const int *numbers, struct adl_error *err)
{
    struct adl_left_out_count *left_out = &d->left_out[ADL_LEFT_OUT_UNKNOWN];
    size_t kept = 0, named = 0;
    bool *seen = adl_calloc(d->class_count, sizeof *seen);

    if (!seen)
        return adl_fail_nomem(err, "the classes");
    for (size_t i = 0; i < d->count; i++) {
        size_t class_id = (size_t)d->images[i].class_id;
        if (numbers[class_id] >= 0 || d->images[i].bare) {
            d->images[kept++] = d->images[i];
            continue;
        }
        left_out->count++;
        if (!seen[class_id] && named < ADL_LEFT_OUT_NAMES)
            left_out->names[named++] = name_of(d, class_id);
        else if (!seen[class_id])
            left_out->more = true;
        seen[class_id] = true;
    }
    d->count = kept;
    adl_free(seen);
    return 0;
}

int adl_dataset_limit_classes(struct adl_dataset *d, size_t count, struct adl_error *err)
{
    if (d->class_count <= count)
        return 0;
    int *numbers = adl_malloc(d->class_count, sizeof *numbers);
    if (!numbers)
        return adl_fail_nomem(err, "the classes");
    for (size_t i = 0; i < d->class_count; i++)
        numbers[i] = i < count ? (int)i : -1;
    int result = drop_images(d, numbers, err);
    adl_free(numbers);
    if (result == 0)
        d->class_count = count;
    return result;
}

/* --- classes by name ---------------------------------------------------------------------- */

/* Sets numbers[i] to the index of class i's name in `names`, or to -1. Returns whether the names
 * identify the classes; see adl_dataset_match_classes(). */
static bool find_classes(const struct adl_dataset *d, const char *const *names, size_t count,
                         int *numbers)
{
    bool numbered = d->layout == ADL_DATASET_LISTS || d->layout == ADL_DATASET_CUB;
    bool moved = !numbered || d->class_count != count;
    size_t found = 0;

    for (size_t i = 0; i < d->class_count; i++) {
        numbers[i] = -1;
        for (size_t k = 0; numbers[i] < 0 && k < count; k++)
            if (!strcmp(d->classes[i], names[k]))
                numbers[i] = (int)k;
        moved |= numbers[i] >= 0 && (size_t)numbers[i] != i;
    }
    for (size_t i = 0; i < d->count; i++)
        found += numbers[d->images[i].class_id] >= 0 || d->images[i].bare;
    return found == d->count || (found > 0 && moved);
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
    if (!find_classes(dataset, names, count, numbers)) {
        result = 0;
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        classes[i] = adl_arena_printf(&dataset->arena, "%s", names[i]);
        if (!classes[i]) {
            adl_fail_nomem(err, "class names");
            goto out;
        }
    }
    ADL_TRY(drop_images(dataset, numbers, err));
    for (size_t i = 0; i < dataset->count; i++)
        if (!dataset->images[i].bare)
            dataset->images[i].class_id = numbers[dataset->images[i].class_id];
    adl_free(dataset->classes);
    dataset->classes = classes;
    dataset->class_count = count;
    classes = NULL;
    result = 1;
out:
    adl_free(numbers);
    adl_free(classes);
    return result;
}

int adl_dataset_follow_classes(struct adl_dataset *dataset, const char *const *names, size_t count,
                               struct adl_error *err)
{
    if (dataset->layout == ADL_DATASET_BOXES && names) {
        int matched = adl_dataset_match_classes(dataset, names, count, err);
        if (matched != 0)
            return matched < 0 ? -1 : 0;
        dataset->count = 0; /* no class is one of train's */
    }
    return adl_dataset_limit_classes(dataset, count, err);
}

/* --- labels that are probably mistakes ---------------------------------------------------- */

static int largest(const struct adl_dataset *d, size_t index)
{
    const struct adl_dataset_image *image = &d->images[index];
    return d->several && image->label_count ? d->labels[image->first_label + image->label_count - 1]
                                            : image->class_id;
}

int adl_dataset_find_stray(const struct adl_dataset *d, struct adl_dataset_stray *stray,
                           struct adl_error *err)
{
    size_t *images = adl_calloc(d->class_count, sizeof *images);
    size_t gap = 0, shared = 0;

    *stray = (struct adl_dataset_stray){0};
    if (!images)
        return adl_fail_nomem(err, "the classes");
    adl_dataset_count_labels(d, images);
    while (gap < d->class_count && images[gap] > 0)
        gap++;
    stray->classes = stray->next = gap;
    while (stray->next < d->class_count && images[stray->next] == 0)
        stray->next++;
    for (size_t i = gap; i < d->class_count; i++) {
        stray->count += images[i];
        shared += images[i] > 1;
    }
    adl_free(images);
    for (size_t i = 0; i < d->count; i++)
        if (largest(d, i) > largest(d, stray->image))
            stray->image = i;
    return stray->count > 0 && shared == 0 && stray->count < d->count - stray->count;
}
