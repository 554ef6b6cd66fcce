/* Computes the weights of the classes in the loss. */

#include "server/training/train_balance.h"

#include "base/mem.h"
#include "data/labels.h"

const char *const adl_train_balance_names[] = {[ADL_BALANCE_NONE] = "none",
                                               [ADL_BALANCE_SAMPLE] = "sample",
                                               [ADL_BALANCE_WEIGHT] = "weight",
                                               NULL};

int adl_train_check_balance(const struct adl_train_settings *s, struct adl_error *err)
{
    if (s->multi_label && s->balance == ADL_BALANCE_SAMPLE)
        return adl_fail(err, ADL_ERR_ARG,
                        "--balance sample draws images by their class, and with --multi-label an "
                        "image may have several; use --balance weight");
    return 0;
}

/* Weighs the presence of classes: as PyTorch's documentation of pos_weight has it. */
static int weigh_labels(struct adl_train_run *run, size_t classes, struct adl_error *err)
{
    const struct adl_dataset *train = run->train;
    float *weights = run->class_weights = adl_malloc(classes, sizeof *weights);
    size_t *counts = adl_calloc(classes, sizeof *counts);

    if (!weights || !counts) {
        adl_free(counts);
        return adl_fail_nomem(err, "the weights of the classes");
    }
    adl_dataset_count_labels(train, counts);
    for (size_t k = 0; k < classes; k++)
        weights[k] = counts[k] > 0 && counts[k] < train->count
                         ? (float)((double)(train->count - counts[k]) / (double)counts[k])
                         : 1;
    adl_free(counts);
    return 0;
}

int adl_train_weigh_classes(struct adl_train_run *run, struct adl_error *err)
{
    size_t classes = (size_t)run->model->arch.num_classes, used = 0;
    const struct adl_dataset *train = run->train;

    if (run->settings->balance != ADL_BALANCE_WEIGHT)
        return 0;
    if (run->settings->multi_label)
        return weigh_labels(run, classes, err);
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
