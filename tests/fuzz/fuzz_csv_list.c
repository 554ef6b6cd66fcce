/* Fuzz target: any bytes as a list of paths and labels. */

#include <stdlib.h>

#include "base/mem.h"
#include "data/labels.h"
#include "fuzz/dataset_try.h"
#include "fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The labels of an image that may have several ascend, and have names. */
static void check_labels(const struct adl_dataset *d, const struct adl_dataset_image *image)
{
    const int *labels = d->labels ? d->labels + image->first_label : NULL;

    if (image->bare != (image->label_count == 0))
        abort();
    for (size_t k = 0; k < image->label_count; k++)
        if (labels[k] < 0 || (size_t)labels[k] >= d->class_count ||
            (k > 0 && labels[k] <= labels[k - 1]))
            abort();
}

static void try_split(const char *path, const char *split, bool several)
{
    struct adl_error err = {0};
    struct adl_dataset *d = dataset_try(path, split, several);

    /* Only a list without any label names no class. */
    if (d && d->count > 0 && !d->classes && !(several && adl_dataset_is_bare(d)))
        abort();
    for (size_t i = 0; several && d && i < d->count; i++)
        check_labels(d, &d->images[i]);
    if (several && d && adl_dataset_pair_labels(d, &err) < 0)
        abort();
    adl_dataset_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const splits[] = {"train", "val", "all", "x"};
    const size_t blocks = adl_mem_stats().live_blocks;
    char path[200];

    scratch_make();
    scratch_put("list.csv", data, size);
    scratch_path(path, "list.csv");
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        try_split(path, splits[i], false);
        try_split(path, splits[i], true);
    }
    if (adl_mem_stats().live_blocks != blocks)
        abort();
    return 0;
}
