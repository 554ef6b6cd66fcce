/* Joins the parts of an evaluation; see evaluate_parts.h.
 *
 * All that a rank has found is written as one array of doubles, which the ranks add up along the
 * tree of train/exchange.h: counts, which are exact below 2^53, and the places of the images, each
 * of which is 0 on all ranks but one. The sum is therefore exact, whoever has measured what. Boxes
 * of detections are sent to rank 0 as they are: figures rank them by score, image and place. */

#include "eval/evaluate_parts.h"

#include <math.h>

#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"

/* Doubles of a message: 8 MiB. */
#define PIECE_DOUBLES ((size_t)1 << 20)
/* Boxes of a message, about as much. */
#define PIECE_BOXES (PIECE_DOUBLES * sizeof(double) / sizeof(struct adl_detection))

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

static void walk_reliability(struct walk *walk, struct adl_reliability *reliability)
{
    for (size_t i = 0; i < ADL_RELIABILITY_BINS; i++) {
        step_count(walk, &reliability->bins[i].count);
        step_count(walk, &reliability->bins[i].right);
    }
    step_count(walk, &reliability->count);
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
    walk_reliability(walk, &report->class_scores);
    walk_reliability(walk, &report->box_confidences);
    for (size_t i = 0; i < images; i++) {
        struct adl_evaluate_place *place = &places[i];
        place->measured = step(walk, place->measured) > 0;
        place->predicted = (int)step(walk, place->predicted);
        step_float(walk, &place->iou);
        step_float(walk, &place->score);
        step_float(walk, &place->probability);
        place->confidence = step(walk, place->confidence);
    }
}

static void take_sums(struct adl_reliability *into, const struct adl_reliability *sums)
{
    for (size_t i = 0; i < ADL_RELIABILITY_BINS; i++) {
        into->bins[i].sum = sums->bins[i].sum;
        into->bins[i].variance = sums->bins[i].variance;
    }
}

/* Sums scores and confidences anew in the order of the images. */
static void sum_again(struct adl_evaluate_report *report, const struct adl_evaluate_place *places,
                      size_t images)
{
    struct adl_reliability scores = {0}, confidences = {0};
    for (size_t i = 0; i < images; i++) {
        if (!places[i].measured)
            continue;
        adl_reliability_add(&scores, (double)places[i].score, false);
        if (isfinite(places[i].confidence))
            adl_reliability_add(&confidences, places[i].confidence, false);
    }
    take_sums(&report->class_scores, &scores);
    take_sums(&report->box_confidences, &confidences);
}

bool adl_evaluate_divides(const struct adl_dataset *dataset,
                          const struct adl_evaluate_options *options)
{
    return !options->several && !dataset->masked && !options->visit;
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
        sum_again(report, places, images);
        report->figures = adl_evaluator_result(&report->counts);
        if (report->errors == report->images)
            result = adl_fail(err, ADL_ERR_FORMAT, "not one of %zu image%s could be read",
                              report->images, ADL_S(report->images));
    }
    adl_free(bucket);
    adl_free(walk.values);
    return result;
}

/* Sends boxes to rank 0. */
static int send_boxes(const struct adl_exchange *exchange, const struct adl_detections *found,
                      struct adl_error *err)
{
    if (exchange->send(exchange->context, 0, found->counts, sizeof found->counts, err) < 0)
        return -1;
    for (int m = 0; m < ADL_BOX_MODES; m++) {
        for (size_t first = 0; first < found->counts[m]; first += PIECE_BOXES) {
            size_t count = ADL_MIN(PIECE_BOXES, found->counts[m] - first);
            if (exchange->send(exchange->context, 0, found->items[m] + first,
                               count * sizeof *found->items[m], err) < 0)
                return -1;
        }
    }
    return 0;
}

/* Receives the boxes of a rank, and puts them behind those that are there. */
static int receive_boxes(const struct adl_exchange *exchange, int from,
                         struct adl_detections *found, struct adl_error *err)
{
    size_t counts[ADL_BOX_MODES];
    int result = 0;
    if (exchange->receive(exchange->context, from, counts, sizeof counts, err) < 0)
        return -1;
    for (int m = 0; m < ADL_BOX_MODES; m++) {
        for (size_t first = 0; result == 0 && first < counts[m]; first += PIECE_BOXES) {
            struct adl_detections piece = {0};
            size_t count = ADL_MIN(PIECE_BOXES, counts[m] - first);
            piece.items[m] = adl_malloc(count, sizeof *piece.items[m]);
            piece.counts[m] = count;
            if (!piece.items[m])
                return adl_fail_nomem(err, "boxes");
            result = exchange->receive(exchange->context, from, piece.items[m],
                                       count * sizeof *piece.items[m], err);
            if (result == 0)
                result = adl_detections_merge(found, &piece, err);
            adl_detections_release(&piece);
        }
    }
    return result;
}

static int collect_boxes(const struct adl_exchange *exchange, struct adl_detections *found,
                         struct adl_error *err)
{
    if (exchange->rank > 0)
        return send_boxes(exchange, found, err);
    for (int from = 1; from < exchange->ranks; from++)
        if (receive_boxes(exchange, from, found, err) < 0)
            return -1;
    return 0;
}

int adl_evaluate_join(const struct adl_exchange *exchange, const struct adl_dataset *dataset,
                      const struct adl_evaluate_options *options, int result,
                      struct adl_evaluate_report *report, struct adl_error *err)
{
    result = agree(exchange, result, err);
    if (result == 0 && options->detections)
        result = collect_boxes(exchange, &report->detections, err);
    if (result == 0)
        result = add_up(exchange, report, options->places, dataset->count, err);
    if (result < 0)
        adl_evaluate_report_release(report);
    return result;
}
