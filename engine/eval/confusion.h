#ifndef ADL_EVAL_CONFUSION_H
#define ADL_EVAL_CONFUSION_H

/* The confusion matrix of an evaluation: how many images of each true class were given each class
 * the highest score. Only the cells that are not 0 are kept, since that of ten thousand classes
 * would be mostly zeros. */

#include <stddef.h>

#include "base/error.h"
#include "data/dataset.h"
#include "eval/evaluate.h"

struct adl_confusion_cell {
    int truth, predicted; /* class ids */
    size_t images;        /* at least 1 */
};

struct adl_confusion {
    struct adl_confusion_cell *cells; /* by true class, then by predicted class; owned */
    size_t count;
    size_t images; /* in all cells */
};

/* Counts the images of the data set that were measured; `places` are their results by index.
 * Images that could not be read are left out. The caller releases `confusion`. Fails with
 * ADL_ERR_NOMEM. */
int adl_confusion_count(struct adl_confusion *confusion, const struct adl_dataset *dataset,
                        const struct adl_evaluate_place *places,
                        struct adl_error *err) ADL_MUST_CHECK;
void adl_confusion_release(struct adl_confusion *confusion);

#endif
