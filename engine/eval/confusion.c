/* Counts the confusion matrix: a cell for each image, sorted, and equal ones joined. */

#include "eval/confusion.h"

#include <stdlib.h>

#include "base/mem.h"

static int compare(const void *a, const void *b)
{
    const struct adl_confusion_cell *x = a, *y = b;
    if (x->truth != y->truth)
        return x->truth < y->truth ? -1 : 1;
    return (x->predicted > y->predicted) - (x->predicted < y->predicted);
}

int adl_confusion_count(struct adl_confusion *confusion, const struct adl_dataset *dataset,
                        const struct adl_evaluate_place *places, struct adl_error *err)
{
    struct adl_confusion_cell *cells = adl_malloc(dataset->count, sizeof *cells);
    size_t images = 0, count = 0;

    *confusion = (struct adl_confusion){0};
    if (!cells)
        return adl_fail_nomem(err, "the confusion matrix");
    for (size_t i = 0; i < dataset->count; i++)
        if (places[i].measured && places[i].predicted >= 0)
            cells[images++] =
                (struct adl_confusion_cell){dataset->images[i].class_id, places[i].predicted, 1};
    if (images > 0)
        qsort(cells, images, sizeof *cells, compare);
    for (size_t i = 0; i < images; i++) {
        if (count > 0 && compare(&cells[count - 1], &cells[i]) == 0)
            cells[count - 1].images++;
        else
            cells[count++] = cells[i];
    }
    *confusion = (struct adl_confusion){cells, count, images};
    return 0;
}

void adl_confusion_release(struct adl_confusion *confusion)
{
    adl_free(confusion->cells);
    *confusion = (struct adl_confusion){0};
}
