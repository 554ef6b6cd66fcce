/* Evaluates the network of a run on val. */

#include "server/training/train_evaluate.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/evaluate_parts.h"
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

/* Returns the options of the evaluation. */
static struct adl_evaluate_options options_of(struct adl_train_run *run,
                                              struct adl_progress *progress)
{
    const struct adl_exchange *exchange = run->settings->exchange;
    struct adl_evaluate_options evaluation = {
        .curve_interval = run->settings->curve_interval,
        .map = run->model->map,
        .several = run->model->labels.several,
        .progress = run->follows ? NULL : adl_progress_callback,
        .report_context = progress,
        .broken = run->val_reported ? NULL : adl_train_log_unreadable_val,
        .stopped = run->trained ? is_stopped : NULL,
        .stop_context = run,
        .frames = {.cache = run->cache, .first = run->train->count},
        .places = run->places};
    memcpy(evaluation.mean, run->model->mean, sizeof evaluation.mean);
    memcpy(evaluation.std, run->model->std, sizeof evaluation.std);
    if (exchange && adl_evaluate_divides(run->val, &evaluation)) {
        evaluation.part = (size_t)exchange->rank;
        evaluation.parts = (size_t)exchange->ranks;
    }
    return evaluation;
}

bool adl_train_divides_val(struct adl_train_run *run)
{
    return run->val && options_of(run, NULL).parts > 0;
}

/* Runs the network over the images of val, or the part of this process. */
static int measure(struct adl_train_run *run, int batch,
                   const struct adl_evaluate_options *evaluation,
                   struct adl_evaluate_report *report, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    struct adl_plan_options options = {.input_h = s->crop_size, .input_w = s->crop_size};
    const float *const *params = (const float *const *)adl_optimizer_evaluated(run->optimizer);
    struct adl_plan *plan = NULL;
    int result = -1;

    if (adl_model_keep_layer_of(run->model, params, &run->model->map.views, err) == 0) {
        adl_model_plan_options(run->model, &options);
        plan = adl_plan_create(run->model->graph, params, &options, err);
    }
    struct adl_views *views =
        plan ? adl_model_open_views(run->model, plan, run->pool, batch, err) : NULL;
    if (views)
        result = adl_evaluate_views(run->val, views, batch, run->pool, evaluation, report, err);
    adl_views_free(views);
    adl_plan_unref(plan);
    return result;
}

/* The threshold is the only part of the model that rank 0 alone changes. */
static int share_threshold(struct adl_train_run *run, struct adl_error *err)
{
    double threshold = run->model->map.threshold;
    if (adl_exchange_copy(run->settings->exchange, &threshold, sizeof threshold, err) < 0)
        return -1;
    run->model->map.threshold = threshold;
    return 0;
}

int adl_train_evaluate(struct adl_train_run *run, struct adl_evaluate_report *report, double *loss,
                       struct adl_error *err)
{
    bool divides = adl_train_divides_val(run);
    int result = -1, batch = ADL_MIN(run->settings->batch_size, 16);
    struct adl_progress progress = {0};

    if (divides && share_threshold(run, err) < 0)
        return -1;
    adl_free(run->places);
    run->places = adl_calloc(run->val->count, sizeof *run->places);
    struct adl_evaluate_options evaluation = options_of(run, &progress);
    if (!run->follows)
        adl_progress_start(&progress, "val: images",
                           adl_ceil_div(run->val->count, ADL_MAX(evaluation.parts, (size_t)1)));
    if (run->places)
        result = measure(run, batch, &evaluation, report, err);
    else
        adl_fail_nomem(err, "the evaluation");
    if (divides)
        result =
            adl_evaluate_join(run->settings->exchange, run->val, &evaluation, result, report, err);
    if (!run->follows)
        adl_progress_finish(&progress);
    if (result < 0 || run->follows)
        return result;
    *loss = report->several ? report->label_figures.loss : mean_loss(run->places, run->val->count);
    adl_train_log_broken_val(run, report);
    return 0;
}

void adl_train_use_best_threshold(struct adl_evaluation *figures)
{
    figures->gt_known_loc = figures->max_box_acc;
    figures->top1_loc = figures->best_top1_loc;
    figures->top5_loc = figures->best_top5_loc;
}
