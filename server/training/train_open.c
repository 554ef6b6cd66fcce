/* Opens the data of a run: train, val if there is one, and what identifies them. */

#include "server/training/train_open.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/dataset_open.h"
#include "data/labels.h"
#include "server/training/train_data.h"

/* Returns the directory of the split to train on. The reference calls train-weaksup and
 * train-fullsup in its paper what its lists call train and val. */
static const char *train_split(const struct adl_train_settings *s)
{
    if (!strcmp(s->train_split, "train-fullsup"))
        return "val";
    return strcmp(s->train_split, "train-weaksup") ? s->train_split : "train";
}

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Drops val if the run learns some of its images, which then tell nothing: another split than train
 * may hold them, such as all. */
static int drop_learned_val(struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_dataset *train = run->train;
    bool learned = false;
    const char **ids = adl_malloc(train->count, sizeof *ids);

    if (!ids)
        return adl_fail_nomem(err, "the names of the images");
    for (size_t i = 0; i < train->count; i++)
        ids[i] = train->images[i].id;
    qsort(ids, train->count, sizeof *ids, by_id);
    for (size_t i = 0; i < run->val->count && !learned; i++)
        learned = bsearch(&run->val->images[i].id, ids, train->count, sizeof *ids, by_id);
    adl_free(ids);
    if (!learned)
        return 0;
    adl_str_printf(&run->remarks,
                   "the images of val are learned with --train-split %s; there is no validation\n",
                   run->settings->train_split);
    adl_dataset_free(run->val);
    run->val = NULL;
    return 0;
}

/* Leaves val out if none of its images has a label that train knows: there is nothing to measure.
 */
static void drop_bare_val(struct adl_train_run *run)
{
    if (!run->val || !adl_dataset_is_bare(run->val))
        return;
    if (run->val->count > 0)
        adl_str_puts(&run->remarks, "no image of val has a label; there is no validation\n");
    adl_dataset_free(run->val);
    run->val = NULL;
}

int adl_train_open_data(struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    struct adl_dataset_options options = {.dir = s->data,
                                          .split = train_split(s),
                                          .images = s->images,
                                          .metadata = s->metadata,
                                          .masks = s->masks,
                                          .exif = s->exif,
                                          .multi_label = s->multi_label,
                                          .division = s->division};
    struct adl_error none = {0};

    options.division.seed = s->seed;
    run->train = adl_dataset_open(&options, err);
    if (run->train && run->train->whole && !strcmp(options.split, "train")) {
        options.division.val_share = ADL_DATASET_WHOLE_VAL_SHARE;
        adl_dataset_free(run->train);
        run->train = adl_dataset_open(&options, err);
    }
    if (!run->train)
        return -1;
    if (run->train->count == 0)
        return adl_fail(err, ADL_ERR_ARG, "%s: has no images to train on", adl_train_data(s));
    if (!run->train->image_dir)
        return adl_fail(err, ADL_ERR_ARG, "%s: has no images; give their directory with --images",
                        adl_train_data(s));
    if (adl_dataset_is_bare(run->train))
        return adl_fail(err, ADL_ERR_ARG, "%s: no image to train on has a label",
                        adl_train_data(s));
    run->data = adl_train_data_identity(run->train);
    if (!run->data)
        return adl_fail_nomem(err, "the names of the images");
    /* A run that learns val itself has no other images to choose its best epoch on. */
    if (!strcmp(options.split, "val"))
        return 0;
    options.split = "val";
    run->val = adl_dataset_open(&options, &none);
    if (!run->val && none.kind != ADL_ERR_NOT_FOUND)
        return adl_fail(err, none.kind, "%s", none.message);
    /* If train and val have no separate directories, the same files are left out of both, and
     * are reported only once. */
    if (run->val && run->val->image_dir && !strcmp(run->val->image_dir, run->train->image_dir))
        memset(run->val->left_out, 0, sizeof run->val->left_out);
    drop_bare_val(run);
    return run->val && strcmp(train_split(s), "train") != 0 ? drop_learned_val(run, err) : 0;
}

int adl_train_limit_val(struct adl_train_run *run, struct adl_error *err)
{
    if (!run->val)
        return 0;
    if (adl_dataset_pair_labels(run->val, err) < 0 ||
        adl_dataset_follow_classes(run->val, (const char *const *)run->model->classes,
                                   run->model->class_count, err) < 0)
        return -1;
    if (run->val->count > 0) {
        drop_bare_val(run);
        return 0;
    }
    return adl_fail(err, ADL_ERR_FORMAT, "%s: no image of val is of a class that train has",
                    adl_train_data(run->settings));
}

int adl_train_record_data(json_t *config, const struct adl_train_settings *s)
{
    const struct adl_dataset_division *division = &s->division;
    int failed = 0;
    if (s->multi_label)
        failed |= json_object_set_new(config, "multi_label", json_true());
    if (s->exif != ADL_EXIF_AUTO)
        failed |= json_object_set_new(config, "exif", json_string(adl_dataset_exif_names[s->exif]));
    if (strcmp(train_split(s), "train") != 0)
        failed |= json_object_set_new(config, "train_split", json_string(train_split(s)));
    if (division->val_share > 0)
        failed |= json_object_set_new(config, "val_share", json_real(division->val_share));
    if (division->folds)
        failed |= json_object_update_new(
            config, json_pack("{s:i, s:i}", "folds", division->folds, "fold", division->fold));
    return failed ? -1 : 0;
}
