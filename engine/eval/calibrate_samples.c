/* Collects what a calibration compares: the maps of images with true boxes, averaged over the views
 * of one set, and what the few-box head is fitted to.
 *
 * The head is fitted to the features of the plain view and of its mirror image, whatever views its
 * map is averaged over later, because these are the features that the network was trained on.
 * Neighbouring positions of its grid carry much the same features, so it is fitted to as many
 * positions of an image as the last map has: one of each part of the grid that a position of the
 * last map covers. Which one is drawn by lot for each image and each mirror image, so that all
 * images together show every place of the grid. */

#include "eval/calibrate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
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

/* --- what the head is fitted to ------------------------------------------------------------ */

/* The fraction of a side of `size` pixels' cell number `cell` of `cells` that the pixels
 * first..last cover. */
static double covered(int first, int last, int size, size_t cell, size_t cells)
{
    double from = first * (double)cells / size, to = (last + 1) * (double)cells / size;
    return fmax(0, fmin((double)cell + 1, to) - fmax((double)cell, from));
}

/* Returns the fraction of the cell (y, x) of an h x w grid that is inside a box. */
static float label_of(const struct collection *c, const struct adl_evaluate_visit *visit,
                      bool mirrored, size_t y, size_t x, size_t h, size_t w)
{
    const struct adl_calibrate_samples *s = c->samples;
    double most = 0;

    for (size_t i = 0; i < c->dataset->images[visit->index].box_count; i++) {
        const struct adl_box *box = &visit->truth[i];
        int x0 = mirrored ? s->input_w - 1 - box->x1 : box->x0;
        int x1 = mirrored ? s->input_w - 1 - box->x0 : box->x1;
        most = fmax(most, covered(x0, x1, s->input_w, x, w) *
                              covered(box->y0, box->y1, s->input_h, y, h));
    }
    return (float)most;
}

/* Returns the position of a side of `enlarged` that lies at `within`, 0..1, of the part that
 * position i of a side of `size` covers. */
static size_t place_of(size_t i, double within, size_t size, size_t enlarged)
{
    size_t place = (size_t)(((double)i + within) * (double)enlarged / (double)size);
    return ADL_MIN(place, enlarged - 1);
}

/* Keeps the features of the image or its mirror image at some positions, and as labels the fraction
 * of each position inside a box. */
static void collect_features(const struct collection *c, const struct adl_evaluate_visit *visit)
{
    const struct adl_calibrate_samples *s = c->samples;
    const struct adl_foreground_head *head = c->options->foreground;
    const struct adl_view_item *item = &visit->run->items[visit->view];
    bool mirrored = item->view.mirrored;
    size_t rows = (size_t)s->cam_h, columns = (size_t)s->cam_w, h, w;
    size_t first = (2 * visit->index + mirrored) * rows * columns;
    float *label = s->labels + first, *features = s->features + first * s->channels;
    struct adl_foreground_map maps[1 + ADL_LIMIT_HEAD_LAYERS];
    struct adl_rng rng;

    adl_session_foreground(item->session, visit->slot, head, &maps[0], &maps[1]);
    adl_foreground_grid(head, &maps[0], &maps[1], &h, &w);
    adl_rng_seed(&rng, 0, visit->index, mirrored);
    double down = adl_rng_uniform(&rng), across = adl_rng_uniform(&rng);
    for (size_t i = 0; i < rows * columns; i++, label++) {
        size_t y = place_of(i / columns, down, rows, h),
               x = place_of(i % columns, across, columns, w);
        for (int m = 0; m <= head->layer_count; m++) {
            size_t channels = m == 0 ? head->channels : head->layers[m - 1].channels;
            adl_foreground_sample(&maps[m], channels, y, x, h, w, features);
            features += channels;
        }
        *label = label_of(c, visit, mirrored, y, x, h, w);
    }
}

/* --- the maps ------------------------------------------------------------------------------ */

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

static int begin_sample(struct adl_calibrate_sample *sample, const struct collection *c,
                        const struct adl_evaluate_visit *visit, struct adl_error *err)
{
    size_t boxes = c->dataset->images[visit->index].box_count;
    size_t pixels = (size_t)c->samples->cam_h * (size_t)c->samples->cam_w;
    int maps = c->samples->maps == ADL_CALIBRATE_CLASS_MAPS ? 2 : 1;

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
    return keep_logits(sample, c, visit, err);
}

/* Adds the maps of a view that has just been run. */
static void add_maps(const struct collection *c, const struct adl_evaluate_visit *visit,
                     const struct adl_foreground_head *head)
{
    const struct adl_map_rule *current = &c->options->current;
    struct adl_calibrate_sample *sample = &c->samples->items[visit->index];

    for (size_t m = 0; m < ADL_COUNT(sample->cams) && sample->cams[m]; m++) {
        struct adl_map_rule rule = {.weights = head || m > 0 ? ADL_MAP_WEIGHTS_POSITIVE
                                                             : ADL_MAP_WEIGHTS_ALL,
                                    .classes = current->classes,
                                    .foreground = head};
        adl_view_add(visit->run, visit->view, visit->slot, sample->class_id,
                     c->samples->maps == ADL_CALIBRATE_OWN_MAPS ? current : &rule, sample->cams[m]);
    }
}

/* Keeps the boxes of an image, and adds the maps of a view. Called by any worker of the pool. */
static int collect_one(void *context, const struct adl_evaluate_visit *visit, struct adl_error *err)
{
    const struct collection *c = context;
    struct adl_foreground_head head;

    if (c->samples->maps != ADL_CALIBRATE_HEAD_MAPS) {
        if (visit->view == 0 && begin_sample(&c->samples->items[visit->index], c, visit, err) < 0)
            return -1;
        add_maps(c, visit, NULL);
        return 0;
    }
    const float *weights = head_without(c, visit->index);
    if (!weights)
        return 0; /* It could not be read before. */
    if (visit->view == 0 && begin_sample(&c->samples->items[visit->index], c, visit, err) < 0)
        return -1;
    head = *c->options->foreground;
    head.weights = weights;
    add_maps(c, visit, &head);
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
        if (!s->items[i].cams[0])
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

/* Returns the rule whose maps have the grid of the samples' maps. */
static struct adl_map_rule rule_of(const struct collection *c)
{
    struct adl_map_rule rule = {.views = c->samples->views};

    if (c->samples->maps == ADL_CALIBRATE_OWN_MAPS)
        return c->options->current;
    if (c->samples->maps == ADL_CALIBRATE_HEAD_MAPS)
        rule.foreground = c->options->foreground;
    return rule;
}

int adl_calibrate_collect(const struct adl_dataset *dataset, struct adl_views *views, int batch,
                          const struct adl_calibrate_options *options,
                          struct adl_calibrate_samples *samples, struct adl_error *err)
{
    const struct adl_plan *plan = adl_views_plan(views);
    struct adl_shape in = adl_plan_input_shape(plan);
    struct collection collection = {dataset, options, samples};
    struct adl_evaluate_options how = {.curve_interval = ADL_EVALUATE_INTERVAL,
                                       .map = rule_of(&collection),
                                       .visit = collect_one,
                                       .visit_context = &collection,
                                       .progress = options->progress,
                                       .report_context = options->progress_context};
    struct adl_evaluate_report report = {0};
    struct adl_view_run run;

    *samples = (struct adl_calibrate_samples){
        .views = samples->views,
        .maps = samples->maps,
        .compared = samples->compared,
        .input_h = in.h,
        .input_w = in.w,
        .channels = options->foreground ? adl_foreground_channels(options->foreground) : 0,
        .class_count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS))};
    if (dataset->box_count == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "the images have no boxes to calibrate with");
    if (adl_views_prepare(views, &how.map, false, &run, err) < 0)
        return -1;
    samples->cam_h = run.map_h;
    samples->cam_w = run.map_w;
    bool features = options->foreground && samples->maps == ADL_CALIBRATE_CLASS_MAPS &&
                    adl_map_views_plain(&samples->views);
    if (allocate(samples, dataset->count, features, err) < 0)
        return -1;
    if (features) {
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
    const struct adl_foreground_data data = {.features = s->features,
                                             .labels = s->labels,
                                             .samples = s->count,
                                             .rows = 2 * (size_t)s->cam_h * (size_t)s->cam_w,
                                             .channels = s->channels};

    return adl_foreground_fit(&data, ADL_CALIBRATE_FOLDS, pool, heads, err);
}

void adl_calibrate_samples_release(struct adl_calibrate_samples *samples)
{
    for (size_t i = 0; samples->items && i < samples->count; i++) {
        struct adl_calibrate_sample *sample = &samples->items[i];
        for (size_t m = 0; m < ADL_COUNT(sample->cams); m++)
            adl_free(sample->cams[m]);
        adl_free(sample->logits);
        adl_free(sample->truth);
    }
    adl_free(samples->items);
    adl_free(samples->features);
    adl_free(samples->labels);
    *samples = (struct adl_calibrate_samples){0};
}
