#ifndef ADL_FUZZ_DATASET_TRY_H
#define ADL_FUZZ_DATASET_TRY_H

/* Opens a data set of hostile files for a fuzz target, and aborts where it or the error breaks a
 * rule that holds in every layout. */

#include <stdlib.h>

#include "data/dataset_open.h"

/* Every image has to be below the directory and of a class that there is, which has a name if the
 * classes have any; its boxes and labels have to be among those of the data set. */
static inline void dataset_check(const struct adl_dataset *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct adl_dataset_image *image = &d->images[i];
        if (!adl_dataset_id_valid(image->id) || image->class_id < 0 ||
            (size_t)image->class_id >= d->class_count || image->width < 0 || image->height < 0 ||
            image->first_box + image->box_count > d->box_count ||
            (d->classes && !*d->classes[image->class_id]))
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

/* Returns the data set, which the caller frees; NULL if it is refused. */
static inline struct adl_dataset *dataset_try(const char *path, const char *split, bool several)
{
    struct adl_error err = {0};
    const struct adl_dataset_options options = {
        .dir = path, .split = split, .multi_label = several};
    struct adl_dataset *d = adl_dataset_open(&options, &err);

    if (d)
        dataset_check(d);
    else if (err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_INTERNAL)
        abort();
    return d;
}

#endif
