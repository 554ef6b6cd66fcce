/* Chooses a map rule on images with true boxes.
 *
 * Candidates are all combinations of the maps (all weights, positive ones, the few-box head) with
 * the normalisations and a grid of percentiles, 23 for each map, and the current rule; each has 100
 * thresholds. For every candidate and image, a curve rates the boxes at each threshold: 0 or 1
 * for MaxBoxAcc, 0 to 3 (the number of IoU levels reached) for MaxBoxAccV2. Neighbouring thresholds
 * often cut a map at the same byte, so a curve costs fewer than 100 searches for contours.
 *
 * The best threshold of a few dozen images is noisy: whether a box just reaches an IoU or just
 * misses it is chance, and the mean curve has spikes of single images. The choice is therefore made
 * on a softer curve: each IoU level is a ramp instead of a step, and the mean over the n images is
 * smoothed over neighbouring thresholds, the more widely the fewer images there are (over 25 /
 * sqrt(n) hundredths to either side, but at least 4). The candidate and threshold with the highest
 * value are chosen; ties go to the earlier, simpler candidate. What is reported are the steps.
 *
 * A choice among thousands always looks better on the images that it was made on. Its accuracy on
 * other images is estimated by cross-validation: a choice is made in the same way on four fifths of
 * the images and measured on the other fifth, five times. Curves are computed only once and summed
 * again for each choice. */

#include "eval/calibrate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/evaluate.h"
#include "eval/foreground_fit.h"
#include "wsol/foreground.h"
#include "wsol/session_cam.h"

const char *const adl_calibrate_goal_names[] = {"max_box_acc", "v2", NULL};

/* Thresholds 0, 0.01, ... 0.99. */
#define STEPS 100
static const double ious[] = {0.3, 0.5, 0.7};

/* How right the boxes of one image are at one threshold. */
struct gain {
    uint8_t hard; /* the number of IoU levels that are reached */
    uint8_t soft; /* the same with a ramp in place of each level, times SOFT_UNIT */
};
#define SOFT_UNIT 80
/* The width of the ramp, in IoU. */
#define RAMP 0.3

/* --- candidates ---------------------------------------------------------------------- */

#define CANDIDATES_MAX 96

struct candidate {
    struct adl_map_rule rule;
    int map; /* index into the cams of a sample, or MAP_BEFORE */
};

/* Stands for the map of a sample with the head that the model has already. */
#define MAP_BEFORE (-1)

static const float *map_of(const struct adl_calibrate_sample *sample, int map)
{
    return map == MAP_BEFORE ? sample->cam_before : sample->cams[map];
}

/* Adds the candidates of one normalisation: both choices of weights, and the head if there is one.
 * Returns the new count. */
static size_t add_candidates(struct candidate *list, size_t count, int maps,
                             enum adl_map_normalise normalise, double percentile)
{
    for (int map = 0; map < maps; map++)
        list[count++] = (struct candidate){
            .rule = {.weights = map == 0 ? ADL_MAP_WEIGHTS_ALL : ADL_MAP_WEIGHTS_POSITIVE,
                     .normalise = normalise,
                     .percentile = percentile},
            .map = map};
    return count;
}

/* Lists the candidates, simple rules first, and returns their number. The current rule is the last
 * one, in case it is not among the others; the others take over its number of classes. */
static size_t list_candidates(const struct adl_map_rule *current, int maps, struct candidate *list)
{
    static const double pas[] = {0.98, 0.95, 0.9, 0.85, 0.8, 0.7};
    size_t count = add_candidates(list, 0, maps, ADL_MAP_MINMAX, 0);

    count = add_candidates(list, count, maps, ADL_MAP_MAX, 0);
    for (int p = 2; p <= 16; p++)
        count = add_candidates(list, count, maps, ADL_MAP_IVR, p * 0.05);
    for (size_t i = 0; i < ADL_COUNT(pas); i++)
        count = add_candidates(list, count, maps, ADL_MAP_PAS, pas[i]);
    for (size_t i = 0; i < count; i++)
        list[i].rule.classes = current->classes;
    list[count++] =
        (struct candidate){*current, current->foreground ? MAP_BEFORE : (int)current->weights};
    return count;
}

/* --- curves ----------------------------------------------------------------------------- */

struct scratch {
    double *map; /* input_h x input_w */
    struct adl_box_finder finder;
    struct adl_boxes boxes;
};

struct search {
    const struct adl_calibrate_samples *samples;
    const struct adl_calibrate_options *options;
    struct candidate candidates[CANDIDATES_MAX];
    size_t candidate_count;
    struct gain *curves; /* [candidate][sample][STEPS] */
    struct scratch *scratch;
    int worker_count;
    size_t batch_first;       /* first sample of the current part of the work */
    struct adl_error *errors; /* by worker */
};

static struct gain *curve(const struct search *search, size_t candidate, size_t sample)
{
    return search->curves + (candidate * search->samples->count + sample) * STEPS;
}

static struct gain gain_of(enum adl_calibrate_goal goal, double iou)
{
    size_t first = goal == ADL_CALIBRATE_V2 ? 0 : 1;
    size_t last = goal == ADL_CALIBRATE_V2 ? ADL_COUNT(ious) - 1 : 1;
    struct gain gain = {0, 0};
    double soft = 0;
    for (size_t i = first; i <= last; i++) {
        if (iou >= ious[i])
            gain.hard++;
        soft += fmin(fmax((iou - ious[i]) / RAMP + 0.5, 0), 1);
    }
    gain.soft = (uint8_t)lrint(soft * SOFT_UNIT);
    return gain;
}

static int make_curve(const struct search *search, struct scratch *scratch,
                      const struct candidate *candidate, const struct adl_calibrate_sample *sample,
                      struct gain *out, struct adl_error *err)
{
    const struct adl_calibrate_samples *s = search->samples;
    enum adl_calibrate_goal goal = search->options->goal;
    enum adl_box_mode mode = goal == ADL_CALIBRATE_V2 ? ADL_BOXES_ALL : ADL_BOXES_LARGEST;
    int last = -1;

    if (adl_map_make(&candidate->rule, map_of(sample, candidate->map), s->cam_h, s->cam_w,
                     scratch->map, s->input_h, s->input_w, NULL, err) < 0 ||
        adl_box_finder_load(&scratch->finder, scratch->map, s->input_h, s->input_w, err) < 0)
        return -1;
    for (int t = 0; t < STEPS; t++) {
        int byte = adl_box_finder_byte(&scratch->finder, (double)t / STEPS);
        if (byte == last) {
            out[t] = out[t - 1];
            continue;
        }
        if (adl_box_finder_cut(&scratch->finder, byte, mode, &scratch->boxes, err) < 0)
            return -1;
        out[t] = gain_of(goal, adl_box_best_iou(scratch->boxes.items, scratch->boxes.count,
                                                sample->truth, sample->truth_count));
        last = byte;
    }
    return 0;
}

/* Computes the curves of all candidates for one sample. */
static void curves_task(void *context, size_t i, int worker)
{
    struct search *search = context;
    const struct adl_calibrate_sample *sample = &search->samples->items[search->batch_first + i];

    for (size_t c = 0; c < search->candidate_count; c++)
        if (make_curve(search, &search->scratch[worker], &search->candidates[c], sample,
                       curve(search, c, search->batch_first + i), &search->errors[worker]) < 0)
            return;
}

static int make_curves(struct search *search, struct adl_error *err)
{
    const struct adl_calibrate_options *o = search->options;
    size_t total = search->samples->count, part = (size_t)search->worker_count * 4;

    for (size_t first = 0; first < total; first += part) {
        size_t count = ADL_MIN(part, total - first);
        search->batch_first = first;
        adl_pool_for(o->pool, count, curves_task, search);
        for (int w = 0; w < search->worker_count; w++)
            if (search->errors[w].kind != ADL_ERR_NONE)
                return adl_fail(err, search->errors[w].kind, "%s", search->errors[w].message);
        if (o->progress)
            o->progress(o->progress_context, first + count);
    }
    return 0;
}

/* --- the choice ---------------------------------------------------------------------------- */

struct choice {
    size_t candidate;
    int step;
};

/* Returns whether the sample is in a fold other than `without`; always true if that is negative. */
static bool counts(size_t sample, int without)
{
    return (int)(sample % ADL_CALIBRATE_FOLDS) != without;
}

/* Sums the soft gains of the samples by threshold; returns how many there are. */
static size_t sum_curves(const struct search *search, size_t candidate, int without,
                         double sums[STEPS])
{
    size_t samples = 0;
    memset(sums, 0, STEPS * sizeof *sums);
    for (size_t i = 0; i < search->samples->count; i++) {
        const struct gain *gains = curve(search, candidate, i);
        if (!counts(i, without))
            continue;
        samples++;
        for (int t = 0; t < STEPS; t++)
            sums[t] += gains[t].soft;
    }
    return samples;
}

/* Averages the sums around a threshold with triangular weights that reach 0 at `reach` steps. */
static double smoothed(const double sums[STEPS], int step, int reach)
{
    double sum = 0, weights = 0;
    for (int d = 1 - reach; d < reach; d++) {
        double weight = reach - (d < 0 ? -d : d);
        if (step + d < 0 || step + d >= STEPS)
            continue;
        sum += weight * sums[step + d];
        weights += weight;
    }
    return sum / weights;
}

static struct choice choose(const struct search *search, int without)
{
    struct choice best = {0, 0};
    double greatest = -1, sums[STEPS];

    for (size_t c = 0; c < search->candidate_count; c++) {
        if (search->candidates[c].map == MAP_BEFORE)
            continue;
        double samples = (double)sum_curves(search, c, without, sums);
        int reach = ADL_MAX(4, (int)ceil(25 / sqrt(samples)));
        for (int t = 0; t < STEPS; t++) {
            double value = smoothed(sums, t, reach);
            if (value <= greatest)
                continue;
            greatest = value;
            best = (struct choice){c, t};
        }
    }
    return best;
}

static double percent(const struct search *search, double sum)
{
    double most = search->options->goal == ADL_CALIBRATE_V2 ? (double)ADL_COUNT(ious) : 1;
    return 100 * sum / (most * (double)search->samples->count);
}

static double fitted_sum(const struct search *search, struct choice choice)
{
    double sum = 0;
    for (size_t i = 0; i < search->samples->count; i++)
        sum += curve(search, choice.candidate, i)[choice.step].hard;
    return sum;
}

/* Returns the sum, over all samples, of the gain of the choice made without the sample's fold. */
static double cross_validated_sum(const struct search *search)
{
    double sum = 0;
    for (int fold = 0; fold < ADL_CALIBRATE_FOLDS; fold++) {
        const struct choice choice = choose(search, fold);
        for (size_t i = 0; i < search->samples->count; i++)
            if (!counts(i, fold))
                sum += curve(search, choice.candidate, i)[choice.step].hard;
    }
    return sum;
}

static void conclude(const struct search *search, struct adl_calibration *out)
{
    const struct adl_calibrate_samples *s = search->samples;
    const struct choice choice = choose(search, -1);
    double threshold = search->options->current.threshold;
    const struct choice current = {search->candidate_count - 1,
                                   ADL_MIN((int)lrint(threshold * STEPS), STEPS - 1)};

    out->rule = search->candidates[choice.candidate].rule;
    out->foreground = search->candidates[choice.candidate].map == 2;
    out->rule.threshold = (double)choice.step / STEPS;
    out->fitted = percent(search, fitted_sum(search, choice));
    out->before = percent(search, fitted_sum(search, current));
    out->cross_validated = percent(search, cross_validated_sum(search));
    double fraction = out->cross_validated / 100;
    out->standard_error = 100 * sqrt(fraction * (1 - fraction) / (double)s->count);
    out->images = s->count;
    for (size_t i = 0; i < s->count; i++)
        out->boxes += s->items[i].truth_count;
}

static int prepare(struct search *search, struct adl_error *err)
{
    const struct adl_calibrate_samples *s = search->samples;
    size_t curves;

    search->worker_count = adl_pool_threads(search->options->pool);
    search->scratch = adl_calloc((size_t)search->worker_count, sizeof *search->scratch);
    search->errors = adl_calloc((size_t)search->worker_count, sizeof *search->errors);
    if (adl_size_mul(search->candidate_count * STEPS, s->count, &curves) == 0)
        search->curves = adl_calloc(curves, sizeof *search->curves);
    if (!search->scratch || !search->errors || !search->curves)
        return adl_fail_nomem(err, "the calibration");
    for (int i = 0; i < search->worker_count; i++) {
        search->scratch[i].map =
            adl_malloc((size_t)s->input_h * (size_t)s->input_w, sizeof(double));
        if (!search->scratch[i].map)
            return adl_fail_nomem(err, "the calibration");
    }
    return 0;
}

static void release(struct search *search)
{
    for (int i = 0; search->scratch && i < search->worker_count; i++) {
        adl_free(search->scratch[i].map);
        adl_box_finder_release(&search->scratch[i].finder);
        adl_boxes_release(&search->scratch[i].boxes);
    }
    adl_free(search->scratch);
    adl_free(search->errors);
    adl_free(search->curves);
}

int adl_calibrate_choose(const struct adl_calibrate_samples *samples,
                         const struct adl_calibrate_options *options,
                         struct adl_calibration *calibration, struct adl_error *err)
{
    struct search search = {.samples = samples, .options = options};
    int result = -1;

    *calibration = (struct adl_calibration){0};
    if (samples->count < 2)
        return adl_fail(err, ADL_ERR_ARG,
                        "a calibration needs at least 2 images with boxes; there are %zu",
                        samples->count);
    search.candidate_count =
        list_candidates(&options->current, samples->items[0].cams[2] ? 3 : 2, search.candidates);
    ADL_TRY(prepare(&search, err));
    ADL_TRY(make_curves(&search, err));
    conclude(&search, calibration);
    result = 0;
out:
    release(&search);
    return result;
}

/* --- samples ------------------------------------------------------------------------------- */

struct collection {
    const struct adl_dataset *dataset;
    const struct adl_map_rule *current;
    struct adl_calibrate_samples *samples;
    bool mirrored; /* this pass shows the mirror images */
};

/* Divides a side of `size` pixels into `cells` cells and returns the fraction of the length of cell
 * number `cell` that the pixels first..last cover. */
static double covered(int first, int last, int size, int cell, int cells)
{
    double from = (double)first * cells / size, to = (double)(last + 1) * cells / size;
    return fmax(0, fmin(cell + 1, to) - fmax(cell, from));
}

/* Keeps the features of the image, and as labels the fraction of each position inside a box. */
static void collect_features(const struct collection *c, const struct adl_evaluate_visit *visit)
{
    const struct adl_calibrate_samples *s = c->samples;
    size_t cells = (size_t)s->cam_h * (size_t)s->cam_w;
    size_t first = (2 * visit->index + (c->mirrored ? 1 : 0)) * cells;
    float *label = s->labels + first;

    memcpy(s->features + first * s->channels,
           adl_session_output(visit->session, ADL_OUTPUT_FEATURES, visit->slot),
           cells * s->channels * sizeof *s->features);
    for (int y = 0; y < s->cam_h; y++)
        for (int x = 0; x < s->cam_w; x++, label++) {
            double most = 0;
            for (size_t i = 0; i < c->dataset->images[visit->index].box_count; i++) {
                const struct adl_box *box = &visit->truth[i];
                most = fmax(most, covered(box->x0, box->x1, s->input_w, x, s->cam_w) *
                                      covered(box->y0, box->y1, s->input_h, y, s->cam_h));
            }
            *label = (float)most;
        }
}

/* Keeps the maps and boxes of an image that has just been run. Called by any worker of the pool. */
static int collect_one(void *context, const struct adl_evaluate_visit *visit, struct adl_error *err)
{
    const struct collection *c = context;
    struct adl_calibrate_samples *s = c->samples;
    const struct adl_dataset_image *entry = &c->dataset->images[visit->index];
    struct adl_calibrate_sample *sample = &s->items[visit->index];
    size_t pixels = (size_t)s->cam_h * (size_t)s->cam_w;

    if (s->features)
        collect_features(c, visit);
    if (c->mirrored)
        return 0;
    sample->truth = adl_malloc(entry->box_count, sizeof *sample->truth);
    for (int w = 0; w < 2; w++)
        sample->cams[w] = adl_malloc(pixels, sizeof *sample->cams[w]);
    if (c->current->foreground)
        sample->cam_before = adl_malloc(pixels, sizeof *sample->cam_before);
    sample->logits = adl_malloc(s->class_count, sizeof *sample->logits);
    if (!sample->truth || !sample->cams[0] || !sample->cams[1] || !sample->logits ||
        (c->current->foreground && !sample->cam_before))
        return adl_fail_nomem(err, "the calibration");
    for (int w = 0; w < 2; w++)
        adl_session_cam(visit->session, visit->slot, entry->class_id,
                        &(struct adl_map_rule){.weights = (enum adl_map_weights)w,
                                               .classes = c->current->classes},
                        sample->cams[w]);
    if (c->current->foreground)
        adl_session_cam(visit->session, visit->slot, entry->class_id, c->current,
                        sample->cam_before);
    memcpy(sample->logits, adl_session_output(visit->session, ADL_OUTPUT_LOGITS, visit->slot),
           s->class_count * sizeof *sample->logits);
    for (size_t k = 0; k < s->class_count; k++)
        if (!isfinite(sample->logits[k]))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: the network's scores are not finite: its weights are damaged or "
                            "far too large",
                            entry->id);
    sample->class_id = entry->class_id;
    memcpy(sample->truth, visit->truth, entry->box_count * sizeof *sample->truth);
    sample->truth_count = entry->box_count;
    return 0;
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

int adl_calibrate_collect(const struct adl_dataset *dataset, struct adl_session *session, int batch,
                          const struct adl_calibrate_options *options,
                          struct adl_calibrate_samples *samples, struct adl_error *err)
{
    const struct adl_plan *plan = adl_session_plan(session);
    struct adl_shape in = adl_plan_input_shape(plan);
    struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    struct collection collection = {dataset, &options->current, samples, false};
    struct adl_evaluate_options how = {.curve_interval = ADL_EVALUATE_INTERVAL,
                                       .visit = collect_one,
                                       .visit_context = &collection,
                                       .progress = options->progress,
                                       .report_context = options->progress_context};
    struct adl_evaluate_report report = {0};

    *samples = (struct adl_calibrate_samples){
        .cam_h = features.h,
        .cam_w = features.w,
        .input_h = in.h,
        .input_w = in.w,
        .channels = (size_t)features.c,
        .class_count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS))};
    if (dataset->box_count == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "the images have no boxes to calibrate with");
    if (allocate(samples, dataset->count, options->foreground, err) < 0)
        return -1;
    memcpy(how.mean, options->mean, sizeof how.mean);
    memcpy(how.std, options->std, sizeof how.std);
    int result = adl_evaluate_session(dataset, session, batch, options->pool, &how, &report, err);
    samples->unreadable = report.errors;
    if (result == 0 && options->foreground) {
        collection.mirrored = how.mirrored = true;
        adl_evaluate_report_release(&report);
        result = adl_evaluate_session(dataset, session, batch, options->pool, &how, &report, err);
    }
    leave_out_unreadable(samples);
    adl_evaluate_report_release(&report);
    return result;
}

int adl_calibrate_fit_foreground(struct adl_calibrate_samples *s, struct adl_pool *pool,
                                 float *head, struct adl_error *err)
{
    size_t cells = (size_t)s->cam_h * (size_t)s->cam_w, size = s->channels + 1;
    float *heads = adl_malloc((ADL_CALIBRATE_FOLDS + 1) * size, sizeof *heads);
    const struct adl_foreground_data data = {.features = s->features,
                                             .labels = s->labels,
                                             .samples = s->count,
                                             .rows = 2 * cells,
                                             .channels = s->channels};
    int result = -1;

    if (!heads)
        return adl_fail_nomem(err, "the foreground head");
    ADL_TRY(adl_foreground_fit(&data, ADL_CALIBRATE_FOLDS, pool, heads, err));
    for (size_t i = 0; i < s->count; i++) {
        float *cam = s->items[i].cams[2] = adl_malloc(cells, sizeof *cam);
        if (!cam) {
            adl_fail_nomem(err, "the foreground head");
            goto out;
        }
        memcpy(cam, s->items[i].cams[ADL_MAP_WEIGHTS_POSITIVE], cells * sizeof *cam);
        adl_foreground_map(s->features + 2 * i * cells * s->channels, cells, s->channels,
                           heads + i % ADL_CALIBRATE_FOLDS * size, cam);
    }
    memcpy(head, heads + ADL_CALIBRATE_FOLDS * size, size * sizeof *head);
    result = 0;
out:
    adl_free(heads);
    return result;
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
