/* Chooses a map rule on images with true boxes.
 *
 * Candidates are all combinations of the maps (all weights, positive ones, the few-box head) with
 * the normalisations and a grid of percentiles, 23 for each map of each set of samples, and the
 * current rule; each has 100 thresholds. For every candidate and image, a curve rates the boxes at
 * each threshold: 0 or 1 for MaxBoxAcc, 0 to 3 (the number of IoU levels reached) for MaxBoxAccV2.
 * Neighbouring thresholds often cut a map at the same byte, so a curve costs fewer than 100
 * searches for contours.
 *
 * The best threshold of a few dozen images is noisy: whether a box just reaches an IoU or just
 * misses it is chance, and the mean curve has spikes of single images. The choice is therefore made
 * on a softer curve: each IoU level is a ramp instead of a step, and the mean over the n images is
 * smoothed over neighbouring thresholds, the more widely the fewer images there are (over 25 /
 * sqrt(n) hundredths to either side, but at least 4). The candidate and threshold with the highest
 * value are chosen; ties go to the earlier, simpler candidate. What is reported are the steps.
 *
 * A class with some boxes of its own gets its own threshold, on the same soft curve: the mean over
 * its images and PRIOR images more that have the mean curve of all. So a class with few boxes stays
 * near the common threshold, and one with many follows its own. That is kept only if it does better
 * on other images than one threshold for all, by the cross-validation below and by more than the
 * standard error of the difference, sqrt of the sum of squared differences over the images.
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

/* Images that a class needs for a threshold of its own, and the weight of the common curve. */
#define CLASS_IMAGES 8
#define PRIOR 20

/* --- candidates ---------------------------------------------------------------------- */

struct candidate {
    struct adl_map_rule rule;
    size_t set; /* of samples */
};

#define RULES_PER_MAP 23

bool adl_calibrate_apart(const struct adl_map_rule *rule)
{
    return rule->foreground || rule->weights == ADL_MAP_WEIGHTS_PC1;
}

const float *adl_calibrate_map(const struct adl_calibrate_samples *samples,
                               const struct adl_calibrate_sample *sample,
                               const struct adl_map_rule *rule)
{
    bool positive = rule->weights == ADL_MAP_WEIGHTS_POSITIVE;
    return sample->cams[samples->maps == ADL_CALIBRATE_CLASS_MAPS && positive];
}

/* Adds the candidates of one normalisation: both choices of weights, or the head. Returns the new
 * count. */
static size_t add_candidates(struct candidate *list, size_t count,
                             const struct adl_calibrate_samples *sets, size_t set,
                             enum adl_map_normalise normalise, double percentile)
{
    bool head = sets[set].maps == ADL_CALIBRATE_HEAD_MAPS;
    for (int positive = head; positive < 2; positive++)
        list[count++] = (struct candidate){
            .rule = {.weights = positive ? ADL_MAP_WEIGHTS_POSITIVE : ADL_MAP_WEIGHTS_ALL,
                     .normalise = normalise,
                     .percentile = percentile,
                     .views = sets[set].views},
            .set = set};
    return count;
}

/* Returns the index of the samples with the maps of the current rule; count: there are none. */
static size_t find_own(const struct adl_calibrate_samples *sets, size_t count,
                       const struct adl_map_rule *current)
{
    bool apart = adl_calibrate_apart(current);
    size_t set = 0;
    while (set < count &&
           (sets[set].maps != (apart ? ADL_CALIBRATE_OWN_MAPS : ADL_CALIBRATE_CLASS_MAPS) ||
            !adl_map_views_equal(&sets[set].views, &current->views)))
        set++;
    return set;
}

/* Lists the candidates, simple rules first, and returns their number. The current rule is the last
 * one, in case it is not among the others, with the samples `own`; set_count: there are none with
 * its maps. The others take over its number of classes. */
static size_t list_candidates(const struct adl_map_rule *current,
                              const struct adl_calibrate_samples *sets, size_t set_count,
                              size_t own, struct candidate *list)
{
    static const double pas[] = {0.98, 0.95, 0.9, 0.85, 0.8, 0.7};
    size_t count = 0;

    for (size_t set = 0; set < set_count; set++) {
        if (sets[set].compared)
            continue;
        count = add_candidates(list, count, sets, set, ADL_MAP_MINMAX, 0);
        count = add_candidates(list, count, sets, set, ADL_MAP_MAX, 0);
        for (int p = 2; p <= 16; p++)
            count = add_candidates(list, count, sets, set, ADL_MAP_IVR, p * 0.05);
        for (size_t i = 0; i < ADL_COUNT(pas); i++)
            count = add_candidates(list, count, sets, set, ADL_MAP_PAS, pas[i]);
    }
    for (size_t i = 0; i < count; i++)
        list[i].rule.classes = current->classes;
    if (own < set_count)
        list[count++] = (struct candidate){*current, own};
    return count;
}

/* --- curves ----------------------------------------------------------------------------- */

struct scratch {
    double *map; /* input_h x input_w */
    struct adl_box_finder finder;
    struct adl_boxes boxes;
};

struct search {
    const struct adl_calibrate_samples *sets;
    const struct adl_calibrate_samples *samples; /* the first set: all have the same images */
    const struct adl_calibrate_options *options;
    struct candidate *candidates;
    size_t candidate_count;
    bool measures_current; /* the current rule is the last candidate */
    struct gain *curves;   /* [candidate][sample][STEPS] */
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
                      const struct candidate *candidate, size_t index, struct gain *out,
                      struct adl_error *err)
{
    const struct adl_calibrate_samples *s = &search->sets[candidate->set];
    const struct adl_calibrate_sample *sample = &s->items[index];
    enum adl_calibrate_goal goal = search->options->goal;
    enum adl_box_mode mode = goal == ADL_CALIBRATE_V2 ? ADL_BOXES_ALL : ADL_BOXES_LARGEST;
    int last = -1;

    if (adl_map_make(&candidate->rule, adl_calibrate_map(s, sample, &candidate->rule), s->cam_h,
                     s->cam_w, scratch->map, s->input_h, s->input_w, NULL, err) < 0 ||
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
    size_t sample = search->batch_first + i;

    for (size_t c = 0; c < search->candidate_count; c++)
        if (make_curve(search, &search->scratch[worker], &search->candidates[c], sample,
                       curve(search, c, sample), &search->errors[worker]) < 0)
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

/* Returns over how many steps to either side the mean of so many curves is averaged. */
static int reach_of(double samples)
{
    return ADL_MAX(4, (int)ceil(25 / sqrt(samples)));
}

static struct choice choose(const struct search *search, int without)
{
    struct choice best = {0, 0};
    double greatest = -1, sums[STEPS];

    for (size_t c = 0; c < search->candidate_count; c++) {
        if (search->sets[search->candidates[c].set].compared)
            continue;
        double samples = (double)sum_curves(search, c, without, sums);
        int reach = reach_of(samples);
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

/* --- thresholds of classes ----------------------------------------------------------------- */

/* Returns the step for a class: that of the choice if it has too few images. */
static int class_step(const struct search *search, struct choice choice, int class_id, int without)
{
    double all[STEPS], sums[STEPS] = {0}, greatest = -1;
    double total = (double)sum_curves(search, choice.candidate, without, all);
    size_t images = 0;
    int best = choice.step;

    for (size_t i = 0; i < search->samples->count; i++) {
        const struct gain *gains = curve(search, choice.candidate, i);
        if (search->samples->items[i].class_id != class_id || !counts(i, without))
            continue;
        images++;
        for (int t = 0; t < STEPS; t++)
            sums[t] += gains[t].soft;
    }
    if (images < CLASS_IMAGES)
        return best;
    for (int t = 0; t < STEPS; t++)
        sums[t] += PRIOR * all[t] / total;
    for (int t = 0; t < STEPS; t++) {
        double value = smoothed(sums, t, reach_of((double)images + PRIOR));
        if (value <= greatest)
            continue;
        greatest = value;
        best = t;
    }
    return best;
}

/* Sets steps[class] for the classes of the samples. */
static void class_steps(const struct search *search, struct choice choice, int without, int *steps)
{
    const struct adl_calibrate_samples *s = search->samples;
    for (size_t c = 0; c < s->class_count; c++)
        steps[c] = -1;
    for (size_t i = 0; i < s->count; i++) {
        int *step = &steps[s->items[i].class_id];
        if (*step < 0)
            *step = class_step(search, choice, s->items[i].class_id, without);
    }
}

/* --- figures ------------------------------------------------------------------------------- */

static double percent(const struct search *search, double sum)
{
    double most = search->options->goal == ADL_CALIBRATE_V2 ? (double)ADL_COUNT(ious) : 1;
    return 100 * sum / (most * (double)search->samples->count);
}

/* Returns the sum of the gains of all samples, at the step of the choice or, unless NULL, at that
 * of their class. */
static double sum_at(const struct search *search, struct choice choice, const int *steps)
{
    double sum = 0;
    for (size_t i = 0; i < search->samples->count; i++) {
        int step = steps ? steps[search->samples->items[i].class_id] : choice.step;
        sum += curve(search, choice.candidate, i)[step].hard;
    }
    return sum;
}

/* What choices made without a fold gain on it, summed over all folds. */
struct held_out {
    double common, own; /* with one threshold for all, and with those of classes */
    double squares;     /* of the differences of the two */
};

/* `steps` is room for the thresholds of classes; NULL: these are not chosen. */
static struct held_out cross_validate(const struct search *search, int *steps)
{
    struct held_out sums = {0};
    for (int fold = 0; fold < ADL_CALIBRATE_FOLDS; fold++) {
        const struct choice choice = choose(search, fold);
        if (steps)
            class_steps(search, choice, fold, steps);
        for (size_t i = 0; i < search->samples->count; i++) {
            const struct gain *gains = curve(search, choice.candidate, i);
            if (counts(i, fold))
                continue;
            double common = gains[choice.step].hard;
            double own = steps ? gains[steps[search->samples->items[i].class_id]].hard : common;
            sums.common += common;
            sums.own += own;
            sums.squares += (own - common) * (own - common);
        }
    }
    return sums;
}

/* Measures the current rule, with the thresholds of its classes. */
static double current_sum(const struct search *search, int *steps)
{
    const struct adl_map_rule *current = &search->options->current;
    for (size_t c = 0; c < search->samples->class_count; c++) {
        double threshold = adl_map_rule_of_class(current, c).threshold;
        steps[c] = ADL_MIN((int)lrint(threshold * STEPS), STEPS - 1);
    }
    return sum_at(search, (struct choice){search->candidate_count - 1, 0}, steps);
}

/* Chooses thresholds of single classes and keeps them if they do better on other images, by more
 * than a standard error. */
static int conclude_classes(const struct search *search, struct choice choice,
                            const struct held_out *sums, int *steps, struct adl_calibration *out,
                            struct adl_error *err)
{
    size_t classes = search->samples->class_count;

    if (sums->own - sums->common <= sqrt(sums->squares))
        return 0;
    out->class_thresholds = adl_malloc(classes, sizeof *out->class_thresholds);
    if (!out->class_thresholds)
        return adl_fail_nomem(err, "the thresholds of classes");
    class_steps(search, choice, -1, steps);
    for (size_t c = 0; c < classes; c++) {
        bool differs = steps[c] >= 0 && steps[c] != choice.step;
        out->class_thresholds[c] = differs ? (float)steps[c] / STEPS : -1;
        out->own_thresholds += differs;
        if (steps[c] < 0)
            steps[c] = choice.step;
    }
    out->rule.class_thresholds = out->class_thresholds;
    out->cross_validated = percent(search, sums->own);
    out->fitted = percent(search, sum_at(search, choice, steps));
    return 0;
}

static int conclude(const struct search *search, struct adl_calibration *out, struct adl_error *err)
{
    const struct adl_calibrate_samples *s = search->samples;
    const struct choice choice = choose(search, -1);
    int *steps = adl_malloc(s->class_count, sizeof *steps), result = 0;

    if (!steps)
        return adl_fail_nomem(err, "the calibration");
    out->rule = search->candidates[choice.candidate].rule;
    out->rule.class_thresholds = NULL;
    out->set = search->candidates[choice.candidate].set;
    out->foreground = search->sets[out->set].maps == ADL_CALIBRATE_HEAD_MAPS;
    out->rule.threshold = (double)choice.step / STEPS;
    out->fitted = percent(search, sum_at(search, choice, NULL));
    out->before = search->measures_current ? percent(search, current_sum(search, steps)) : NAN;
    const struct held_out sums = cross_validate(search, search->options->per_class ? steps : NULL);
    out->common = out->cross_validated = percent(search, sums.common);
    if (search->options->per_class)
        result = conclude_classes(search, choice, &sums, steps, out, err);
    adl_free(steps);
    double fraction = out->cross_validated / 100;
    out->standard_error = 100 * sqrt(fraction * (1 - fraction) / (double)s->count);
    out->images = s->count;
    for (size_t i = 0; i < s->count; i++)
        out->boxes += s->items[i].truth_count;
    return result;
}

void adl_calibration_release(struct adl_calibration *calibration)
{
    adl_free(calibration->class_thresholds);
    calibration->class_thresholds = NULL;
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
    adl_free(search->candidates);
    adl_free(search->scratch);
    adl_free(search->errors);
    adl_free(search->curves);
}

static int check_sets(const struct adl_calibrate_samples *sets, size_t set_count,
                      struct adl_error *err)
{
    for (size_t i = 1; i < set_count; i++)
        if (sets[i].count != sets[0].count)
            return adl_fail(err, ADL_ERR_IO,
                            "%zu images could be read at first and %zu later; calibrate again",
                            sets[0].count, sets[i].count);
    return 0;
}

int adl_calibrate_choose(const struct adl_calibrate_samples *sets, size_t set_count,
                         const struct adl_calibrate_options *options,
                         struct adl_calibration *calibration, struct adl_error *err)
{
    const struct adl_calibrate_samples *samples = &sets[0];
    struct search search = {.sets = sets, .samples = samples, .options = options};
    size_t own = find_own(sets, set_count, &options->current);
    int result = -1;

    *calibration = (struct adl_calibration){0};
    if (check_sets(sets, set_count, err) < 0)
        return -1;
    if (samples->count < 2)
        return adl_fail(err, ADL_ERR_ARG,
                        "a calibration needs at least 2 images with boxes; there are %zu",
                        samples->count);
    search.candidates = adl_malloc(2 * RULES_PER_MAP * set_count + 1, sizeof *search.candidates);
    if (!search.candidates) {
        adl_fail_nomem(err, "the calibration");
        goto out;
    }
    search.measures_current = own < set_count;
    search.candidate_count =
        list_candidates(&options->current, sets, set_count, own, search.candidates);
    ADL_TRY(prepare(&search, err));
    ADL_TRY(make_curves(&search, err));
    result = conclude(&search, calibration, err);
out:
    release(&search);
    return result;
}
