/* Chooses the prominence and the area at which a map is parted into objects.
 *
 * Every candidate is tried on all images. Parting helps on photographs with several objects and
 * harms on those with one, which are usually many more; so the choice maximises the product of the
 * average precision on all images and that on the images with several true boxes: what one gains
 * may cost the other the same fraction. Whether a box of
 * one of some twenty images just reaches an IoU is chance, so the precision is the mean over IoU
 * 0.4, 0.5 and 0.6. Ties go to the earlier candidate, and the default is the first.
 *
 * As for the map rule (calibrate.c), the choice is made again on four fifths of the images, five
 * times, to estimate what it is worth on others. The boxes are compared in pixels of the input,
 * both ends inclusive. */

#include "eval/calibrate_objects.h"

#include "base/mem.h"
#include "base/size.h"
#include "eval/detections.h"
#include "wsol/localize.h"

static const double areas[] = {0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15};
static const double prominences[] = {0.05, 0.1, 0.15, 0.2, 0.3};
static const double ious[] = {0.4, 0.5, 0.6};
#define AT_50 1

/* The default, the grid, and last the whole regions, which are not chosen from. */
#define CANDIDATES (1 + ADL_COUNT(areas) * ADL_COUNT(prominences))
#define REGIONS CANDIDATES
/* Boxes of a candidate and a sample that are looked at. */
#define BOXES_MAX 100

struct box {
    double score;
    bool right[ADL_COUNT(ious)];
};

/* The boxes of all candidates for one sample, those of one candidate together. */
struct parted {
    struct box *boxes; /* owned */
    size_t count, capacity;
    size_t ends[CANDIDATES + 1];
};

struct worker {
    struct adl_localizer localizer;
    double *map;
    struct adl_box *truth; /* [most true boxes], of a sample, with inclusive ends */
    bool *taken;           /* [most true boxes] */
    struct adl_error err;
};

struct search {
    const struct adl_calibrate_samples *samples;
    struct adl_map_rule rule;
    struct parted *parted; /* by sample */
    struct worker *workers;
    int worker_count;
    struct adl_detection *ranked; /* scratch for all boxes of a candidate */
};

static struct adl_object_rule candidate_rule(size_t candidate)
{
    if (candidate == 0)
        return adl_object_rule_used(&(struct adl_object_rule){0});
    return (struct adl_object_rule){.prominence = prominences[(candidate - 1) / ADL_COUNT(areas)],
                                    .area = areas[(candidate - 1) % ADL_COUNT(areas)]};
}

/* --- boxes ---------------------------------------------------------------------------- */

static int add_boxes(struct worker *worker, const struct adl_localization *place,
                     const struct adl_calibrate_sample *sample, struct parted *out)
{
    size_t order[BOXES_MAX], count = ADL_MIN(place->box_count, (size_t)BOXES_MAX);
    bool right[BOXES_MAX];
    struct box *boxes =
        adl_array_grow(out->boxes, &out->capacity, out->count + count, sizeof *boxes);

    if (!boxes && count)
        return adl_fail_nomem(&worker->err, "boxes");
    out->boxes = boxes;
    for (size_t k = 0; k < ADL_COUNT(ious); k++) {
        adl_detections_match(place->boxes, count, worker->truth, sample->truth_count, ious[k],
                             order, worker->taken, right);
        for (size_t i = 0; i < count; i++) {
            boxes[out->count + i].score = place->boxes[i].score;
            boxes[out->count + i].right[k] = right[i];
        }
    }
    out->count += count;
    return 0;
}

static int part_sample(struct search *search, struct worker *worker, size_t index)
{
    const struct adl_calibrate_samples *s = search->samples;
    const struct adl_calibrate_sample *sample = &s->items[index];
    const float *cam = adl_calibrate_map(s, sample, &search->rule);
    const struct adl_class_map size = {.input_h = s->input_h, .input_w = s->input_w};
    struct parted *out = &search->parted[index];

    if (adl_map_make_unclipped(&search->rule, cam, s->cam_h, s->cam_w, worker->map, s->input_h,
                               s->input_w, NULL, &worker->err) < 0 ||
        adl_localizer_load(&worker->localizer, worker->map, s->input_h, s->input_w, true,
                           &worker->err) < 0)
        return -1;
    for (size_t i = 0; i < sample->truth_count; i++)
        worker->truth[i] = adl_box_to_inclusive(sample->truth[i], s->input_w, s->input_h);
    for (size_t c = 0; c <= REGIONS; c++) {
        struct adl_map_rule rule = adl_map_rule_of_class(&search->rule, (size_t)sample->class_id);
        struct adl_localization place = {0};
        if (c < CANDIDATES)
            rule.objects = candidate_rule(c);
        int result = adl_localizer_cut(&worker->localizer, &rule, &size, worker->map,
                                       c == REGIONS ? ADL_BOXES_ALL : ADL_BOXES_OBJECTS, s->input_w,
                                       s->input_h, &place, &worker->err);
        if (result == 0)
            result = add_boxes(worker, &place, sample, out);
        adl_localization_release(&place);
        if (result < 0)
            return -1;
        out->ends[c] = out->count;
    }
    return 0;
}

static void part_task(void *context, size_t i, int worker)
{
    struct search *search = context;

    if (search->workers[worker].err.kind == ADL_ERR_NONE)
        (void)!part_sample(search, &search->workers[worker], i);
}

/* --- figures -------------------------------------------------------------------------- */

/* Which samples, and the candidate of each: that of its fold. */
struct subset {
    int without;                         /* a fold that is left out; -1: none */
    bool several;                        /* only samples with several true boxes */
    size_t by_fold[ADL_CALIBRATE_FOLDS]; /* candidates */
};

static double precision_of(const struct search *search, const struct subset *subset, size_t iou)
{
    size_t count = 0, truths = 0;

    for (size_t i = 0; i < search->samples->count; i++) {
        size_t truth_count = search->samples->items[i].truth_count;
        const struct parted *p = &search->parted[i];
        int fold = (int)(i % ADL_CALIBRATE_FOLDS);
        size_t c = subset->by_fold[fold], first = c > 0 ? p->ends[c - 1] : 0;
        if (fold == subset->without || (subset->several && truth_count < 2))
            continue;
        truths += truth_count;
        for (size_t k = first; k < p->ends[c]; k++)
            search->ranked[count++] = (struct adl_detection){.image = i,
                                                             .rank = (int)(k - first),
                                                             .right = p->boxes[k].right[iou],
                                                             .score = p->boxes[k].score};
    }
    adl_detections_rank(search->ranked, count);
    return truths > 0 ? adl_average_precision(search->ranked, count, truths) : 0;
}

static struct subset same_for_all(int without, bool several, size_t candidate)
{
    struct subset subset = {.without = without, .several = several};
    for (int fold = 0; fold < ADL_CALIBRATE_FOLDS; fold++)
        subset.by_fold[fold] = candidate;
    return subset;
}

static size_t choose(const struct search *search, int without)
{
    size_t best = 0;
    double greatest = -1;

    for (size_t c = 0; c < CANDIDATES; c++) {
        const struct subset all = same_for_all(without, false, c);
        const struct subset several = same_for_all(without, true, c);
        double on_all = 0, on_several = 0;
        for (size_t k = 0; k < ADL_COUNT(ious); k++) {
            on_all += precision_of(search, &all, k);
            on_several += precision_of(search, &several, k);
        }
        double value = on_all * on_several;
        if (value <= greatest)
            continue;
        greatest = value;
        best = c;
    }
    return best;
}

static void conclude(const struct search *search, struct adl_calibrated_objects *out)
{
    size_t choice = choose(search, -1);
    const struct subset regions = same_for_all(-1, true, REGIONS);
    const struct subset fitted = same_for_all(-1, true, choice);
    struct subset others = same_for_all(-1, true, 0);

    for (int fold = 0; fold < ADL_CALIBRATE_FOLDS; fold++)
        others.by_fold[fold] = choose(search, fold);
    out->chosen = true;
    out->rule = candidate_rule(choice);
    out->regions = 100 * precision_of(search, &regions, AT_50);
    out->fitted = 100 * precision_of(search, &fitted, AT_50);
    out->cross_validated = 100 * precision_of(search, &others, AT_50);
}

/* --- the choice ----------------------------------------------------------------------- */

static int prepare(struct search *search, struct adl_error *err)
{
    const struct adl_calibrate_samples *s = search->samples;
    size_t most = 0;

    for (size_t i = 0; i < s->count; i++)
        most = ADL_MAX(most, s->items[i].truth_count);
    search->parted = adl_calloc(s->count, sizeof *search->parted);
    search->workers = adl_calloc((size_t)search->worker_count, sizeof *search->workers);
    if (!search->parted || !search->workers)
        return adl_fail_nomem(err, "the calibration");
    for (int i = 0; i < search->worker_count; i++) {
        struct worker *worker = &search->workers[i];
        worker->map = adl_malloc((size_t)s->input_h * (size_t)s->input_w, sizeof *worker->map);
        worker->truth = adl_malloc(most, sizeof *worker->truth);
        worker->taken = adl_malloc(most, sizeof *worker->taken);
        if (!worker->map || !worker->truth || !worker->taken)
            return adl_fail_nomem(err, "the calibration");
    }
    return 0;
}

static void release(struct search *search)
{
    for (int i = 0; search->workers && i < search->worker_count; i++) {
        adl_localizer_release(&search->workers[i].localizer);
        adl_free(search->workers[i].map);
        adl_free(search->workers[i].truth);
        adl_free(search->workers[i].taken);
    }
    for (size_t i = 0; search->parted && i < search->samples->count; i++)
        adl_free(search->parted[i].boxes);
    adl_free(search->workers);
    adl_free(search->parted);
    adl_free(search->ranked);
}

/* Parts all samples, and makes room for the ranking. */
static int part_all(struct search *search, struct adl_pool *pool, struct adl_error *err)
{
    size_t boxes = 0;

    adl_pool_for(pool, search->samples->count, part_task, search);
    for (int i = 0; i < search->worker_count; i++)
        if (search->workers[i].err.kind != ADL_ERR_NONE)
            return adl_fail(err, search->workers[i].err.kind, "%s", search->workers[i].err.message);
    for (size_t i = 0; i < search->samples->count; i++)
        boxes += search->parted[i].count;
    search->ranked = adl_malloc(boxes, sizeof *search->ranked);
    return search->ranked ? 0 : adl_fail_nomem(err, "the calibration");
}

int adl_calibrate_objects(const struct adl_calibrate_samples *samples,
                          const struct adl_map_rule *rule, struct adl_pool *pool,
                          struct adl_calibrated_objects *out, struct adl_error *err)
{
    struct search search = {
        .samples = samples, .rule = *rule, .worker_count = adl_pool_threads(pool)};
    int result = -1;

    *out = (struct adl_calibrated_objects){.chosen = false};
    for (size_t i = 0; i < samples->count; i++)
        out->several += samples->items[i].truth_count > 1;
    if (out->several < ADL_CALIBRATE_SEVERAL)
        return 0;
    ADL_TRY(prepare(&search, err));
    ADL_TRY(part_all(&search, pool, err));
    conclude(&search, out);
    result = 0;
out:
    release(&search);
    return result;
}
