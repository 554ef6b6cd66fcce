/* Measures one image of a group: reads it, resizes it, and compares the outputs of the network, or
 * a score map, with the truth. evaluate.c describes the order of the stages. */

#include "eval/evaluate_image.h"

#include <math.h>
#include <string.h>

#include "data/image_file.h"
#include "data/labels.h"
#include "eval/evaluate_input.h"
#include "eval/map_files.h"
#include "wsol/cam.h"

/* --- reading ------------------------------------------------------------------- */

static int check_directory(const struct adl_evaluate_run *run, const struct adl_evaluate_item *item,
                           const char *problem, struct adl_error *err)
{
    if (run->dataset->image_dir)
        return 0;
    return adl_fail(err, ADL_ERR_NOT_FOUND, "%s %s, and there is no directory of images",
                    run->dataset->images[item->index].id, problem);
}

static int read_image(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                      struct adl_evaluate_item *item, struct adl_image *image,
                      struct adl_error *err)
{
    if (check_directory(run, item, "has no size in the lists", err) < 0)
        return -1;
    return adl_dataset_image_read(run->dataset, item->index, &worker->path, image, err);
}

static int decode_and_resize(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                             struct adl_evaluate_item *item, struct adl_error *err)
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

bool adl_evaluate_shares(const struct adl_evaluate_run *run, size_t i)
{
    return i > 0 &&
           adl_dataset_same_image(run->dataset, run->items[i - 1].index, run->items[i].index);
}

void adl_evaluate_decode_item(void *context, size_t i, int worker)
{
    struct adl_evaluate_run *run = context;
    struct adl_evaluate_item *item = &run->items[i];

    if (adl_evaluate_shares(run, i))
        return;
    if (decode_and_resize(run, &run->workers[worker], item, &item->err) < 0)
        item->broken = item->err.kind != ADL_ERR_NOMEM && item->err.kind != ADL_ERR_INTERNAL;
}

void adl_evaluate_load_item(void *context, size_t i, int worker)
{
    struct adl_evaluate_run *run = context;
    struct adl_evaluate_item *item = &run->items[i];

    (void)worker;
    if (item->broken || adl_evaluate_shares(run, i))
        return;
    adl_view_load(&run->batch, run->view, item->slot, &item->images, run->options->mean,
                  run->options->std);
    adl_session_ask(run->batch.items[run->view].session, item->slot,
                    run->dataset->images[item->index].class_id);
}

/* Writes the true boxes of an image to worker->truth, in pixels of a map of map_width x
 * map_height. */
static int scale_truth(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                       const struct adl_evaluate_item *item, int map_width, int map_height,
                       struct adl_error *err)
{
    return adl_evaluate_scale_truth(run->dataset, item->index, item->width, item->height, map_width,
                                    map_height, &worker->truth, &worker->truth_capacity, err);
}

/* Judges the box at the model's threshold, and sets *iou. The evaluator still has the map loaded,
 * but its last cut was at another threshold. */
static int judge_box(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                     const struct adl_eval_image *image, struct adl_evaluate_item *item,
                     double *iou, struct adl_error *err)
{
    struct adl_box_finder *finder = &worker->evaluator.finder;
    struct adl_boxes *boxes = &worker->evaluator.boxes;
    int byte = adl_box_finder_byte(
        finder, adl_map_rule_of_class(&run->options->map, image->label).threshold);
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

static int first_class(const float *logits, size_t classes)
{
    size_t first = 0;
    adl_top_k(logits, classes, 1, &first);
    return (int)first;
}

/* Fills in what is known of the image beside the counts of the evaluator. */
static int record_item(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                       const struct adl_eval_image *image, struct adl_evaluate_item *item,
                       struct adl_error *err)
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
            .predicted = image->logits ? first_class(image->logits, image->classes) : -1,
            .score = image->logits ? (float)item->top_probability : 0,
            .iou = (float)(run->localized ? iou : fmax(item->mask_iou, 0)), /* NaN: 0 */
            .probability = image->logits && isfinite(worker->scores[image->label])
                               ? worker->scores[image->label]
                               : 0,
            .confidence = item->confidence};
    return 0;
}

/* Adds the image to the worker's counts and sets item->counts to the increase. */
static int count(struct adl_evaluate_worker *worker, const struct adl_eval_image *image,
                 struct adl_evaluate_item *item, struct adl_error *err)
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
    return 0;
}

static int measure(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                   const struct adl_eval_image *image, struct adl_evaluate_item *item,
                   struct adl_error *err)
{
    return count(worker, image, item, err) < 0 ? -1 : record_item(run, worker, image, item, err);
}

/* Compares all boxes of the image with all true ones if the options ask for it. The map is not
 * clipped yet, or is one that was read; afterwards it is clipped. */
static int detect(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                  const struct adl_evaluate_item *item, double *map, int height, int width,
                  struct adl_error *err)
{
    if (!run->options->detections || !run->localized)
        return 0;
    return adl_detector_add(&worker->detector, &run->options->map, map, height, width, run->dataset,
                            item->index, item->width, item->height, err);
}

int adl_evaluate_mask(const struct adl_evaluate_run *run, const struct adl_evaluate_worker *worker,
                      struct adl_evaluate_item *item, const double *map, int height, int width,
                      struct adl_error *err)
{
    item->mask_iou = NAN;
    if (!run->masks)
        return 0;
    if (adl_mask_meter_add(run->masks, (int)(worker - run->workers), item->index, item->width,
                           item->height, map, height, width, &item->mask_iou, err) == 0)
        return 0;
    if (err->kind == ADL_ERR_ARG)
        err->kind = ADL_ERR_FORMAT; /* as in measure() */
    return -1;
}

static bool needs_maps(const struct adl_evaluate_run *run)
{
    return run->localized || run->masks || run->options->scoremaps;
}

/* --- score maps ------------------------------------------------------------------- */

/* Measures the score map of one image, which is read from disk. The true boxes are scaled to the
 * size of the map, whatever it is. */
static int measure_map(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                       struct adl_evaluate_item *item, struct adl_error *err)
{
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    struct adl_image image = {0};
    struct adl_npy npy = {0};
    int result = -1;

    item->width = entry->width;
    item->height = entry->height;
    if (run->localized && !entry->width) {
        ADL_TRY(read_image(run, worker, item, &image, err));
        item->width = image.width;
        item->height = image.height;
    }
    ADL_TRY(adl_map_read(run->map_dir, entry->id, &npy, &worker->path, err));
    if (run->localized)
        ADL_TRY(scale_truth(run, worker, item, (int)npy.columns, (int)npy.rows, err));
    result = measure(run, worker,
                     &(struct adl_eval_image){.map = run->localized ? npy.data : NULL,
                                              .height = (int)npy.rows,
                                              .width = (int)npy.columns,
                                              .truth = worker->truth,
                                              .truth_count = entry->box_count},
                     item, err);
    if (result == 0)
        result = detect(run, worker, item, npy.data, (int)npy.rows, (int)npy.columns, err);
    if (result == 0)
        result =
            adl_evaluate_mask(run, worker, item, npy.data, (int)npy.rows, (int)npy.columns, err);
    if (result < 0)
        adl_error_context(err, "%s", worker->path.data);
out:
    adl_npy_release(&npy);
    adl_image_release(&image);
    return result;
}

void adl_evaluate_measure_map_item(void *context, size_t i, int worker)
{
    struct adl_evaluate_run *run = context;
    struct adl_evaluate_item *item = &run->items[i];

    (void)!measure_map(run, &run->workers[worker], item, &item->err);
}

/* --- outputs of the network --------------------------------------------------------- */

/* Makes the normalised map of the image's true class, in.h x in.w, in worker->map, and has its
 * peaks seen before it is clipped. */
static int make_map(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                    const struct adl_evaluate_item *item, struct adl_error *err)
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
static void collect_view(const struct adl_evaluate_run *run, struct adl_evaluate_item *item)
{
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    struct adl_session *session = run->batch.items[run->view].session;

    if (run->view == 0) {
        size_t place = (size_t)(item - run->items);
        item->logits = adl_session_output(session, ADL_OUTPUT_LOGITS, item->slot);
        if (run->logits) {
            float *copy = run->logits + place * run->class_count;
            memcpy(copy, item->logits, run->class_count * sizeof *copy);
            item->logits = copy;
        }
        item->cam = run->cams + place * (size_t)run->batch.map_h * (size_t)run->batch.map_w;
    }
    if (needs_maps(run) && !entry->bare)
        adl_view_add(&run->batch, run->view, item->slot, entry->class_id, &run->options->map,
                     item->cam);
}

/* Records the scores of an image with several labels for one of these, and the box of the label if
 * it was measured. */
static void record_label(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                         struct adl_evaluate_item *item, double iou)
{
    static const struct adl_label_rule several = {.several = true};
    const struct adl_evaluate_options *o = run->options;
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    int first = first_class(item->logits, run->class_count);

    adl_class_probabilities(&several, o->temperature > 0 ? o->temperature : 1, item->logits,
                            run->class_count, worker->scores);
    item->top = first;
    item->top_probability = worker->scores[first];
    if (!o->places)
        return;
    o->places[item->index] = (struct adl_evaluate_place){
        .measured = true,
        .predicted = first,
        .score = worker->scores[first],
        .iou = (float)iou,
        .probability = entry->bare ? 0 : worker->scores[entry->class_id],
        .confidence = NAN};
}

/* Measures one label of an image that may have several; without a map, the scores alone. */
static int measure_label(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                         struct adl_eval_image *image, struct adl_evaluate_item *item,
                         struct adl_error *err)
{
    double iou = 0;

    image->logits = NULL;
    item->confidence = NAN;
    if (image->map && count(worker, image, item, err) < 0)
        return -1;
    if (image->map && run->options->places && judge_box(run, worker, image, item, &iou, err) < 0)
        return -1;
    record_label(run, worker, item, iou);
    return 0;
}

/* Measures the outputs of the network for one image: its logits and, with boxes, its map. */
static int measure_output(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                          struct adl_evaluate_item *item, struct adl_error *err)
{
    const struct adl_dataset_image *entry = &run->dataset->images[item->index];
    const double threshold =
        adl_map_rule_of_class(&run->options->map, (size_t)entry->class_id).threshold;
    struct adl_eval_image image = {.logits = item->logits,
                                   .classes = run->class_count,
                                   .label = (size_t)entry->class_id,
                                   .threshold = &threshold};

    for (size_t i = 0; i < image.classes; i++)
        if (!isfinite(image.logits[i]))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: the network's scores are not finite: its weights are damaged or "
                            "far too large",
                            entry->id);
    if (needs_maps(run) && !entry->bare) {
        const char *dir = run->options->scoremaps;
        if (make_map(run, worker, item, err) < 0 ||
            (dir && adl_map_write(dir, entry->id, worker->map, (size_t)run->in.h, (size_t)run->in.w,
                                  &worker->path, err) < 0) ||
            adl_evaluate_mask(run, worker, item, worker->map, run->in.h, run->in.w, err) < 0)
            return -1;
    }
    if (run->localized && !entry->bare) {
        if (scale_truth(run, worker, item, run->in.w, run->in.h, err) < 0)
            return -1;
        image.map = worker->map;
        image.height = run->in.h;
        image.width = run->in.w;
        image.truth = worker->truth;
        image.truth_count = entry->box_count;
    }
    if ((run->options->several ? measure_label(run, worker, &image, item, err)
                               : measure(run, worker, &image, item, err)) < 0)
        return adl_error_context(err, "%s", entry->id);
    return 0;
}

static int visit_output(const struct adl_evaluate_run *run, struct adl_evaluate_worker *worker,
                        const struct adl_evaluate_item *item, struct adl_error *err)
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

static void collect(struct adl_evaluate_run *run, struct adl_evaluate_item *item, int worker)
{
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

/* One task collects all labels of an image, because a place in the batch has scratch for one map.
 */
void adl_evaluate_collect_item(void *context, size_t i, int worker)
{
    struct adl_evaluate_run *run = context;

    if (adl_evaluate_shares(run, i))
        return;
    do
        collect(run, &run->items[i], worker);
    while (++i < run->current && adl_evaluate_shares(run, i));
}
