/* Groups the labels of images that may have several, and pairs images with their labels.
 *
 * Labels and boxes are collected in the order of the lists, and sorted here by image, class and
 * place in the list. So the boxes of one label of an image lie together, and an entry for each
 * label (adl_dataset_pair_labels) needs no copies of them. */

#include "data/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/draft.h"

/* --- drafts ------------------------------------------------------------------------------- */

int adl_draft_add_label(struct adl_draft *draft, size_t image, int class_id, struct adl_error *err)
{
    struct adl_draft_label *labels = adl_array_grow(draft->labels, &draft->label_capacity,
                                                    draft->label_count + 1, sizeof *labels);
    if (!labels)
        return adl_fail_nomem(err, "the data set's labels");
    draft->labels = labels;
    draft->labels[draft->label_count++] = (struct adl_draft_label){image, class_id};
    draft->labelled = true;
    return 0;
}

static int by_image_and_class(const void *a, const void *b)
{
    const struct adl_draft_label *x = a, *y = b;
    if (x->image != y->image)
        return x->image < y->image ? -1 : 1;
    return (x->class_id > y->class_id) - (x->class_id < y->class_id);
}

/* Sorts the labels into the data set. */
static int place(struct adl_draft *draft, struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;

    const bool labelled = draft->labelled;

    for (size_t i = 0; !labelled && i < d->count; i++)
        if (adl_draft_add_label(draft, i, d->images[i].class_id, err) < 0)
            return -1;
    d->labels = adl_malloc(draft->label_count, sizeof *d->labels);
    if (!d->labels)
        return adl_fail_nomem(err, "the data set's labels");
    if (draft->label_count > 0)
        qsort(draft->labels, draft->label_count, sizeof *draft->labels, by_image_and_class);
    for (size_t i = 0; i < draft->label_count; i++) {
        const struct adl_draft_label *label = &draft->labels[i];
        struct adl_dataset_image *image = &d->images[label->image];
        if (i > 0 && !by_image_and_class(label - 1, label))
            return adl_fail(err, ADL_ERR_FORMAT, "the image %.200s has the class %d twice",
                            image->id, label->class_id);
        if (image->label_count++ == 0)
            image->first_label = i;
        d->labels[i] = label->class_id;
    }
    return 0;
}

/* Sets the class of each image to its rarest label. */
static int choose_classes(struct adl_dataset *d, struct adl_error *err)
{
    size_t labels = 0, classes = 1;

    for (size_t i = 0; i < d->count; i++)
        labels += d->images[i].label_count;
    for (size_t i = 0; i < labels; i++)
        if ((size_t)d->labels[i] >= classes)
            classes = (size_t)d->labels[i] + 1;
    size_t *counts = adl_calloc(classes, sizeof *counts);
    if (!counts)
        return adl_fail_nomem(err, "the classes");
    for (size_t i = 0; i < labels; i++)
        counts[d->labels[i]]++;
    for (size_t i = 0; i < d->count; i++) {
        struct adl_dataset_image *image = &d->images[i];
        const int *own = d->labels + image->first_label;
        image->bare = image->label_count == 0;
        image->class_id = image->bare ? 0 : own[0];
        for (size_t k = 1; k < image->label_count; k++)
            if (counts[own[k]] < counts[image->class_id])
                image->class_id = own[k];
    }
    adl_free(counts);
    return 0;
}

/* A box with its place in the list. */
struct listed {
    struct adl_draft_box box;
    size_t place;
};

static int by_class_and_place(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->box.image != y->box.image)
        return x->box.image < y->box.image ? -1 : 1;
    if (x->box.class_id != y->box.class_id)
        return x->box.class_id < y->box.class_id ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Returns the index of the first of `count` ascending class ids that is not below `class_id`. An
 * image may have thousands of labels and boxes, so they are searched by halves. */
static size_t first_not_below(const int *ids, size_t count, int class_id)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (ids[middle] < class_id)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* Completes the class of a box, and checks that its image has it. */
static int check_box(const struct adl_dataset *d, struct adl_draft_box *box, struct adl_error *err)
{
    const struct adl_dataset_image *image = &d->images[box->image];
    const int *labels = d->labels + image->first_label;

    if (box->class_id < 0 && image->label_count != 1)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "the image %.200s has %zu labels, so a box has to name its class: "
                        "PATH,X0,Y0,X1,Y1,CLASS",
                        image->id, image->label_count);
    if (box->class_id < 0)
        box->class_id = labels[0];
    size_t at = first_not_below(labels, image->label_count, box->class_id);
    if (at < image->label_count && labels[at] == box->class_id)
        return 0;
    return adl_fail(err, ADL_ERR_FORMAT, "the image %.200s has a box of class %d, which it lacks",
                    image->id, box->class_id);
}

/* Moves the boxes, sorted by image and class, into the data set. */
static int place_boxes(struct adl_draft *draft, struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;
    struct listed *listed = adl_malloc(draft->box_count, sizeof *listed);
    int result = -1;

    d->boxes = adl_malloc(draft->box_count, sizeof *d->boxes);
    d->box_classes = adl_malloc(draft->box_count, sizeof *d->box_classes);
    if (!listed || !d->boxes || !d->box_classes) {
        adl_fail_nomem(err, "the data set's boxes");
        goto out;
    }
    for (size_t i = 0; i < draft->box_count; i++) {
        listed[i] = (struct listed){draft->boxes[i], i};
        ADL_TRY(check_box(d, &listed[i].box, err));
    }
    if (draft->box_count > 0)
        qsort(listed, draft->box_count, sizeof *listed, by_class_and_place);
    for (size_t i = 0; i < draft->box_count; i++) {
        struct adl_dataset_image *image = &d->images[listed[i].box.image];
        if (image->box_count++ == 0)
            image->first_box = i;
        d->boxes[i] = listed[i].box.box;
        d->box_classes[i] = listed[i].box.class_id;
    }
    d->box_count = draft->box_count;
    result = 0;
out:
    adl_free(listed);
    return result;
}

/* Returns the number of boxes of a label of an image, and sets *first to the first of them. */
static size_t boxes_of(const struct adl_dataset *d, const struct adl_dataset_image *image,
                       int class_id, size_t *first)
{
    const int *classes = d->box_classes + image->first_box;
    size_t from = first_not_below(classes, image->box_count, class_id);
    size_t count = first_not_below(classes + from, image->box_count - from, class_id + 1);

    *first = image->first_box + from;
    return count;
}

/* Refuses a label without a box where others have one. */
static int check_boxes(const struct adl_dataset *d, struct adl_error *err)
{
    for (size_t i = 0; d->box_count > 0 && i < d->count; i++)
        for (size_t k = 0; k < d->images[i].label_count; k++) {
            int class_id = d->labels[d->images[i].first_label + k];
            size_t first;
            if (!boxes_of(d, &d->images[i], class_id, &first))
                return adl_fail(err, ADL_ERR_FORMAT,
                                "there are boxes, but none of class %d for the image %.200s",
                                class_id, d->images[i].id);
        }
    return 0;
}

int adl_draft_place_labels(struct adl_draft *draft, struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;

    d->several = true;
    if (place(draft, err) < 0 || choose_classes(d, err) < 0 || place_boxes(draft, err) < 0)
        return -1;
    return check_boxes(d, err);
}

/* --- data sets ---------------------------------------------------------------------------- */

/* Writes the entries of an image and returns how many there are. */
static size_t pair(const struct adl_dataset *d, const struct adl_dataset_image *image,
                   struct adl_dataset_image *entries)
{
    if (image->bare) {
        *entries = *image;
        return 1;
    }
    for (size_t k = 0; k < image->label_count; k++) {
        struct adl_dataset_image *entry = &entries[k];
        *entry = *image;
        entry->class_id = d->labels[image->first_label + k];
        entry->first_label = image->first_label + k;
        entry->label_count = 1;
        entry->box_count = boxes_of(d, image, entry->class_id, &entry->first_box);
    }
    return image->label_count;
}

int adl_dataset_pair_labels(struct adl_dataset *d, struct adl_error *err)
{
    size_t total = 0, next = 0;

    if (!d->several || d->paired)
        return 0;
    for (size_t i = 0; i < d->count; i++)
        total += d->images[i].bare ? 1 : d->images[i].label_count;
    struct adl_dataset_image *entries = adl_malloc(total, sizeof *entries);
    if (!entries)
        return adl_fail_nomem(err, "the data set's labels");
    for (size_t i = 0; i < d->count; i++)
        next += pair(d, &d->images[i], entries + next);
    adl_free(d->images);
    d->images = entries;
    d->count = total;
    d->paired = true;
    return 0;
}

bool adl_dataset_has_label(const struct adl_dataset *d, size_t entry, int class_id)
{
    size_t i = entry;

    while (i > 0 && adl_dataset_same_image(d, i - 1, entry))
        i--;
    for (; i < d->count && adl_dataset_same_image(d, i, entry); i++)
        if (!d->images[i].bare && d->images[i].class_id == class_id)
            return true;
    return false;
}

bool adl_dataset_is_bare(const struct adl_dataset *d)
{
    size_t i = 0;
    while (i < d->count && d->images[i].bare)
        i++;
    return i == d->count;
}

size_t adl_dataset_image_count(const struct adl_dataset *d)
{
    size_t count = 0;
    for (size_t i = 0; i < d->count; i++)
        count += i == 0 || !d->paired || !adl_dataset_same_image(d, i - 1, i);
    return count;
}

void adl_dataset_count_labels(const struct adl_dataset *d, size_t *counts)
{
    memset(counts, 0, d->class_count * sizeof *counts);
    for (size_t i = 0; i < d->count; i++) {
        const struct adl_dataset_image *image = &d->images[i];
        if (!d->several || d->paired)
            counts[image->class_id] += !image->bare;
        else
            for (size_t k = 0; k < image->label_count; k++)
                counts[d->labels[image->first_label + k]]++;
    }
}

void adl_dataset_present(const struct adl_dataset *d, size_t index, size_t classes, float *present)
{
    const struct adl_dataset_image *image = &d->images[index];

    memset(present, 0, classes * sizeof *present);
    for (size_t k = 0; k < image->label_count; k++)
        present[d->labels[image->first_label + k]] = 1;
}
