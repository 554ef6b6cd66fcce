/* Measures a model, or a directory of score maps, on a data set.
 *
 * Images go through in groups of the batch size. For each group,
 *
 *   1. all images are read, decoded and resized to the input sizes, in parallel;
 *   2. for each view of the map rule, usually one, the network runs over the whole group, and the
 *      view's class maps are added to those of the images, in parallel;
 *   3. each image's class map (h x w of the last feature map) is enlarged to the input
 *      size, normalised to 0..1 and compared with the true boxes, in parallel, by the
 *      evaluator of the thread that takes the image, and with the true masks.
 *
 * Memory is needed for one group only, however large the data set is. An evaluator keeps only
 * counts of images, and sums of integers do not depend on their order, so merging the
 * threads' evaluators at the end gives the same figures for any number of threads.
 *
 * An image that cannot be read counts as wrong in every figure instead of being left out:
 * otherwise two models could be measured on different images without anyone noticing. */

#include "eval/evaluate.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "data/labels.h"
#include "eval/evaluate_image.h"

/* Images of a group if score maps are read instead of a network being run. */
#define MAPS_PER_GROUP 64

/* --- groups ---------------------------------------------------------------------------- */

/* Fails with the first error, in the order of the images, that is not that of a broken image. */
static int find_failure(const struct adl_evaluate_run *run, size_t count, struct adl_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (run->items[i].err.kind != ADL_ERR_NONE && !run->items[i].broken)
            return adl_fail(err, run->items[i].err.kind, "%s", run->items[i].err.message);
    return 0;
}

/* Gives a label of an image the place of the label before it. */
static void follow(struct adl_evaluate_item *item, const struct adl_evaluate_item *before)
{
    item->slot = before->slot;
    item->width = before->width;
    item->height = before->height;
    item->broken = before->broken;
    item->err = before->err;
}

/* Runs the stages of a group, each after the one before. Broken images get no slot in the batch, so
 * the network runs on the others only. */
static int run_group(struct adl_evaluate_run *run, size_t count, struct adl_error *err)
{
    int batch = 0;

    run->current = count;
    if (!run->views) {
        adl_pool_for(run->pool, count, adl_evaluate_measure_map_item, run);
        return find_failure(run, count, err);
    }
    adl_pool_for(run->pool, count, adl_evaluate_decode_item, run);
    if (find_failure(run, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct adl_evaluate_item *item = &run->items[i];
        if (adl_evaluate_shares(run, i))
            follow(item, item - 1);
        else if (!item->broken)
            item->slot = batch++;
    }
    if (batch == 0)
        return 0;
    for (run->view = 0; run->view < run->batch.count; run->view++) {
        adl_pool_for(run->pool, count, adl_evaluate_load_item, run);
        adl_session_run(run->batch.items[run->view].session, batch);
        adl_pool_for(run->pool, count, adl_evaluate_collect_item, run);
        if (find_failure(run, count, err) < 0)
            return -1;
    }
    return 0;
}

/* Adds the image to the report. Runs on the calling thread, in the order of the images, so that
 * callbacks and the first error do not depend on the threads. */
static void count_item(struct adl_evaluate_run *run, const struct adl_evaluate_item *item)
{
    const struct adl_evaluate_options *o = run->options;
    struct adl_evaluate_class *sums =
        &run->report->classes[run->dataset->images[item->index].class_id];
    const struct adl_evaluate_class *c = &item->counts;
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    /* Another label of an image that was counted already. */
    bool again = run->previous != SIZE_MAX &&
                 adl_dataset_same_image(run->dataset, run->previous, item->index);

    run->previous = item->index;
    run->broken_items += item->broken;
    run->report->images += !again;
    run->report->labels += !entry->bare;
    if (o->several && !again)
        adl_label_scores_add(&run->scores, item->index, item->broken ? NULL : item->logits);
    sums->images += !entry->bare;
    sums->top1 += c->top1;
    sums->top5 += c->top5;
    sums->gt_known += c->gt_known;
    sums->top1_loc += c->top1_loc;
    sums->top5_loc += c->top5_loc;
    if (run->masks && isfinite(item->mask_iou)) {
        run->mask_sum += item->mask_iou;
        run->mask_images++;
    }
    if (!item->broken) {
        if (run->views && !o->visit && !again)
            adl_reliability_add(&run->report->class_scores, (double)item->top_probability,
                                o->several
                                    ? adl_dataset_has_label(run->dataset, item->index, item->top)
                                    : c->top1 > 0);
        if (isfinite(item->confidence) && !o->visit)
            adl_reliability_add(&run->report->box_confidences, item->confidence, item->box_right);
        return;
    }
    /* Only the totals grow, so the image is wrong in every figure. */
    struct adl_evaluator *evaluator = &run->workers[0].evaluator;
    evaluator->classified++;
    evaluator->localized += run->localized && !entry->bare;
    evaluator->both += run->localized;
    sums->errors += !entry->bare;
    if (run->broken_items == 1)
        run->first_broken = item->err;
    run->report->errors += !again;
    if (o->broken && !again)
        o->broken(o->report_context, item->err.message);
}

static void release_items(struct adl_evaluate_run *run)
{
    for (size_t i = 0; run->items && i < run->group; i++) {
        adl_view_images_release(&run->items[i].images);
        run->items[i] = (struct adl_evaluate_item){0};
    }
}

static int run_all(struct adl_evaluate_run *run, struct adl_error *err)
{
    const struct adl_evaluate_options *o = run->options;
    size_t parts = ADL_MAX(o->parts, (size_t)1), done = 0;

    for (size_t first = o->part * run->group; first < run->total; first += parts * run->group) {
        size_t count = ADL_MIN(run->group, run->total - first);
        if (o->stopped && o->stopped(o->stop_context))
            return adl_fail(err, ADL_ERR_CANCELLED, "the evaluation was stopped");
        for (size_t i = 0; i < count; i++)
            /* With a limit, spread evenly over the data set, which is often ordered by class. */
            run->items[i].index = (first + i) * run->dataset->count / run->total;
        if (run_group(run, count, err) < 0)
            return -1;
        for (size_t i = 0; i < count; i++) {
            if (run->items[i].broken && adl_evaluate_mask(run, run->workers, &run->items[i], NULL,
                                                          run->in.h, run->in.w, err) < 0)
                return -1;
            count_item(run, &run->items[i]);
        }
        release_items(run);
        if (o->progress)
            o->progress(o->report_context, done += count);
    }
    if (parts == 1 && run->broken_items == run->total)
        return adl_fail(err, ADL_ERR_FORMAT, "not one of %zu image%s could be read: %s",
                        run->report->images, ADL_S(run->report->images), run->first_broken.message);
    return 0;
}

/* --- the evaluation ----------------------------------------------------------------------- */

/* Allocates all memory of the run, except for decoded images. */
static int prepare(struct adl_evaluate_run *run, struct adl_error *err)
{
    const struct adl_evaluate_options *o = run->options;
    size_t pixels = (size_t)run->in.h * (size_t)run->in.w;
    size_t cells = (size_t)run->batch.map_h * (size_t)run->batch.map_w;

    run->cams = adl_malloc(run->group * cells, sizeof *run->cams);
    if (run->batch.count > 1)
        run->logits = adl_malloc(run->group * run->class_count, sizeof *run->logits);
    if (!run->cams || (run->batch.count > 1 && !run->logits))
        return adl_fail_nomem(err, "the evaluation");
    run->items = adl_calloc(run->group, sizeof *run->items);
    run->workers = adl_calloc((size_t)run->worker_count, sizeof *run->workers);
    run->report->class_count = run->dataset->class_count;
    run->report->classes = adl_calloc(run->report->class_count, sizeof *run->report->classes);
    if (!run->items || !run->workers || !run->report->classes)
        return adl_fail_nomem(err, "the evaluation");
    if (run->dataset->masked && !o->visit) {
        run->masks =
            adl_mask_meter_create(run->dataset, o->curve_interval, &o->map, run->worker_count, err);
        if (!run->masks)
            return -1;
    }
    if (o->several && adl_label_scores_init(&run->scores, run->dataset, run->class_count, err) < 0)
        return -1;
    for (int i = 0; i < run->worker_count; i++) {
        struct adl_evaluate_worker *worker = &run->workers[i];
        if (adl_evaluator_init(&worker->evaluator, o->curve_interval, o->map.threshold, err) < 0)
            return -1;
        worker->map = adl_malloc(pixels, sizeof *worker->map);
        worker->scores = adl_malloc(run->class_count, sizeof *worker->scores);
        if (!worker->map || !worker->scores)
            return adl_fail_nomem(err, "the evaluation");
    }
    return 0;
}

/* Merges the threads' counts and computes the figures. */
static int finish(struct adl_evaluate_run *run, struct adl_error *err)
{
    struct adl_evaluator *all = &run->workers[0].evaluator;

    for (int i = 1; i < run->worker_count; i++)
        if (adl_evaluator_merge(all, &run->workers[i].evaluator, err) < 0)
            return -1;
    bool several = run->options->several;
    run->report->several = several;
    if (several && !run->options->visit &&
        adl_label_scores_figures(&run->scores, run->dataset, run->report->classes,
                                 run->report->class_count, &run->report->label_figures, err) < 0)
        return -1;
    run->report->classified = run->views != NULL && !several;
    run->report->localized = run->localized;
    run->report->both = run->views && run->localized && !several;
    for (int i = 0; i < run->worker_count; i++)
        if (adl_detections_merge(&run->report->detections, &run->workers[i].detector.found, err) <
            0)
            return -1;
    run->report->masked = run->masks;
    if (run->masks && adl_mask_meter_figures(run->masks, &run->report->masks, err) < 0)
        return -1;
    if (run->mask_images > 0)
        run->report->masks.image_iou = 100 * run->mask_sum / (double)run->mask_images;
    run->report->total = run->total;
    run->report->figures = adl_evaluator_result(all);
    run->report->counts = *all;
    *all = (struct adl_evaluator){0};
    return 0;
}

static void release(struct adl_evaluate_run *run)
{
    release_items(run);
    adl_mask_meter_free(run->masks);
    adl_free(run->items);
    for (int i = 0; run->workers && i < run->worker_count; i++) {
        struct adl_evaluate_worker *worker = &run->workers[i];
        adl_evaluator_release(&worker->evaluator);
        adl_free(worker->scores);
        adl_free(worker->map);
        adl_free(worker->truth);
        adl_detector_release(&worker->detector);
        adl_str_release(&worker->path);
    }
    adl_free(run->workers);
    adl_free(run->cams);
    adl_free(run->logits);
    adl_label_scores_release(&run->scores);
}

static int evaluate(struct adl_evaluate_run *run, struct adl_error *err)
{
    const struct adl_dataset *d = run->dataset;
    uint64_t start = adl_clock_ns();
    int result = -1;

    *run->report = (struct adl_evaluate_report){0};
    run->previous = SIZE_MAX;
    run->worker_count = adl_pool_threads(run->pool);
    run->localized = d->box_count > 0;
    run->total = run->options->limit ? ADL_MIN(run->options->limit, d->count) : d->count;
    run->group = ADL_MIN(run->group, run->total);
    if (d->count == 0)
        return adl_fail(err, ADL_ERR_ARG, "the split has no images");
    if (run->views && d->class_count > run->class_count)
        return adl_fail(err, ADL_ERR_ARG, "the data set has %zu class%s, the network has %zu",
                        d->class_count, ADL_ES(d->class_count), run->class_count);
    if (!run->views && !run->localized && !d->masked)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "the split has no boxes or masks to compare score maps with");
    ADL_TRY(prepare(run, err));
    ADL_TRY(run_all(run, err));
    ADL_TRY(finish(run, err));
    run->report->seconds = adl_clock_ms(start, adl_clock_ns()) / 1000;
    result = 0;
out:
    release(run);
    if (result < 0)
        adl_evaluate_report_release(run->report);
    return result;
}

int adl_evaluate_views(const struct adl_dataset *dataset, struct adl_views *views, int batch,
                       struct adl_pool *pool, const struct adl_evaluate_options *options,
                       struct adl_evaluate_report *report, struct adl_error *err)
{
    const struct adl_plan *plan = adl_views_plan(views);
    struct adl_evaluate_run run = {.dataset = dataset,
                                   .options = options,
                                   .pool = pool,
                                   .views = views,
                                   .in = adl_plan_input_shape(plan),
                                   .group = (size_t)batch,
                                   .report = report};

    *report = (struct adl_evaluate_report){0};
    if (adl_views_prepare(views, &options->map, false, &run.batch, err) < 0)
        return -1;
    run.class_count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS));
    return evaluate(&run, err);
}

int adl_evaluate_scoremaps(const struct adl_dataset *dataset, const char *dir,
                           struct adl_pool *pool, const struct adl_evaluate_options *options,
                           struct adl_evaluate_report *report, struct adl_error *err)
{
    struct adl_evaluate_run run = {.dataset = dataset,
                                   .options = options,
                                   .pool = pool,
                                   .map_dir = dir,
                                   .group = MAPS_PER_GROUP,
                                   .report = report};

    return evaluate(&run, err);
}

void adl_evaluate_report_release(struct adl_evaluate_report *report)
{
    adl_free(report->classes);
    adl_evaluator_release(&report->counts);
    adl_detections_release(&report->detections);
    adl_mask_figures_release(&report->masks);
    *report = (struct adl_evaluate_report){0};
}
