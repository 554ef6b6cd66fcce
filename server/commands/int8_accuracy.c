/* Measures a model before and after it is rounded to 8 bits, on a split with labels. */

#include "server/commands/int8_accuracy.h"

#include <math.h>
#include <string.h>

#include "base/plural.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "data/labels.h"
#include "server/tasks/labelled.h"
#include "server/tasks/progress.h"

/* --- the labels --------------------------------------------------------------------- */

static int open_split(struct adl_int8_accuracy *a, const struct adl_model *model,
                      const char *model_path, const char *dir, const char *split,
                      struct adl_error *err)
{
    const struct adl_dataset_options where = {
        .dir = dir, .split = split, .multi_label = model->labels.several};

    a->dataset = adl_labelled_open(&where, err);
    if (!a->dataset)
        return -1;
    if (adl_dataset_pair_labels(a->dataset, err) < 0)
        return -1;
    return adl_labelled_match(a->dataset, model, model_path, dir, "convert", err);
}

static void forget(struct adl_int8_accuracy *a)
{
    adl_dataset_free(a->dataset);
    a->dataset = NULL;
}

/* Takes the first of the splits with images; none if there is none. */
static int find_split(struct adl_int8_accuracy *a, const struct adl_model *model,
                      const char *model_path, const char *dir, struct adl_error *err)
{
    static const char *const splits[] = {"val", "test"};

    for (size_t i = 0; i < ADL_COUNT(splits); i++) {
        struct adl_error problem = {0};
        if (open_split(a, model, model_path, dir, splits[i], &problem) == 0)
            return 0;
        forget(a);
        if (problem.kind == ADL_ERR_NOMEM) {
            *err = problem;
            return -1;
        }
        if (problem.kind != ADL_ERR_NOT_FOUND) {
            fprintf(stderr, "adl-server: convert: accuracy is not measured: %s\n", problem.message);
            return 0;
        }
    }
    return 0;
}

static int list_images(struct adl_int8_accuracy *a, struct adl_error *err)
{
    struct adl_str path = {0};
    int result = -1;

    for (size_t i = 0; i < a->dataset->count; i++) {
        const char *text = adl_dataset_path(a->dataset, i, &path, err);
        if (!text || adl_image_list_add(&a->images, text, err) < 0)
            goto out;
    }
    result = adl_image_list_identify(&a->images, err);
out:
    adl_str_release(&path);
    return result;
}

int adl_int8_accuracy_open(struct adl_int8_accuracy *accuracy, const struct adl_model *model,
                           const char *model_path, const char *dir, const char *split,
                           struct adl_error *err)
{
    int result = split ? open_split(accuracy, model, model_path, dir, split, err)
                       : find_split(accuracy, model, model_path, dir, err);

    if (result == 0 && accuracy->dataset)
        result = list_images(accuracy, err);
    return result;
}

void adl_int8_accuracy_release(struct adl_int8_accuracy *accuracy)
{
    for (int side = 0; side < ADL_INT8_SIDES; side++)
        adl_evaluate_report_release(&accuracy->reports[side]);
    adl_image_list_release(&accuracy->images);
    forget(accuracy);
}

/* --- the figures ----------------------------------------------------------------------- */

int adl_int8_accuracy_measure(struct adl_int8_accuracy *accuracy, enum adl_int8_side side,
                              const struct adl_model *model, struct adl_views *views, int batch,
                              struct adl_pool *pool, struct adl_error *err)
{
    struct adl_progress progress;
    struct adl_evaluate_options how = {.curve_interval = ADL_EVALUATE_INTERVAL,
                                       .map = model->map,
                                       .temperature = model->certainty.temperature,
                                       .several = model->labels.several,
                                       .confidence = adl_model_confidence(model, &model->map),
                                       .limit = ADL_INT8_MEASURED,
                                       .progress = adl_progress_callback,
                                       .report_context = &progress};

    if (!accuracy->dataset)
        return 0;
    memcpy(how.mean, model->mean, sizeof how.mean);
    memcpy(how.std, model->std, sizeof how.std);
    adl_progress_start(&progress, "images",
                       ADL_MIN(accuracy->dataset->count, (size_t)ADL_INT8_MEASURED));
    int result = adl_evaluate_views(accuracy->dataset, views, batch, pool, &how,
                                    &accuracy->reports[side], err);
    adl_progress_finish(&progress);
    return result;
}

/* Prints one figure of both sides, if it is known. */
static void print_figure(FILE *table, const char *name, bool known, double before, double after,
                         int digits)
{
    if (known && isfinite(before) && isfinite(after))
        fprintf(table, "%-14s %8.*f %8.*f %+10.*f\n", name, digits, before, digits, after, digits,
                after - before);
}

void adl_int8_accuracy_print(const struct adl_int8_accuracy *accuracy, FILE *table)
{
    const struct adl_evaluate_report *b = &accuracy->reports[ADL_INT8_BEFORE],
                                     *a = &accuracy->reports[ADL_INT8_AFTER];
    const struct adl_evaluation *bf = &b->figures, *af = &a->figures;

    if (!accuracy->dataset)
        return;
    fprintf(table, "int8: measured on %zu image%s of the %zu of %s, in percent:\n", b->images,
            ADL_S(b->images), adl_dataset_image_count(accuracy->dataset), accuracy->dataset->split);
    fprintf(table, "%-14s %8s %8s %10s\n", "", "fp32", "int8", "difference");
    print_figure(table, "mAP", b->several, b->label_figures.mean_precision,
                 a->label_figures.mean_precision, 2);
    print_figure(table, "Top-1 Cls", b->classified && !b->several, bf->top1_cls, af->top1_cls, 2);
    print_figure(table, "GT-known Loc", b->localized, bf->gt_known_loc, af->gt_known_loc, 2);
    print_figure(table, "Top-1 Loc", b->both, bf->top1_loc, af->top1_loc, 2);
    print_figure(table, "MaxBoxAccV2", b->localized, bf->max_box_acc_v2, af->max_box_acc_v2, 2);
    print_figure(table, "class scores", b->class_scores.count > 0,
                 100 * adl_reliability_error(&b->class_scores),
                 100 * adl_reliability_error(&a->class_scores), 2);
    print_figure(table, "confidences", b->box_confidences.count > 0,
                 100 * adl_reliability_error(&b->box_confidences),
                 100 * adl_reliability_error(&a->box_confidences), 2);
    if (b->class_scores.count > 0)
        fputs("(of class scores and confidences, the expected calibration error)\n", table);
}
