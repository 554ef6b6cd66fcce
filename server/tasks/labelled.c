/* Images with known classes: opening them, and matching their classes to a model's. */

#include "server/tasks/labelled.h"

#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "base/plural.h"

const char *adl_labelled_place(const struct adl_dataset_options *where)
{
    return where->dir ? where->dir : where->metadata;
}

struct adl_dataset *adl_labelled_open(const struct adl_dataset_options *where,
                                      struct adl_error *err)
{
    struct adl_dataset *dataset;

    if (!where->dir && !where->metadata) {
        adl_fail(err, ADL_ERR_ARG, "--data DIR or --metadata DIR is required");
        return NULL;
    }
    dataset = adl_dataset_open(where, err);
    if (dataset && dataset->count == 0) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s: the split \"%s\" has no images",
                 adl_labelled_place(where), where->split);
        adl_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

/* Takes the data set's labels as the model's class indices. If the data set has no class names,
 * less than half of its images may have labels beyond the model's classes, and are left out; with
 * more such images, the model was trained on another data set, which is an error. Differing names
 * are only a warning, because lists may spell them differently. */
static int match_by_number(struct adl_dataset *d, const struct adl_model *m, const char *model_path,
                           const char *place, const char *command, struct adl_error *err)
{
    size_t named = d->classes && m->classes ? d->class_count : 0, i = 0, beyond = 0;

    while (i < named && i < m->class_count && !strcmp(d->classes[i], m->classes[i]))
        i++;
    for (size_t k = 0; k < d->count; k++)
        beyond += (size_t)d->images[k].class_id >= m->class_count;
    /* A data set with fewer classes than the network is accepted if they are the
     * network's first ones. */
    bool more = d->class_count > m->class_count && (d->classes || beyond >= d->count - beyond);
    if (more || (d->class_count < m->class_count && i < named))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: has %zu class%s, but %s has %s%zu; use a model trained on these "
                        "classes",
                        model_path, m->class_count, ADL_ES(m->class_count), place,
                        d->classes ? "" : "labels up to ",
                        d->classes ? d->class_count : d->class_count - 1);
    if (i < named && command)
        fprintf(stderr,
                "adl-server: %s: warning: class %zu is \"%s\" in %s, but \"%s\" in %s; matching "
                "by number\n",
                command, i, ADL_SHORT(d->classes[i]), place, ADL_SHORT(m->classes[i]), model_path);
    return adl_dataset_limit_classes(d, m->class_count, err);
}

int adl_labelled_one_class(const struct adl_model *model, const char *model_path,
                           struct adl_error *err)
{
    if (!model->labels.several)
        return 0;
    return adl_fail(err, ADL_ERR_UNSUPPORTED,
                    "%s: was trained with --multi-label; calibrate fits probabilities and maps to "
                    "images of one class",
                    model_path);
}

int adl_labelled_match(struct adl_dataset *dataset, const struct adl_model *model,
                       const char *model_path, const char *place, const char *command,
                       struct adl_error *err)
{
    int matched = 0;

    if (model->classes)
        matched = adl_dataset_match_classes(dataset, (const char *const *)model->classes,
                                            model->class_count, err);
    if (matched != 0)
        return matched < 0 ? -1 : 0;
    return match_by_number(dataset, model, model_path, place, command, err);
}

void adl_labelled_log_whole(const struct adl_dataset *dataset, const char *place,
                            const char *command)
{
    if (dataset->whole && !strcmp(dataset->split, "val"))
        fprintf(stderr,
                "adl-server: %s: %s has no splits: val is all %zu image%s, also those that train "
                "learned; --val-share %g and the run's --seed take those that it left out\n",
                command, place, dataset->count, ADL_S(dataset->count), ADL_DATASET_WHOLE_VAL_SHARE);
}
