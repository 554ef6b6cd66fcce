/* Joins the parts of an evaluation; see evaluate_parts.h.
 *
 * All that a rank has found is written as one array of doubles, which the ranks add up along the
 * tree of train/exchange.h: counts, which are exact below 2^53, and the places of the images, each
 * of which is 0 on all ranks but one. The sum is therefore exact, whoever has measured what. */

#include "eval/evaluate_parts.h"

#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"

/* Doubles of a message: 8 MiB. */
#define PIECE_DOUBLES ((size_t)1 << 20)

/* Goes over the numbers of a report: counts them, writes them, or reads them back. */
struct walk {
    double *values; /* NULL: they are counted */
    size_t count;
    bool reads;
};

/* Returns the number at this place after the walk. */
static double step(struct walk *walk, double number)
{
    size_t i = walk->count++;
    if (walk->values && walk->reads)
        return walk->values[i];
    if (walk->values)
        walk->values[i] = number;
    return number;
}

static void step_count(struct walk *walk, uint64_t *count)
{
    *count = (uint64_t)step(walk, (double)*count);
}

static void step_size(struct walk *walk, size_t *count)
{
    *count = (size_t)step(walk, (double)*count);
}

static void step_float(struct walk *walk, float *number)
{
    *number = (float)step(walk, (double)*number);
}

static void walk_evaluator(struct walk *walk, struct adl_evaluator *e)
{
    uint64_t *const numbers[] = {&e->classified, &e->top1, &e->top5,     &e->localized,
                                 &e->gt_known,   &e->both, &e->top1_loc, &e->top5_loc};
    for (size_t i = 0; i < ADL_COUNT(numbers); i++)
        step_count(walk, numbers[i]);
    for (size_t i = 0; i < (size_t)ADL_EVAL_IOUS * ADL_EVAL_SQUARES; i++)
        step_count(walk, &e->squares[i / ADL_EVAL_SQUARES][i % ADL_EVAL_SQUARES]);
    for (size_t i = 0; i < ADL_EVAL_IOUS * e->steps; i++) {
        step_count(walk, &e->largest[i]);
        step_count(walk, &e->all[i]);
    }
    for (size_t i = 0; i < e->steps; i++) {
        step_count(walk, &e->centred[i]);
        step_count(walk, &e->largest_top1[i]);
        step_count(walk, &e->largest_top5[i]);
    }
}

static void walk_report(struct walk *walk, struct adl_evaluate_report *report,
                        struct adl_evaluate_place *places, size_t images)
{
    walk->count = 0;
    step_size(walk, &report->images);
    step_size(walk, &report->errors);
    step_size(walk, &report->labels);
    walk_evaluator(walk, &report->counts);
    for (size_t i = 0; i < report->class_count; i++) {
        struct adl_evaluate_class *c = &report->classes[i];
        size_t *const numbers[] = {&c->images,   &c->errors,   &c->top1,    &c->top5,
                                   &c->gt_known, &c->top1_loc, &c->top5_loc};
        for (size_t j = 0; j < ADL_COUNT(numbers); j++)
            step_size(walk, numbers[j]);
    }
    for (size_t i = 0; i < ADL_RELIABILITY_BINS; i++) {
        step_count(walk, &report->class_scores.bins[i].count);
        step_count(walk, &report->class_scores.bins[i].right);
    }
    step_count(walk, &report->class_scores.count);
    for (size_t i = 0; i < images; i++) {
        struct adl_evaluate_place *place = &places[i];
        place->measured = step(walk, place->measured) > 0;
        place->predicted = (int)step(walk, place->predicted);
        step_float(walk, &place->iou);
        step_float(walk, &place->score);
        step_float(walk, &place->probability);
    }
}

/* Sums confidences anew in the order of the images. */
static void sum_scores(struct adl_reliability *scores, const struct adl_evaluate_place *places,
                       size_t images)
{
    struct adl_reliability sums = {0};
    for (size_t i = 0; i < images; i++)
        if (places[i].measured)
            adl_reliability_add(&sums, (double)places[i].score, false);
    for (size_t i = 0; i < ADL_RELIABILITY_BINS; i++) {
        scores->bins[i].sum = sums.bins[i].sum;
        scores->bins[i].variance = sums.bins[i].variance;
    }
}

bool adl_evaluate_divides(const struct adl_dataset *dataset,
                          const struct adl_evaluate_options *options)
{
    return !options->several && !dataset->masked && !options->confidence && !options->detections &&
           !options->visit;
}

/* Returns -1 on all ranks if one of them has failed or was stopped. */
static int agree(const struct adl_exchange *exchange, int result, struct adl_error *err)
{
    bool stopped = result < 0 && err->kind == ADL_ERR_CANCELLED;
    double sums[] = {result < 0 && !stopped, stopped}, bucket[ADL_COUNT(sums)];
    struct adl_error failed = {0};

    if (adl_exchange_sum_doubles(exchange, sums, ADL_COUNT(sums), bucket, &failed) < 0 ||
        adl_exchange_copy(exchange, sums, sizeof sums, &failed) < 0) {
        *err = failed;
        return -1;
    }
    if (result < 0 && !stopped)
        return -1;
    adl_error_clear(err);
    if (sums[0] > 0)
        return adl_fail(err, ADL_ERR_IO, "the evaluation failed in another process");
    if (sums[1] > 0)
        return adl_fail(err, ADL_ERR_CANCELLED, "the evaluation was stopped");
    return 0;
}

static int add_up(const struct adl_exchange *exchange, struct adl_evaluate_report *report,
                  struct adl_evaluate_place *places, size_t images, struct adl_error *err)
{
    struct walk walk = {0};
    walk_report(&walk, report, places, images);
    size_t count = walk.count, room = ADL_MIN(count, PIECE_DOUBLES);
    double *bucket = adl_malloc(room, sizeof *bucket);
    int result = 0;

    walk.values = adl_malloc(count, sizeof *walk.values);
    if (!walk.values || !bucket)
        result = adl_fail_nomem(err, "the evaluation");
    if (result == 0)
        walk_report(&walk, report, places, images);
    for (size_t first = 0; result == 0 && first < count; first += room)
        result = adl_exchange_sum_doubles(exchange, walk.values + first,
                                          ADL_MIN(room, count - first), bucket, err);
    if (result == 0 && exchange->rank == 0) {
        walk.reads = true;
        walk_report(&walk, report, places, images);
        sum_scores(&report->class_scores, places, images);
        report->figures = adl_evaluator_result(&report->counts);
        if (report->errors == report->images)
            result = adl_fail(err, ADL_ERR_FORMAT, "not one of %zu image%s could be read",
                              report->images, ADL_S(report->images));
    }
    adl_free(bucket);
    adl_free(walk.values);
    return result;
}

int adl_evaluate_join(const struct adl_exchange *exchange, const struct adl_dataset *dataset,
                      const struct adl_evaluate_options *options, int result,
                      struct adl_evaluate_report *report, struct adl_error *err)
{
    result = agree(exchange, result, err);
    if (result == 0)
        result = add_up(exchange, report, options->places, dataset->count, err);
    if (result < 0)
        adl_evaluate_report_release(report);
    return result;
}
