#ifndef ADL_DATA_LABELS_H
#define ADL_DATA_LABELS_H

/* Data sets whose images may have several labels (struct adl_dataset_options.multi_label). */

#include "data/dataset.h"

/* Gives every label of an image an entry of its own, with this label and its boxes, so that each
 * can be measured as an image of one class is. The entries of an image follow each other and share
 * its `id`, the same pointer, by which they are known to be of one image; an image without a label
 * has one entry, which is `bare`. Does nothing if images have one label each, or if it was done
 * before. For the owner of a data set, before others read it. Fails with ADL_ERR_NOMEM. */
int adl_dataset_pair_labels(struct adl_dataset *dataset, struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether the entries `a` and `b` are of one image. */
static inline bool adl_dataset_same_image(const struct adl_dataset *dataset, size_t a, size_t b)
{
    return dataset->images[a].id == dataset->images[b].id;
}

/* Returns whether the image of a paired entry has a class. */
bool adl_dataset_has_label(const struct adl_dataset *dataset, size_t entry, int class_id);

/* Returns whether no image has a label. */
bool adl_dataset_is_bare(const struct adl_dataset *dataset);

/* Returns the number of images: of entries, or of groups of entries if labels were paired. */
size_t adl_dataset_image_count(const struct adl_dataset *dataset);

/* Sets counts[k], of class_count, to the number of images that have class k. */
void adl_dataset_count_labels(const struct adl_dataset *dataset, size_t *counts);

/* Writes 1 to present[k] for the classes of an image and 0 for the others, of `classes`, at least
 * the data set's. The labels were not paired. */
void adl_dataset_present(const struct adl_dataset *dataset, size_t index, size_t classes,
                         float *present);

#endif
