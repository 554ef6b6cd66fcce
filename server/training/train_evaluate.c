/* Evaluates the network of a run on val. */

#include "server/training/train_evaluate.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/tasks/progress.h"
#include "server/training/train_log.h"

double adl_train_measure(const struct adl_evaluate_report *report)
{
    if (!report->localized && report->masked && isfinite(report->masks.pxap))
        return report->masks.pxap;
    if (report->localized)
        return report->figures.max_box_acc_v2;
    return report->several ? report->label_figures.mean_precision : report->figures.top1_cls;
}

static bool is_stopped(void *context)
{
    const struct adl_train_run *run = context;
    return *run->asked || *run->stop;
}

/* Returns the mean cross-entropy of the images that could be read, from the probabilities of their
 * classes; NAN if none could be read. A probability below the smallest normal float is replaced by
 * that, so that the loss is finite: at most 87.3. */
static double mean_loss(const struct adl_evaluate_place *places, size_t count)
{
    double sum = 0;
    size_t measured = 0;
    for (size_t i = 0; i < count; i++) {
        if (!places[i].measured)
            continue;
        sum -= log(fmax((double)places[i].probability, (double)FLT_MIN));
        measured++;
    }
    return measured ? sum / (double)measured : (double)NAN;
}

int adl_train_evaluate(struct adl_train_run *run, struct adl_evaluate_report *report, double *loss,
                       struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    struct adl_plan_options options = {.input_h = s->crop_size, .input_w = s->crop_size};
    struct adl_progress progress;
    adl_free(run->places);
    run->places = adl_calloc(run->val->count, sizeof *run->places);
    if (!run->places)
        return adl_fail_nomem(err, "the evaluation");
    struct adl_evaluate_options evaluation = {
        .curve_interval = s->curve_interval,
        .map = run->model->map,
        .several = run->model->labels.several,
        .progress = adl_progress_callback,
        .report_context = &progress,
        .broken = run->val_reported ? NULL : adl_train_log_unreadable_val,
        .stopped = run->trained ? is_stopped : NULL,
        .stop_context = run,
        .frames = {.cache = run->cache, .first = run->train->count},
        .places = run->places};
    int result = -1, batch = ADL_MIN(s->batch_size, 16);
    memcpy(evaluation.mean, run->model->mean, sizeof evaluation.mean);
    memcpy(evaluation.std, run->model->std, sizeof evaluation.std);
    const float *const *params = (const float *const *)adl_optimizer_evaluated(run->optimizer);
    struct adl_plan *plan = NULL;
    if (adl_model_keep_layer_of(run->model, params, &run->model->map.views, err) == 0) {
        adl_model_plan_options(run->model, &options);
        plan = adl_plan_create(run->model->graph, params, &options, err);
    }
    struct adl_views *views =
        plan ? adl_model_open_views(run->model, plan, run->pool, batch, err) : NULL;
    adl_progress_start(&progress, "val: images", run->val->count);
    if (views)
        result = adl_evaluate_views(run->val, views, batch, run->pool, &evaluation, report, err);
    adl_progress_finish(&progress);
    if (result == 0) {
        *loss =
            report->several ? report->label_figures.loss : mean_loss(run->places, run->val->count);
        adl_train_log_broken_val(run, report);
    }
    adl_views_free(views);
    adl_plan_unref(plan);
    return result;
}

void adl_train_use_best_threshold(struct adl_evaluation *figures)
{
    figures->gt_known_loc = figures->max_box_acc;
    figures->top1_loc = figures->best_top1_loc;
    figures->top5_loc = figures->best_top5_loc;
}
