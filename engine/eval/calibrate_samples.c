/* Collects what a calibration compares: the class maps of images with true boxes, averaged over the
 * views of one set, and what the few-box head is fitted to.
 *
 * The head is fitted to the features of the plain view and of its mirror image, whatever views its
 * map is averaged over later, because these are the features that the network was trained on. Its
 * maps for other sets of views are made while those are collected, with the head of the fold that
 * the image is not in. */

#include "eval/calibrate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/evaluate.h"
#include "eval/foreground_fit.h"
#include "wsol/foreground.h"
#include "wsol/session_cam.h"

struct collection {
    const struct adl_dataset *dataset;
    const struct adl_calibrate_options *options;
    struct adl_calibrate_samples *samples;
};

/* Returns the fraction of the length of cell number `cell` that the pixels first..last cover. */
static double covered(int first, int last, int size, int cell, int cells)
{
    return adl_foreground_covered((size_t)first, (size_t)last, (size_t)size, (size_t)cell,
                                  (size_t)cells);
}

/* Copies the features of all layers of the head at every position of the last map to `features`. */
static void gather(const struct collection *c, const struct adl_session *session, int slot,
                   float *features)
{
    const struct adl_foreground_head *head = c->options->foreground;
    struct adl_foreground_map maps[ADL_LIMIT_HEAD_LAYERS], last;
    size_t stride = c->samples->channels;

    adl_session_foreground(session, slot, head, &last, maps);
    adl_foreground_resample(&last, head->channels, last.h, last.w, features, stride);
    features += head->channels;
    for (int i = 0; i < head->layer_count; i++) {
        adl_foreground_resample(&maps[i], head->layers[i].channels, last.h, last.w, features,
                                stride);
        features += head->layers[i].channels;
    }
}

/* Keeps the features of the image or its mirror image, and as labels the fraction of each position
 * inside a box. */
static void collect_features(const struct collection *c, const struct adl_evaluate_visit *visit)
{
    const struct adl_calibrate_samples *s = c->samples;
    const struct adl_view_item *item = &visit->run->items[visit->view];
    bool mirrored = item->view.mirrored;
    size_t cells = (size_t)s->cam_h * (size_t)s->cam_w;
    size_t first = (2 * visit->index + (mirrored ? 1 : 0)) * cells;
    float *label = s->labels + first;

    gather(c, item->session, visit->slot, s->features + first * s->channels);
    for (int y = 0; y < s->cam_h; y++)
        for (int x = 0; x < s->cam_w; x++, label++) {
            double most = 0;
            for (size_t i = 0; i < c->dataset->images[visit->index].box_count; i++) {
                const struct adl_box *box = &visit->truth[i];
                int x0 = mirrored ? s->input_w - 1 - box->x1 : box->x0;
                int x1 = mirrored ? s->input_w - 1 - box->x0 : box->x1;
                most = fmax(most, covered(x0, x1, s->input_w, x, s->cam_w) *
                                      covered(box->y0, box->y1, s->input_h, y, s->cam_h));
            }
            *label = (float)most;
        }
}

/* Returns the head that was fitted without the fold of an image; NULL: none was. */
static const float *head_without(const struct collection *c, size_t index)
{
    const struct adl_calibrate_samples *fitted = c->options->fitted;
    size_t first = 0, end = fitted->count;

    /* The samples are in the order of the data set. */
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (fitted->items[middle].index < index)
            first = middle + 1;
        else
            end = middle;
    }
    if (first == fitted->count || fitted->items[first].index != index)
        return NULL;
    return c->options->heads + first % ADL_CALIBRATE_FOLDS * (fitted->channels + 1);
}

/* Keeps the logits, whose temperature and presence are fitted later. */
static int keep_logits(struct adl_calibrate_sample *sample, const struct collection *c,
                       const struct adl_evaluate_visit *visit, struct adl_error *err)
{
    const struct adl_dataset_image *entry = &c->dataset->images[visit->index];
    size_t count = c->samples->class_count;

    sample->class_id = entry->class_id;
    sample->logits = adl_malloc(count, sizeof *sample->logits);
    if (!sample->logits)
        return adl_fail_nomem(err, "the calibration");
    memcpy(sample->logits,
           adl_session_output(visit->run->items[0].session, ADL_OUTPUT_LOGITS, visit->slot),
           count * sizeof *sample->logits);
    for (size_t k = 0; k < count; k++)
        if (!isfinite(sample->logits[k]))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: the network's scores are not finite: its weights are damaged or "
                            "far too large",
                            entry->id);
    return 0;
}

/* Returns whether the map of the model's rule is to be made beside those to choose from. */
static bool keeps_before(const struct collection *c)
{
    const struct adl_map_rule *current = &c->options->current;
    return adl_calibrate_apart(current) && adl_map_views_equal(&current->views, &c->samples->views);
}

static int begin_sample(struct adl_calibrate_sample *sample, const struct collection *c,
                        const struct adl_evaluate_visit *visit, int maps, struct adl_error *err)
{
    size_t boxes = c->dataset->images[visit->index].box_count;
    size_t pixels = (size_t)c->samples->cam_h * (size_t)c->samples->cam_w;

    sample->index = visit->index;
    sample->truth = adl_malloc(boxes, sizeof *sample->truth);
    if (!sample->truth)
        return adl_fail_nomem(err, "the calibration");
    memcpy(sample->truth, visit->truth, boxes * sizeof *sample->truth);
    sample->truth_count = boxes;
    for (int m = 0; m < maps; m++) {
        sample->cams[m] = adl_malloc(pixels, sizeof *sample->cams[m]);
        if (!sample->cams[m])
            return adl_fail_nomem(err, "the calibration");
    }
    if (keeps_before(c)) {
        sample->cam_before = adl_malloc(pixels, sizeof *sample->cam_before);
        if (!sample->cam_before)
            return adl_fail_nomem(err, "the calibration");
    }
    return keep_logits(sample, c, visit, err);
}

/* Keeps the boxes of an image, and adds the maps of a view that has just been run. Called by any
 * worker of the pool. */
static int collect_one(void *context, const struct adl_evaluate_visit *visit, struct adl_error *err)
{
    const struct collection *c = context;
    const struct adl_dataset_image *entry = &c->dataset->images[visit->index];
    struct adl_calibrate_sample *sample = &c->samples->items[visit->index];
    const float *weights = c->options->heads ? head_without(c, visit->index) : NULL;
    struct adl_foreground_head head = {0};
    int maps = weights ? 3 : 2;

    if (visit->view == 0 && begin_sample(sample, c, visit, maps, err) < 0)
        return -1;
    if (weights) {
        head = *c->options->foreground;
        head.weights = weights;
    }
    for (int m = 0; m < maps; m++) {
        const struct adl_map_rule rule = {.weights = m == 0 ? ADL_MAP_WEIGHTS_ALL
                                                            : ADL_MAP_WEIGHTS_POSITIVE,
                                          .classes = c->options->current.classes,
                                          .foreground = m == 2 ? &head : NULL};
        adl_view_add(visit->run, visit->view, visit->slot, entry->class_id, &rule, sample->cams[m]);
    }
    if (keeps_before(c))
        adl_view_add(visit->run, visit->view, visit->slot, entry->class_id, &c->options->current,
                     sample->cam_before);
    return 0;
}

/* Keeps the features of the image and of its mirror image as well. */
static int collect_with_features(void *context, const struct adl_evaluate_visit *visit,
                                 struct adl_error *err)
{
    struct adl_view_run alone = *visit->run;
    struct adl_evaluate_visit plain = *visit;

    collect_features(context, visit);
    if (visit->view > 0)
        return 0;
    /* The mirror image does not count for the maps. */
    alone.in_map = 1;
    plain.run = &alone;
    return collect_one(context, &plain, err);
}

static void leave_out_unreadable(struct adl_calibrate_samples *s)
{
    size_t kept = 0, rows = 2 * (size_t)s->cam_h * (size_t)s->cam_w, floats = rows * s->channels;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->items[i].cams[1])
            continue;
        if (s->features && kept < i) {
            memmove(s->features + kept * floats, s->features + i * floats,
                    floats * sizeof *s->features);
            memmove(s->labels + kept * rows, s->labels + i * rows, rows * sizeof *s->labels);
        }
        s->items[kept++] = s->items[i];
    }
    s->count = kept;
}

static int allocate(struct adl_calibrate_samples *s, size_t count, bool features,
                    struct adl_error *err)
{
    size_t rows = 2 * (size_t)s->cam_h * (size_t)s->cam_w, floats;

    s->items = adl_calloc(count, sizeof *s->items);
    if (s->items)
        s->count = count;
    if (features && adl_size_mul(rows * s->channels, count, &floats) == 0) {
        s->features = adl_malloc(floats, sizeof *s->features);
        s->labels = adl_malloc(rows * count, sizeof *s->labels);
    }
    if (!s->items || (features && (!s->features || !s->labels)))
        return adl_fail_nomem(err, "the features of the images; use --boxes-per-class");
    return 0;
}

int adl_calibrate_collect(const struct adl_dataset *dataset, struct adl_views *views, int batch,
                          const struct adl_calibrate_options *options,
                          struct adl_calibrate_samples *samples, struct adl_error *err)
{
    const struct adl_plan *plan = adl_views_plan(views);
    struct adl_shape in = adl_plan_input_shape(plan);
    bool plain = adl_map_views_plain(&samples->views);
    struct adl_view_run run;
    struct collection collection = {dataset, options, samples};
    struct adl_evaluate_options how = {.curve_interval = ADL_EVALUATE_INTERVAL,
                                       .map = {.views = samples->views},
                                       .visit = collect_one,
                                       .visit_context = &collection,
                                       .progress = options->progress,
                                       .report_context = options->progress_context};
    struct adl_evaluate_report report = {0};

    *samples = (struct adl_calibrate_samples){
        .views = samples->views,
        .compared = samples->compared,
        .input_h = in.h,
        .input_w = in.w,
        .channels = options->foreground ? adl_foreground_channels(options->foreground) : 0,
        .class_count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS))};
    if (dataset->box_count == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "the images have no boxes to calibrate with");
    if (adl_views_prepare(views, &samples->views, false, &run, err) < 0)
        return -1;
    samples->cam_h = run.map_h;
    samples->cam_w = run.map_w;
    if (allocate(samples, dataset->count, options->foreground && plain, err) < 0)
        return -1;
    if (samples->features) {
        how.map.views.flip = true;
        how.visit = collect_with_features;
    }
    memcpy(how.mean, options->mean, sizeof how.mean);
    memcpy(how.std, options->std, sizeof how.std);
    int result = adl_evaluate_views(dataset, views, batch, options->pool, &how, &report, err);
    samples->unreadable = report.errors;
    leave_out_unreadable(samples);
    adl_evaluate_report_release(&report);
    return result;
}

int adl_calibrate_fit_foreground(struct adl_calibrate_samples *s, struct adl_pool *pool,
                                 float *heads, struct adl_error *err)
{
    size_t h = (size_t)s->cam_h, w = (size_t)s->cam_w, cells = h * w, size = s->channels + 1;
    const struct adl_foreground_data data = {.features = s->features,
                                             .labels = s->labels,
                                             .samples = s->count,
                                             .rows = 2 * cells,
                                             .channels = s->channels};

    if (adl_foreground_fit(&data, ADL_CALIBRATE_FOLDS, pool, heads, err) < 0)
        return -1;
    for (size_t i = 0; i < s->count; i++) {
        float *cam = s->items[i].cams[2] = adl_malloc(cells, sizeof *cam);
        if (!cam)
            return adl_fail_nomem(err, "the foreground head");
        memcpy(cam, s->items[i].cams[ADL_MAP_WEIGHTS_POSITIVE], cells * sizeof *cam);
        /* The features are gathered already, as those of one map. */
        const struct adl_foreground_map map = {s->features + 2 * i * cells * s->channels, h, w};
        const struct adl_foreground_head head = {.channels = s->channels,
                                                 .weights = heads + i % ADL_CALIBRATE_FOLDS * size};
        adl_foreground_apply(&head, &map, NULL, cam);
    }
    return 0;
}

void adl_calibrate_samples_release(struct adl_calibrate_samples *samples)
{
    for (size_t i = 0; samples->items && i < samples->count; i++) {
        struct adl_calibrate_sample *sample = &samples->items[i];
        for (size_t m = 0; m < ADL_COUNT(sample->cams); m++)
            adl_free(sample->cams[m]);
        adl_free(sample->cam_before);
        adl_free(sample->logits);
        adl_free(sample->truth);
    }
    adl_free(samples->items);
    adl_free(samples->features);
    adl_free(samples->labels);
    *samples = (struct adl_calibrate_samples){0};
}
