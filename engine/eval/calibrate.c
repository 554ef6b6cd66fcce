/* The choice of a map rule on images with true boxes.
 *
 * Candidates are all combinations of the weights (all, or positive ones) with the normalisations
 * and a grid of percentiles, 46 rules, and 100 thresholds of each. For every candidate and image,
 * the curve g[t] says how right the boxes at threshold t are: 0 or 1 for MaxBoxAcc, 0 to 3 (the
 * number of IoU levels reached) for MaxBoxAccV2. A map has at most 256 different cuts, so the
 * curve of an image costs a few dozen searches for contours.
 *
 * The best threshold of a few dozen images is a noisy thing: the mean curve has spikes of single
 * images. It is therefore smoothed over neighbouring thresholds, and the candidate and threshold
 * with the highest smoothed mean are chosen; ties go to the earlier, simpler candidate.
 *
 * A choice among thousands always looks better on the images that it was made on. What it is
 * worth is estimated by cross-validation: the same choice is made on four fifths of the images
 * and measured on the fifth, five times. Curves are computed once and only summed anew. */

#include "eval/calibrate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/evaluate.h"
#include "wsol/session_cam.h"

const char *const adl_calibrate_goal_names[] = {"max_box_acc", "v2", NULL};

/* Thresholds 0, 0.01, ... 0.99. */
#define STEPS 100
/* Smoothing weights of a threshold's neighbours at a distance of 0 to 3 steps. */
static const double smoothing[] = {4, 3, 2, 1};
static const double ious[] = {0.3, 0.5, 0.7};

/* --- candidates ---------------------------------------------------------------------- */

#define CANDIDATES_MAX 64

/* Both weights of one normalisation. */
static size_t add_candidates(struct adl_map_rule *list, size_t count,
                             enum adl_map_normalise normalise, double percentile)
{
    for (int weights = 0; weights < 2; weights++)
        list[count++] = (struct adl_map_rule){.weights = (enum adl_map_weights)weights,
                                              .normalise = normalise,
                                              .percentile = percentile};
    return count;
}

/* Simple rules first. The current rule is the last, in case it is none of the others. */
static size_t list_candidates(const struct adl_map_rule *current, struct adl_map_rule *list)
{
    static const double pas[] = {0.98, 0.95, 0.9, 0.85, 0.8, 0.7};
    size_t count = add_candidates(list, 0, ADL_MAP_MINMAX, 0);

    count = add_candidates(list, count, ADL_MAP_MAX, 0);
    for (int p = 2; p <= 16; p++)
        count = add_candidates(list, count, ADL_MAP_IVR, p * 0.05);
    for (size_t i = 0; i < ADL_COUNT(pas); i++)
        count = add_candidates(list, count, ADL_MAP_PAS, pas[i]);
    list[count++] = *current;
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
    struct adl_map_rule candidates[CANDIDATES_MAX];
    size_t candidate_count;
    uint8_t *curves; /* [candidate][sample][STEPS] */
    struct scratch *scratch;
    int worker_count;
    size_t batch_first;       /* sample of this part of the work */
    struct adl_error *errors; /* by worker */
};

static uint8_t *curve(const struct search *search, size_t candidate, size_t sample)
{
    return search->curves + (candidate * search->samples->count + sample) * STEPS;
}

static double best_iou(const struct adl_boxes *boxes, const struct adl_calibrate_sample *sample)
{
    double best = 0;
    for (size_t i = 0; i < boxes->count; i++)
        for (size_t k = 0; k < sample->truth_count; k++)
            best = fmax(best, adl_box_iou(boxes->items[i], sample->truth[k]));
    return best;
}

static uint8_t gain(enum adl_calibrate_goal goal, double iou)
{
    uint8_t reached = 0;
    if (goal == ADL_CALIBRATE_MAX_BOX_ACC)
        return iou >= ious[1];
    for (size_t i = 0; i < ADL_COUNT(ious); i++)
        if (iou >= ious[i])
            reached++;
    return reached;
}

static int make_curve(const struct search *search, struct scratch *scratch,
                      const struct adl_map_rule *rule, const struct adl_calibrate_sample *sample,
                      uint8_t *out, struct adl_error *err)
{
    const struct adl_calibrate_samples *s = search->samples;
    enum adl_calibrate_goal goal = search->options->goal;
    enum adl_box_mode mode = goal == ADL_CALIBRATE_V2 ? ADL_BOXES_ALL : ADL_BOXES_LARGEST;
    int last = -1;

    if (adl_map_make(rule, sample->cams[rule->weights], s->cam_h, s->cam_w, scratch->map,
                     s->input_h, s->input_w, NULL, err) < 0 ||
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
        out[t] = gain(goal, best_iou(&scratch->boxes, sample));
        last = byte;
    }
    return 0;
}

/* All candidates of one sample. */
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

/* Which samples count: those of all folds but `without`; all if that is negative. */
static bool counts(size_t sample, int without)
{
    return (int)(sample % ADL_CALIBRATE_FOLDS) != without;
}

static void sum_curves(const struct search *search, size_t candidate, int without,
                       double sums[STEPS])
{
    memset(sums, 0, STEPS * sizeof *sums);
    for (size_t i = 0; i < search->samples->count; i++) {
        const uint8_t *one = curve(search, candidate, i);
        for (int t = 0; counts(i, without) && t < STEPS; t++)
            sums[t] += one[t];
    }
}

static double smoothed(const double sums[STEPS], int step)
{
    double sum = 0, weights = 0;
    for (int d = 1 - (int)ADL_COUNT(smoothing); d < (int)ADL_COUNT(smoothing); d++) {
        double weight = smoothing[d < 0 ? -d : d];
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
        sum_curves(search, c, without, sums);
        for (int t = 0; t < STEPS; t++) {
            double value = smoothed(sums, t);
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
    double sums[STEPS];
    sum_curves(search, choice.candidate, -1, sums);
    return sums[choice.step];
}

/* The sum over all samples of the gain of the choice that was made without them. */
static double cross_validated_sum(const struct search *search)
{
    double sum = 0;
    for (int fold = 0; fold < ADL_CALIBRATE_FOLDS; fold++) {
        const struct choice choice = choose(search, fold);
        for (size_t i = 0; i < search->samples->count; i++)
            if (!counts(i, fold))
                sum += curve(search, choice.candidate, i)[choice.step];
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

    out->rule = search->candidates[choice.candidate];
    out->rule.threshold = (double)choice.step / STEPS;
    out->fitted = percent(search, fitted_sum(search, choice));
    out->before = percent(search, fitted_sum(search, current));
    out->cross_validated = percent(search, cross_validated_sum(search));
    double share = out->cross_validated / 100;
    out->standard_error = 100 * sqrt(share * (1 - share) / (double)s->count);
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
        search->curves = adl_calloc(curves, 1);
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
    search.candidate_count = list_candidates(&options->current, search.candidates);
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
    struct adl_calibrate_samples *samples;
};

/* Keeps the maps and boxes of an image that has just been run; any worker of the pool. */
static int collect_one(void *context, const struct adl_evaluate_visit *visit, struct adl_error *err)
{
    const struct collection *c = context;
    struct adl_calibrate_samples *s = c->samples;
    const struct adl_dataset_image *entry = &c->dataset->images[visit->index];
    struct adl_calibrate_sample *sample = &s->items[visit->index];
    size_t pixels = (size_t)s->cam_h * (size_t)s->cam_w;

    sample->truth = adl_malloc(entry->box_count, sizeof *sample->truth);
    for (int w = 0; w < 2; w++)
        sample->cams[w] = adl_malloc(pixels, sizeof *sample->cams[w]);
    if (!sample->truth || !sample->cams[0] || !sample->cams[1])
        return adl_fail_nomem(err, "the calibration");
    for (int w = 0; w < 2; w++)
        adl_session_cam(visit->session, visit->slot, entry->class_id, (enum adl_map_weights)w,
                        sample->cams[w]);
    memcpy(sample->truth, visit->truth, entry->box_count * sizeof *sample->truth);
    sample->truth_count = entry->box_count;
    return 0;
}

static void leave_out_unreadable(struct adl_calibrate_samples *samples)
{
    size_t kept = 0;
    for (size_t i = 0; i < samples->count; i++)
        if (samples->items[i].cams[1])
            samples->items[kept++] = samples->items[i];
    samples->count = kept;
}

int adl_calibrate_collect(const struct adl_dataset *dataset, struct adl_session *session, int batch,
                          const struct adl_calibrate_options *options,
                          struct adl_calibrate_samples *samples, struct adl_error *err)
{
    const struct adl_plan *plan = adl_session_plan(session);
    struct adl_shape in = adl_plan_input_shape(plan);
    struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    struct collection collection = {dataset, samples};
    struct adl_evaluate_options how = {.curve_interval = ADL_EVALUATE_INTERVAL,
                                       .visit = collect_one,
                                       .visit_context = &collection,
                                       .progress = options->progress,
                                       .report_context = options->progress_context};
    struct adl_evaluate_report report = {0};

    *samples = (struct adl_calibrate_samples){
        .cam_h = features.h, .cam_w = features.w, .input_h = in.h, .input_w = in.w};
    if (dataset->box_count == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "the images have no boxes to calibrate with");
    samples->items = adl_calloc(dataset->count, sizeof *samples->items);
    if (!samples->items)
        return adl_fail_nomem(err, "the calibration");
    samples->count = dataset->count;
    memcpy(how.mean, options->mean, sizeof how.mean);
    memcpy(how.std, options->std, sizeof how.std);
    int result = adl_evaluate_session(dataset, session, batch, options->pool, &how, &report, err);
    samples->unreadable = report.errors;
    leave_out_unreadable(samples);
    adl_evaluate_report_release(&report);
    return result;
}

void adl_calibrate_samples_release(struct adl_calibrate_samples *samples)
{
    for (size_t i = 0; samples->items && i < samples->count; i++) {
        struct adl_calibrate_sample *sample = &samples->items[i];
        adl_free(sample->cams[0]);
        adl_free(sample->cams[1]);
        adl_free(sample->truth);
    }
    adl_free(samples->items);
    *samples = (struct adl_calibrate_samples){0};
}
