/* Computes MaxBoxAcc, MaxBoxAccV2, and Top-1, Top-5 and GT-known localization, the metrics of
 * weakly supervised object localization.
 *
 * At threshold t, image n has the boxes B_n(t) of its true class's map (wsol/boxes.h) and the
 * true boxes T_n. With [...] = 1 if the condition holds, over N images,
 *
 *   BoxAcc(t, d)   = 1/N sum over n of [max over b in {largest contour's box}, g in T_n of
 *                    IoU(b, g) >= d]
 *   MaxBoxAcc      = max over t of BoxAcc(t, 0.5)
 *   MaxBoxAccV2    = mean over d in {0.3, 0.5, 0.7} of max over t of BoxAcc(t, d) with b in all
 *                    of B_n(t) instead; each d has its own best threshold
 *   GT-known       = BoxAcc(model's threshold, 0.5)
 *   Top-1, Top-5   = GT-known, but an image is correct only if its label is also the most
 *                    probable class, or among the five most probable
 *
 * with t in 0, interval, 2 * interval, ... < 1. The maximum over t is taken of the sums over n, so
 * the whole curve has to be counted before the maximum is known.
 *
 * A map is quantised to bytes, so the thresholds fall into at most 256 groups, each of which gives
 * one binary image; boxes and IoU are computed once for each group (`struct cut`), of which there
 * are about four times fewer than the thousand thresholds of the default interval. */

#include "wsol/evaluator.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "wsol/cam.h"
#include "wsol/thresholds.h"

static const int iou_percent[ADL_EVAL_IOUS] = {30, 50, 70};

/* Returns whether an IoU reaches the limit; the quotient is the double that the reference uses. */
static bool is_hit(double iou, enum adl_eval_iou limit)
{
    return iou >= iou_percent[limit] / 100.0;
}

int adl_evaluator_init(struct adl_evaluator *evaluator, double interval, double model_threshold,
                       struct adl_error *err)
{
    memset(evaluator, 0, sizeof *evaluator);
    if (adl_threshold_steps(interval, &evaluator->steps, err) < 0)
        return -1;
    if (!(model_threshold >= 0 && model_threshold <= 1))
        return adl_fail(err, ADL_ERR_ARG, "the threshold %g is not in 0..1", model_threshold);
    evaluator->interval = interval;
    evaluator->model_threshold = model_threshold;
    evaluator->largest = adl_calloc(evaluator->steps, ADL_EVAL_IOUS * sizeof *evaluator->largest);
    evaluator->all = adl_calloc(evaluator->steps, ADL_EVAL_IOUS * sizeof *evaluator->all);
    evaluator->centred = adl_calloc(evaluator->steps, sizeof *evaluator->centred);
    evaluator->largest_top1 = adl_calloc(evaluator->steps, sizeof *evaluator->largest_top1);
    evaluator->largest_top5 = adl_calloc(evaluator->steps, sizeof *evaluator->largest_top5);
    if (!evaluator->largest || !evaluator->all || !evaluator->centred || !evaluator->largest_top1 ||
        !evaluator->largest_top5) {
        adl_evaluator_release(evaluator);
        return adl_fail_nomem(err, "the evaluator's counts");
    }
    return 0;
}

void adl_evaluator_release(struct adl_evaluator *evaluator)
{
    adl_free(evaluator->largest);
    adl_free(evaluator->all);
    adl_free(evaluator->centred);
    adl_free(evaluator->largest_top1);
    adl_free(evaluator->largest_top5);
    adl_box_finder_release(&evaluator->finder);
    adl_boxes_release(&evaluator->boxes);
    memset(evaluator, 0, sizeof *evaluator);
}

/* One binary image of the map. */
struct cut {
    size_t first, end; /* the thresholds that give this image are first..end - 1 */
    double largest;    /* best IoU of the largest contour's box */
    double all;        /* best IoU of any contour's box */
    double centred;    /* best IoU of the largest contour's box moved to the middle */
};

/* Returns the box moved to the middle of the map. If such boxes score nearly as well, the maps show
 * how large the objects are but not where they are. */
static struct adl_box centre_box(struct adl_box box, int width, int height)
{
    int x0 = (width - 1 - (box.x1 - box.x0)) / 2, y0 = (height - 1 - (box.y1 - box.y0)) / 2;
    return (struct adl_box){x0, y0, x0 + box.x1 - box.x0, y0 + box.y1 - box.y0};
}

/* Largest number of groups of thresholds: each group has a different byte. */
#define MAX_CUTS 256

/* Finds the boxes of one binary image and their best IoUs. All contours are found, and the
 * largest one is picked among them, so one search serves both metrics. */
static int evaluator_try_cut(struct adl_evaluator *evaluator, int byte,
                             const struct adl_eval_image *image, struct cut *cut,
                             struct adl_error *err)
{
    struct adl_boxes *boxes = &evaluator->boxes;
    if (adl_box_finder_cut(&evaluator->finder, byte, ADL_BOXES_ALL, boxes, err) < 0)
        return -1;
    size_t largest = adl_contour_largest(&evaluator->finder.contours);
    cut->largest = adl_box_best_iou(&boxes->items[largest], 1, image->truth, image->truth_count);
    struct adl_box centred = centre_box(boxes->items[largest], image->width, image->height);
    cut->centred = adl_box_best_iou(&centred, 1, image->truth, image->truth_count);
    cut->all = adl_box_best_iou(boxes->items, boxes->count, image->truth, image->truth_count);
    return 0;
}

/* Whether the label is the most probable class, and whether it is among the five most probable. */
struct rank {
    bool top1, top5;
};

/* Adds one binary image to the counts of every threshold that it stands for. */
static void evaluator_count_cut(struct adl_evaluator *evaluator, const struct cut *cut,
                                struct rank rank)
{
    bool correct = is_hit(cut->largest, ADL_EVAL_IOU_50);
    for (enum adl_eval_iou iou = 0; iou < ADL_EVAL_IOUS; iou++) {
        bool largest = is_hit(cut->largest, iou), all = is_hit(cut->all, iou);
        for (size_t step = cut->first; step < cut->end; step++) {
            evaluator->largest[iou * evaluator->steps + step] += largest;
            evaluator->all[iou * evaluator->steps + step] += all;
        }
    }
    for (size_t step = cut->first; step < cut->end; step++) {
        evaluator->centred[step] += is_hit(cut->centred, ADL_EVAL_IOU_50);
        evaluator->largest_top1[step] += correct && rank.top1;
        evaluator->largest_top5[step] += correct && rank.top5;
    }
}

/* Adds the image to the counts of the centred squares that are correct for it. A map is useful only
 * if its boxes do better than these squares, which do not depend on the image. They are in pixels
 * of the map, like all boxes here. */
static void count_squares(struct adl_evaluator *evaluator, const struct adl_eval_image *image)
{
    for (int i = 0; i < ADL_EVAL_SQUARES; i++) {
        int x = i * image->width / 56, y = i * image->height / 56;
        const struct adl_box square = {x, y, image->width - 1 - x, image->height - 1 - y};
        double iou = adl_box_best_iou(&square, 1, image->truth, image->truth_count);
        for (enum adl_eval_iou limit = 0; limit < ADL_EVAL_IOUS; limit++)
            evaluator->squares[limit][i] += is_hit(iou, limit);
    }
}

static int check_truth(const struct adl_eval_image *image, struct adl_error *err)
{
    if (image->truth_count == 0)
        return adl_fail(err, ADL_ERR_ARG, "an image with a map has no true box");
    for (size_t i = 0; i < image->truth_count; i++) {
        const struct adl_box *box = &image->truth[i];
        if (box->x0 < 0 || box->y0 < 0 || box->x1 < box->x0 || box->y1 < box->y0)
            return adl_fail(err, ADL_ERR_ARG, "the true box %d,%d,%d,%d is not a box", box->x0,
                            box->y0, box->x1, box->y1);
    }
    return 0;
}

/* Measures the image at every threshold, and counts it only when nothing can fail any more, so that
 * an error leaves the counts unchanged. */
static int evaluator_add_map(struct adl_evaluator *evaluator, const struct adl_eval_image *image,
                             struct rank rank, bool *gt_known, struct adl_error *err)
{
    struct adl_box_finder *finder = &evaluator->finder;
    struct cut cuts[MAX_CUTS], model;
    size_t count = 0;
    double threshold = image->threshold ? *image->threshold : evaluator->model_threshold;

    if (check_truth(image, err) < 0 ||
        adl_box_finder_load(finder, image->map, image->height, image->width, err) < 0 ||
        evaluator_try_cut(evaluator, adl_box_finder_byte(finder, threshold), image, &model, err) <
            0)
        return -1;
    for (size_t step = 0; step < evaluator->steps; count++) {
        int byte = adl_box_finder_byte(finder, (double)step * evaluator->interval);
        cuts[count].first = step;
        do
            step++;
        while (step < evaluator->steps &&
               adl_box_finder_byte(finder, (double)step * evaluator->interval) == byte);
        cuts[count].end = step;
        if (evaluator_try_cut(evaluator, byte, image, &cuts[count], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < count; i++)
        evaluator_count_cut(evaluator, &cuts[i], rank);
    *gt_known = is_hit(model.largest, ADL_EVAL_IOU_50);
    return 0;
}

static struct rank rank_of(const struct adl_eval_image *image)
{
    struct rank rank = {false, false};
    size_t best[5];
    size_t count =
        image->logits ? adl_top_k(image->logits, image->classes, ADL_COUNT(best), best) : 0;
    for (size_t i = 0; i < count; i++)
        rank.top5 |= best[i] == image->label;
    rank.top1 = count > 0 && best[0] == image->label;
    return rank;
}

int adl_evaluator_add(struct adl_evaluator *evaluator, const struct adl_eval_image *image,
                      struct adl_error *err)
{
    bool gt_known = false;

    if (image->logits && image->label >= image->classes)
        return adl_fail(err, ADL_ERR_ARG, "label %zu of %zu classes", image->label, image->classes);
    struct rank rank = rank_of(image);
    if (image->map && evaluator_add_map(evaluator, image, rank, &gt_known, err) < 0)
        return -1;
    if (image->logits) {
        evaluator->classified++;
        evaluator->top1 += rank.top1;
        evaluator->top5 += rank.top5;
    }
    if (image->map) {
        count_squares(evaluator, image);
        evaluator->localized++;
        evaluator->gt_known += gt_known;
    }
    if (image->map && image->logits) {
        evaluator->both++;
        evaluator->top1_loc += gt_known && rank.top1;
        evaluator->top5_loc += gt_known && rank.top5;
    }
    return 0;
}

int adl_evaluator_merge(struct adl_evaluator *into, const struct adl_evaluator *from,
                        struct adl_error *err)
{
    if (into->interval != from->interval || into->model_threshold != from->model_threshold)
        return adl_fail(err, ADL_ERR_INTERNAL, "evaluators of different thresholds cannot merge");
    into->classified += from->classified;
    into->top1 += from->top1;
    into->top5 += from->top5;
    into->localized += from->localized;
    into->gt_known += from->gt_known;
    into->both += from->both;
    into->top1_loc += from->top1_loc;
    into->top5_loc += from->top5_loc;
    for (size_t i = 0; i < (size_t)ADL_EVAL_IOUS * ADL_EVAL_SQUARES; i++)
        into->squares[i / ADL_EVAL_SQUARES][i % ADL_EVAL_SQUARES] +=
            from->squares[i / ADL_EVAL_SQUARES][i % ADL_EVAL_SQUARES];
    for (size_t i = 0; i < ADL_EVAL_IOUS * into->steps; i++) {
        into->largest[i] += from->largest[i];
        into->all[i] += from->all[i];
    }
    for (size_t i = 0; i < into->steps; i++) {
        into->centred[i] += from->centred[i];
        into->largest_top1[i] += from->largest_top1[i];
        into->largest_top5[i] += from->largest_top5[i];
    }
    return 0;
}

/* Returns part / whole in percent; 0 if the whole is 0. */
static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole * 100 : 0;
}

/* Returns the step with the most correct images; ties go to the first. */
static size_t best_step(const uint64_t *correct, size_t steps)
{
    size_t best = 0;
    for (size_t step = 1; step < steps; step++)
        if (correct[step] > correct[best])
            best = step;
    return best;
}

struct adl_evaluation adl_evaluator_result(const struct adl_evaluator *evaluator)
{
    const uint64_t *correct = evaluator->largest + ADL_EVAL_IOU_50 * evaluator->steps;
    size_t best = best_step(correct, evaluator->steps);
    struct adl_evaluation result = {
        .top1_cls = percent(evaluator->top1, evaluator->classified),
        .top5_cls = percent(evaluator->top5, evaluator->classified),
        .gt_known_loc = percent(evaluator->gt_known, evaluator->localized),
        .top1_loc = percent(evaluator->top1_loc, evaluator->both),
        .top5_loc = percent(evaluator->top5_loc, evaluator->both),
        .max_box_acc = percent(correct[best], evaluator->localized),
        .best_threshold = (double)best * evaluator->interval,
        .centred_box_acc = percent(evaluator->centred[best], evaluator->localized),
        .best_top1_loc = percent(evaluator->largest_top1[best], evaluator->both),
        .best_top5_loc = percent(evaluator->largest_top5[best], evaluator->both),
    };
    for (enum adl_eval_iou iou = 0; iou < ADL_EVAL_IOUS; iou++) {
        correct = evaluator->all + iou * evaluator->steps;
        best = best_step(correct, evaluator->steps);
        result.max_box_acc_v2_iou[iou] = percent(correct[best], evaluator->localized);
        result.best_threshold_v2[iou] = (double)best * evaluator->interval;
        result.max_box_acc_v2 += result.max_box_acc_v2_iou[iou];
        correct = evaluator->squares[iou];
        double square =
            percent(correct[best_step(correct, ADL_EVAL_SQUARES)], evaluator->localized);
        result.centred_square_acc_v2 += square;
        if (iou == ADL_EVAL_IOU_50)
            result.centred_square_acc = square;
    }
    result.max_box_acc_v2 /= ADL_EVAL_IOUS;
    result.centred_square_acc_v2 /= ADL_EVAL_IOUS;
    return result;
}

/* Scales a coordinate, truncates it towards 0 as int() does in Python, and saturates if the
 * conversion would overflow. */
static int scale_truth(int value, int from, int to)
{
    double scaled = (double)value * to / from;
    return scaled >= INT32_MAX ? INT32_MAX : scaled <= INT32_MIN ? INT32_MIN : (int)scaled;
}

struct adl_box adl_box_resize_truth(struct adl_box box, int image_width, int image_height,
                                    int map_width, int map_height)
{
    return (struct adl_box){
        scale_truth(box.x0, image_width, map_width), scale_truth(box.y0, image_height, map_height),
        scale_truth(box.x1, image_width, map_width), scale_truth(box.y1, image_height, map_height)};
}
