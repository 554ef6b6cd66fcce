/* Computes the weights of the classes in the loss. */

#include "server/training/train_balance.h"

#include "base/mem.h"

const char *const adl_train_balance_names[] = {[ADL_BALANCE_NONE] = "none",
                                               [ADL_BALANCE_SAMPLE] = "sample",
                                               [ADL_BALANCE_WEIGHT] = "weight",
                                               NULL};

int adl_train_weigh_classes(struct adl_train_run *run, struct adl_error *err)
{
    size_t classes = (size_t)run->model->arch.num_classes, used = 0;
    const struct adl_dataset *train = run->train;

    if (run->settings->balance != ADL_BALANCE_WEIGHT)
        return 0;
    float *weights = run->class_weights = adl_calloc(classes, sizeof *weights);
    if (!weights)
        return adl_fail_nomem(err, "the weights of the classes");
    /* Counts fit in a float up to 2^24, the rest is computed in double. */
    for (size_t i = 0; i < train->count; i++)
        used += weights[train->images[i].class_id]++ <= 0;
    for (size_t k = 0; k < classes; k++)
        weights[k] = weights[k] > 0
                         ? (float)((double)train->count / ((double)used * (double)weights[k]))
                         : 1;
    return 0;
}
