/* Measures a model, or a directory of score maps, on a data set.
 *
 * Images go through in groups of the batch size. For each group,
 *
 *   1. all images are read, decoded and resized to the input sizes, in parallel;
 *   2. for each view of the map rule, usually one, the network runs over the whole group, and the
 *      view's class maps are added to those of the images, in parallel;
 *   3. each image's class map (h x w of the last feature map) is enlarged to the input
 *      size, normalised to 0..1 and compared with the true boxes, in parallel, by the
 *      evaluator of the thread that takes the image.
 *
 * Memory is needed for one group only, however large the data set is. An evaluator keeps only
 * counts of images, and sums of integers do not depend on their order, so merging the
 * threads' evaluators at the end gives the same figures for any number of threads.
 *
 * An image that cannot be read counts as wrong in every figure instead of being left out:
 * otherwise two models could be measured on different images without anyone noticing. */

#include "eval/evaluate.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "data/image_file.h"
#include "eval/evaluate_input.h"
#include "eval/map_files.h"
#include "wsol/cam.h"

/* Images of a group if score maps are read instead of a network being run. */
#define MAPS_PER_GROUP 64

/* Counts and scratch of one thread. */
struct worker {
    struct adl_evaluator evaluator;
    double *map;           /* enlarged to in.h x in.w */
    float *scores;         /* probability of each class */
    struct adl_box *truth; /* true boxes of one image, in pixels of the map */
    size_t truth_capacity;
    struct adl_detector detector; /* in use with options->detections */
    struct adl_str path;
};

/* One image of a group. */
struct item {
    size_t index; /* in the data set */
    struct adl_view_images images;
    int width, height;   /* of the original image, which its boxes refer to */
    int slot;            /* in the batch */
    const float *logits; /* of the plain view */
    float *cam;          /* class map, map_h x map_w of the run of views */
    struct adl_error err;
    bool broken;                      /* err concerns this image alone; the run continues */
    float top_probability;            /* of the most probable class */
    double confidence;                /* of the box at the model's threshold; NaN: not known */
    bool box_right;                   /* that box reaches IoU 0.5 */
    struct adl_evaluate_class counts; /* by how much the image increased the counts */
};

struct run {
    const struct adl_dataset *dataset;
    const struct adl_evaluate_options *options;
    struct adl_pool *pool;
    struct adl_views *views;   /* NULL: score maps are read instead */
    struct adl_view_run batch; /* how a group is run */
    int view;                  /* that runs now */
    const char *map_dir;       /* directory of score maps to read */
    struct adl_shape in;       /* the network's input */
    size_t class_count;        /* of the network */
    float *cams;               /* of a group */
    float *logits;             /* of a group, [group][class_count]; NULL if there is one view */
    struct worker *workers;
    int worker_count;
    struct item *items; /* [group] */
    size_t group;       /* images at a time */
    size_t total;       /* images to be measured */
    bool localized;     /* the split has boxes */
    struct adl_error first_broken;
    struct adl_evaluate_report *report;
};

/* --- one image ------------------------------------------------------------------- */

static int check_directory(const struct run *run, const struct item *item, const char *problem,
                           struct adl_error *err)
{
    if (run->dataset->image_dir)
        return 0;
    return adl_fail(err, ADL_ERR_NOT_FOUND, "%s %s, and there is no directory of images",
                    run->dataset->images[item->index].id, problem);
}

static int read_image(const struct run *run, struct worker *worker, struct item *item,
                      struct adl_image *image, struct adl_error *err)
{
    if (check_directory(run, item, "has no size in the lists", err) < 0)
        return -1;
    return adl_dataset_image_read(run->dataset, item->index, &worker->path, image, err);
}

static int decode_and_resize(const struct run *run, struct worker *worker, struct item *item,
                             struct adl_error *err)
{
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    struct adl_image original = {0};

    if (check_directory(run, item, "has to be read", err) < 0 ||
        adl_evaluate_read_images(&run->options->frames, run->dataset, item->index,
                                 &run->batch.sizes, &worker->path, &item->images, &original,
                                 err) < 0)
        return -1;
    item->width = entry->width ? entry->width : original.width;
    item->height = entry->height ? entry->height : original.height;
    return 0;
}

/* An error of the file makes the image broken; running out of memory or an internal error ends the
 * run. */
static void decode_item(void *context, size_t i, int worker)
{
    struct run *run = context;
    struct item *item = &run->items[i];

    if (decode_and_resize(run, &run->workers[worker], item, &item->err) < 0)
        item->broken = item->err.kind != ADL_ERR_NOMEM && item->err.kind != ADL_ERR_INTERNAL;
}

static void load_item(void *context, size_t i, int worker)
{
    struct run *run = context;
    struct item *item = &run->items[i];

    (void)worker;
    if (!item->broken)
        adl_view_load(&run->batch, run->view, item->slot, &item->images, run->options->mean,
                      run->options->std);
}

/* Writes the true boxes of an image to worker->truth, in pixels of a map of map_width x
 * map_height. */
static int scale_truth(const struct run *run, struct worker *worker, const struct item *item,
                       int map_width, int map_height, struct adl_error *err)
{
    return adl_evaluate_scale_truth(run->dataset, item->index, item->width, item->height, map_width,
                                    map_height, &worker->truth, &worker->truth_capacity, err);
}

/* Judges the box at the model's threshold, and sets *iou. The evaluator still has the map loaded,
 * but its last cut was at another threshold. */
static int judge_box(const struct run *run, struct worker *worker,
                     const struct adl_eval_image *image, struct item *item, double *iou,
                     struct adl_error *err)
{
    struct adl_box_finder *finder = &worker->evaluator.finder;
    struct adl_boxes *boxes = &worker->evaluator.boxes;
    int byte = adl_box_finder_byte(finder, run->options->map.threshold);
    double evidence[ADL_EVIDENCES];

    if (adl_box_finder_cut(finder, byte, ADL_BOXES_LARGEST, boxes, err) < 0)
        return -1;
    *iou = adl_box_best_iou(boxes->items, 1, image->truth, image->truth_count);
    item->box_right = *iou >= 0.5;
    if (run->options->confidence && image->logits && finder->contours.count > 0) {
        struct adl_box box = adl_box_to_inclusive(*boxes->items, image->width, image->height);
        adl_evidence_of_box(finder, byte, box, (double)worker->scores[image->label], evidence);
        item->confidence = adl_confidence_of(run->options->confidence, evidence, 1);
    }
    return 0;
}

/* Fills in what is known of the image beside the counts of the evaluator. */
static int record_item(const struct run *run, struct worker *worker,
                       const struct adl_eval_image *image, struct item *item, struct adl_error *err)
{
    const struct adl_evaluate_options *o = run->options;
    double iou = 0;

    item->confidence = NAN;
    if (image->logits) {
        size_t top;
        adl_softmax_at(o->temperature > 0 ? o->temperature : 1, image->logits, image->classes,
                       worker->scores);
        adl_top_k(worker->scores, image->classes, 1, &top);
        item->top_probability = worker->scores[top];
    }
    if (image->map && (o->places || o->confidence) &&
        judge_box(run, worker, image, item, &iou, err) < 0)
        return -1;
    if (o->places)
        o->places[item->index] = (struct adl_evaluate_place){
            .measured = true,
            .iou = (float)iou,
            .probability = image->logits && isfinite(worker->scores[image->label])
                               ? worker->scores[image->label]
                               : 0};
    return 0;
}

/* Adds the image to the worker's counts and sets item->counts to the increase. */
static int measure(const struct run *run, struct worker *worker, const struct adl_eval_image *image,
                   struct item *item, struct adl_error *err)
{
    const struct adl_evaluator *e = &worker->evaluator;
    uint64_t top1 = e->top1, top5 = e->top5, gt_known = e->gt_known;
    uint64_t top1_loc = e->top1_loc, top5_loc = e->top5_loc;

    if (adl_evaluator_add(&worker->evaluator, image, err) < 0) {
        /* For the evaluator its argument is wrong, but here that came from a file and not from the
         * command line. */
        if (err->kind == ADL_ERR_ARG)
            err->kind = ADL_ERR_FORMAT;
        return -1;
    }
    item->counts = (struct adl_evaluate_class){.images = 1,
                                               .top1 = e->top1 - top1,
                                               .top5 = e->top5 - top5,
                                               .gt_known = e->gt_known - gt_known,
                                               .top1_loc = e->top1_loc - top1_loc,
                                               .top5_loc = e->top5_loc - top5_loc};
    return record_item(run, worker, image, item, err);
}

/* Compares all boxes of the image with all true ones if the options ask for it. The map is not
 * clipped yet, or is one that was read; afterwards it is clipped. */
static int detect(const struct run *run, struct worker *worker, const struct item *item,
                  double *map, int height, int width, struct adl_error *err)
{
    if (!run->options->detections || !run->localized)
        return 0;
    return adl_detector_add(&worker->detector, &run->options->map, map, height, width, run->dataset,
                            item->index, item->width, item->height, err);
}

/* --- score maps ------------------------------------------------------------------- */

/* Measures the score map of one image, which is read from disk. The true boxes are scaled to the
 * size of the map, whatever it is. */
static int measure_map(const struct run *run, struct worker *worker, struct item *item,
                       struct adl_error *err)
{
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    struct adl_image image = {0};
    struct adl_npy npy = {0};
    int result = -1;

    item->width = entry->width;
    item->height = entry->height;
    if (!entry->width) {
        ADL_TRY(read_image(run, worker, item, &image, err));
        item->width = image.width;
        item->height = image.height;
    }
    ADL_TRY(adl_map_read(run->map_dir, entry->id, &npy, &worker->path, err));
    ADL_TRY(scale_truth(run, worker, item, (int)npy.columns, (int)npy.rows, err));
    result = measure(run, worker,
                     &(struct adl_eval_image){.map = npy.data,
                                              .height = (int)npy.rows,
                                              .width = (int)npy.columns,
                                              .truth = worker->truth,
                                              .truth_count = entry->box_count},
                     item, err);
    if (result == 0)
        result = detect(run, worker, item, npy.data, (int)npy.rows, (int)npy.columns, err);
    if (result < 0)
        adl_error_context(err, "%s", worker->path.data);
out:
    adl_npy_release(&npy);
    adl_image_release(&image);
    return result;
}

static void measure_map_item(void *context, size_t i, int worker)
{
    struct run *run = context;
    struct item *item = &run->items[i];

    (void)!measure_map(run, &run->workers[worker], item, &item->err);
}

/* --- outputs of the network --------------------------------------------------------- */

/* Makes the normalised map of the image's true class, in.h x in.w, in worker->map, and has its
 * peaks seen before it is clipped. */
static int make_map(const struct run *run, struct worker *worker, const struct item *item,
                    struct adl_error *err)
{
    const struct adl_map_rule *rule = &run->options->map;
    int h = run->batch.map_h, w = run->batch.map_w;

    if (!run->options->detections || !run->localized)
        return adl_map_make(rule, item->cam, h, w, worker->map, run->in.h, run->in.w, NULL, err);
    if (adl_map_make_unclipped(rule, item->cam, h, w, worker->map, run->in.h, run->in.w, NULL,
                               err) < 0)
        return -1;
    return detect(run, worker, item, worker->map, run->in.h, run->in.w, err);
}

/* Takes the results of a view of an image out of its session, which may run another view next. */
static void collect_view(const struct run *run, struct item *item)
{
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    struct adl_session *session = run->batch.items[run->view].session;

    if (run->view == 0) {
        item->logits = adl_session_output(session, ADL_OUTPUT_LOGITS, item->slot);
        if (run->logits) {
            float *copy = run->logits + (size_t)item->slot * run->class_count;
            memcpy(copy, item->logits, run->class_count * sizeof *copy);
            item->logits = copy;
        }
        item->cam =
            run->cams + (size_t)item->slot * (size_t)run->batch.map_h * (size_t)run->batch.map_w;
    }
    if (run->localized || run->options->scoremaps)
        adl_view_add(&run->batch, run->view, item->slot, entry->class_id, &run->options->map,
                     item->cam);
}

/* Measures the outputs of the network for one image: its logits and, with boxes, its map. */
static int measure_output(const struct run *run, struct worker *worker, struct item *item,
                          struct adl_error *err)
{
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    struct adl_eval_image image = {
        .logits = item->logits, .classes = run->class_count, .label = (size_t)entry->class_id};

    for (size_t i = 0; i < image.classes; i++)
        if (!isfinite(image.logits[i]))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: the network's scores are not finite: its weights are damaged or "
                            "far too large",
                            entry->id);
    if (run->localized || run->options->scoremaps) {
        const char *dir = run->options->scoremaps;
        if (make_map(run, worker, item, err) < 0 ||
            (dir && adl_map_write(dir, entry->id, worker->map, (size_t)run->in.h, (size_t)run->in.w,
                                  &worker->path, err) < 0))
            return -1;
    }
    if (run->localized) {
        if (scale_truth(run, worker, item, run->in.w, run->in.h, err) < 0)
            return -1;
        image.map = worker->map;
        image.height = run->in.h;
        image.width = run->in.w;
        image.truth = worker->truth;
        image.truth_count = entry->box_count;
    }
    if (measure(run, worker, &image, item, err) < 0)
        return adl_error_context(err, "%s", entry->id);
    return 0;
}

static int visit_output(const struct run *run, struct worker *worker, const struct item *item,
                        struct adl_error *err)
{
    if (run->localized && scale_truth(run, worker, item, run->in.w, run->in.h, err) < 0)
        return -1;
    const struct adl_evaluate_visit visit = {.index = item->index,
                                             .run = &run->batch,
                                             .view = run->view,
                                             .slot = item->slot,
                                             .width = item->width,
                                             .height = item->height,
                                             .truth = run->localized ? worker->truth : NULL};
    return run->options->visit(run->options->visit_context, &visit, err);
}

static void collect_item(void *context, size_t i, int worker)
{
    struct run *run = context;
    struct item *item = &run->items[i];

    if (item->broken)
        return;
    if (run->options->visit) {
        (void)!visit_output(run, &run->workers[worker], item, &item->err);
        return;
    }
    collect_view(run, item);
    if (run->view == run->batch.count - 1)
        (void)!measure_output(run, &run->workers[worker], item, &item->err);
}

/* --- groups ---------------------------------------------------------------------------- */

/* Fails with the first error, in the order of the images, that is not that of a broken image. */
static int find_failure(const struct run *run, size_t count, struct adl_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (run->items[i].err.kind != ADL_ERR_NONE && !run->items[i].broken)
            return adl_fail(err, run->items[i].err.kind, "%s", run->items[i].err.message);
    return 0;
}

/* Runs the stages of a group, each after the one before. Broken images get no slot in the batch, so
 * the network runs on the others only. */
static int run_group(struct run *run, size_t count, struct adl_error *err)
{
    int batch = 0;

    if (!run->views) {
        adl_pool_for(run->pool, count, measure_map_item, run);
        return find_failure(run, count, err);
    }
    adl_pool_for(run->pool, count, decode_item, run);
    if (find_failure(run, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!run->items[i].broken)
            run->items[i].slot = batch++;
    if (batch == 0)
        return 0;
    for (run->view = 0; run->view < run->batch.count; run->view++) {
        adl_pool_for(run->pool, count, load_item, run);
        adl_session_run(run->batch.items[run->view].session, batch);
        adl_pool_for(run->pool, count, collect_item, run);
        if (find_failure(run, count, err) < 0)
            return -1;
    }
    return 0;
}

/* Adds the image to the report. Runs on the calling thread, in the order of the images, so that
 * callbacks and the first error do not depend on the threads. */
static void count_item(struct run *run, const struct item *item)
{
    const struct adl_evaluate_options *o = run->options;
    struct adl_evaluate_class *sums =
        &run->report->classes[run->dataset->images[item->index].class_id];
    const struct adl_evaluate_class *c = &item->counts;

    run->report->images++;
    sums->images++;
    sums->top1 += c->top1;
    sums->top5 += c->top5;
    sums->gt_known += c->gt_known;
    sums->top1_loc += c->top1_loc;
    sums->top5_loc += c->top5_loc;
    if (!item->broken) {
        if (run->views && !o->visit)
            adl_reliability_add(&run->report->class_scores, (double)item->top_probability,
                                c->top1 > 0);
        if (isfinite(item->confidence) && !o->visit)
            adl_reliability_add(&run->report->box_confidences, item->confidence, item->box_right);
        return;
    }
    /* Only the totals grow, so the image is wrong in every figure. */
    struct adl_evaluator *evaluator = &run->workers[0].evaluator;
    evaluator->classified++;
    evaluator->localized += run->localized;
    evaluator->both += run->localized;
    sums->errors++;
    if (!run->report->errors++)
        run->first_broken = item->err;
    if (o->broken)
        o->broken(o->report_context, item->err.message);
}

static void release_items(struct run *run)
{
    for (size_t i = 0; run->items && i < run->group; i++) {
        adl_view_images_release(&run->items[i].images);
        run->items[i] = (struct item){0};
    }
}

static int run_all(struct run *run, struct adl_error *err)
{
    const struct adl_evaluate_options *o = run->options;

    for (size_t first = 0; first < run->total; first += run->group) {
        size_t count = ADL_MIN(run->group, run->total - first);
        if (o->stopped && o->stopped(o->stop_context))
            return adl_fail(err, ADL_ERR_CANCELLED, "the evaluation was stopped");
        for (size_t i = 0; i < count; i++)
            /* With a limit, spread evenly over the data set, which is often ordered by class. */
            run->items[i].index = (first + i) * run->dataset->count / run->total;
        if (run_group(run, count, err) < 0)
            return -1;
        for (size_t i = 0; i < count; i++)
            count_item(run, &run->items[i]);
        release_items(run);
        if (o->progress)
            o->progress(o->report_context, first + count);
    }
    if (run->report->errors == run->total)
        return adl_fail(err, ADL_ERR_FORMAT, "not one of %zu image%s could be read: %s", run->total,
                        ADL_S(run->total), run->first_broken.message);
    return 0;
}

/* --- the evaluation ----------------------------------------------------------------------- */

/* Allocates all memory of the run, except for decoded images. */
static int prepare(struct run *run, struct adl_error *err)
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
    for (int i = 0; i < run->worker_count; i++) {
        struct worker *worker = &run->workers[i];
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
static int finish(struct run *run, struct adl_error *err)
{
    struct adl_evaluator *all = &run->workers[0].evaluator;

    for (int i = 1; i < run->worker_count; i++)
        if (adl_evaluator_merge(all, &run->workers[i].evaluator, err) < 0)
            return -1;
    run->report->classified = run->views != NULL;
    run->report->localized = run->localized;
    run->report->both = run->views && run->localized;
    for (int i = 0; i < run->worker_count; i++)
        if (adl_detections_merge(&run->report->detections, &run->workers[i].detector.found, err) <
            0)
            return -1;
    run->report->total = run->total;
    run->report->figures = adl_evaluator_result(all);
    run->report->counts = *all;
    *all = (struct adl_evaluator){0};
    return 0;
}

static void release(struct run *run)
{
    release_items(run);
    adl_free(run->items);
    for (int i = 0; run->workers && i < run->worker_count; i++) {
        struct worker *worker = &run->workers[i];
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
}

static int evaluate(struct run *run, struct adl_error *err)
{
    const struct adl_dataset *d = run->dataset;
    uint64_t start = adl_clock_ns();
    int result = -1;

    *run->report = (struct adl_evaluate_report){0};
    run->worker_count = adl_pool_threads(run->pool);
    run->localized = d->box_count > 0;
    run->total = run->options->limit ? ADL_MIN(run->options->limit, d->count) : d->count;
    run->group = ADL_MIN(run->group, run->total);
    if (d->count == 0)
        return adl_fail(err, ADL_ERR_ARG, "the split has no images");
    if (run->views && d->class_count > run->class_count)
        return adl_fail(err, ADL_ERR_ARG, "the data set has %zu class%s, the network has %zu",
                        d->class_count, ADL_ES(d->class_count), run->class_count);
    if (!run->views && !run->localized)
        return adl_fail(err, ADL_ERR_FORMAT, "the split has no boxes to compare score maps with");
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
    struct run run = {.dataset = dataset,
                      .options = options,
                      .pool = pool,
                      .views = views,
                      .in = adl_plan_input_shape(plan),
                      .group = (size_t)batch,
                      .report = report};

    *report = (struct adl_evaluate_report){0};
    if (adl_views_prepare(views, &options->map.views, false, &run.batch, err) < 0)
        return -1;
    run.class_count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS));
    return evaluate(&run, err);
}

int adl_evaluate_scoremaps(const struct adl_dataset *dataset, const char *dir,
                           struct adl_pool *pool, const struct adl_evaluate_options *options,
                           struct adl_evaluate_report *report, struct adl_error *err)
{
    struct run run = {.dataset = dataset,
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
    *report = (struct adl_evaluate_report){0};
}
