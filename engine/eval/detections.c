/* Average precision and F1 of boxes, see detections.h.
 *
 * For the average precision of a class, the boxes of all images are ranked by score. After the
 * first n boxes, of which r are right, the precision is r / n and the recall r / truths. The curve
 * of precision over recall is made to fall monotonically, since a higher recall at a higher
 * precision is always the better choice, and sampled at 101 recalls (T.-Y. Lin et al., Microsoft
 * COCO, 2014; pycocotools computes the same). F1 is of the boxes as they are, without ranking.
 *
 * Boxes are compared in pixels of the image, both ends inclusive, as localize gives them; the true
 * ones, whose ends are the reference's, are converted to that. So with COCO results and annotations
 * of the same boxes, pycocotools gives the same figure, but for a true box that ends one pixel
 * before the border, which the reference's ends cannot tell from one that ends there. As in
 * pycocotools, at most the 100 boxes of highest score of an image count. */

#include "eval/detections.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

#define BOXES_MAX 100 /* of an image */
#define RECALLS 101

void adl_detections_release(struct adl_detections *detections)
{
    for (int m = 0; m < ADL_BOX_MODES; m++)
        adl_free(detections->items[m]);
    *detections = (struct adl_detections){0};
}

static int reserve(struct adl_detections *d, int mode, size_t more, struct adl_error *err)
{
    struct adl_detection *items =
        adl_array_grow(d->items[mode], &d->capacities[mode], d->counts[mode] + more, sizeof *items);
    if (!items && more)
        return adl_fail_nomem(err, "boxes");
    d->items[mode] = items;
    return 0;
}

int adl_detections_merge(struct adl_detections *into, const struct adl_detections *from,
                         struct adl_error *err)
{
    for (int m = 0; m < ADL_BOX_MODES; m++) {
        if (from->counts[m] == 0)
            continue;
        if (reserve(into, m, from->counts[m], err) < 0)
            return -1;
        memcpy(into->items[m] + into->counts[m], from->items[m],
               from->counts[m] * sizeof *from->items[m]);
        into->counts[m] += from->counts[m];
    }
    return 0;
}

/* --- one image ----------------------------------------------------------------------- */

void adl_detections_match(const struct adl_localized_box *boxes, size_t box_count,
                          const struct adl_box *truth, size_t truth_count, double iou,
                          size_t *order, bool *taken, bool *right)
{
    for (size_t i = 0; i < box_count; i++) {
        size_t k = i;
        for (; k > 0 && boxes[order[k - 1]].score < boxes[i].score; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    memset(taken, 0, truth_count * sizeof *taken);
    for (size_t i = 0; i < box_count; i++) {
        double best = iou;
        size_t match = truth_count;
        for (size_t t = 0; t < truth_count; t++) {
            double overlap = taken[t] ? 0 : adl_box_iou(boxes[order[i]].box, truth[t]);
            if (overlap < best)
                continue;
            best = overlap;
            match = t;
        }
        right[order[i]] = match < truth_count;
        if (match < truth_count)
            taken[match] = true;
    }
}

void adl_detector_release(struct adl_detector *detector)
{
    adl_localizer_release(&detector->localizer);
    adl_detections_release(&detector->found);
    adl_free(detector->scratch);
    *detector = (struct adl_detector){0};
}

/* What comparing the boxes of an image needs. */
struct scratch {
    size_t *order;         /* [BOXES_MAX] */
    struct adl_box *truth; /* [truths] */
    bool *taken;           /* [truths] */
    bool *right;           /* [BOXES_MAX] */
};

static int take_scratch(struct adl_detector *d, size_t truths, struct scratch *s,
                        struct adl_error *err)
{
    size_t bytes = BOXES_MAX * (sizeof *s->order + sizeof *s->right) +
                   truths * (sizeof *s->truth + sizeof *s->taken);

    if (bytes > d->scratch_bytes) {
        adl_free(d->scratch);
        d->scratch_bytes = 0;
        d->scratch = adl_malloc(bytes, 1);
        if (!d->scratch)
            return adl_fail_nomem(err, "true boxes");
        d->scratch_bytes = bytes;
    }
    s->order = d->scratch;
    s->truth = (struct adl_box *)(s->order + BOXES_MAX);
    s->taken = (bool *)(s->truth + truths);
    s->right = s->taken + truths;
    return 0;
}

/* Higher scores first. Not stable, but the boxes that are left out lie beyond the hundredth. */
static int better_first(const void *a, const void *b)
{
    const struct adl_localized_box *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

static int add_boxes(struct adl_detector *d, int mode, struct adl_localization *place,
                     const struct scratch *s, const struct adl_dataset_image *entry, size_t index,
                     struct adl_error *err)
{
    if (place->box_count > BOXES_MAX) {
        qsort(place->boxes, place->box_count, sizeof *place->boxes, better_first);
        place->box_count = BOXES_MAX;
    }
    if (reserve(&d->found, mode, place->box_count, err) < 0)
        return -1;
    adl_detections_match(place->boxes, place->box_count, s->truth, entry->box_count,
                         ADL_DETECTION_IOU, s->order, s->taken, s->right);
    for (size_t i = 0; i < place->box_count; i++)
        d->found.items[mode][d->found.counts[mode]++] =
            (struct adl_detection){.image = index,
                                   .class_id = entry->class_id,
                                   .rank = (int)i,
                                   .right = s->right[i],
                                   .score = place->boxes[i].score};
    return 0;
}

int adl_detector_add(struct adl_detector *detector, const struct adl_map_rule *common, double *map,
                     int height, int width, const struct adl_dataset *dataset, size_t index,
                     int image_w, int image_h, struct adl_error *err)
{
    const struct adl_dataset_image *entry = &dataset->images[index];
    const struct adl_class_map size = {.input_h = height, .input_w = width};
    const struct adl_map_rule rule = adl_map_rule_of_class(common, (size_t)entry->class_id);
    struct scratch s;

    if (take_scratch(detector, entry->box_count, &s, err) < 0 ||
        adl_localizer_load(&detector->localizer, map, height, width, true, err) < 0)
        return -1;
    for (size_t i = 0; i < entry->box_count; i++) {
        struct adl_dataset_box box = dataset->boxes[entry->first_box + i];
        s.truth[i] = adl_box_to_inclusive((struct adl_box){box.x0, box.y0, box.x1, box.y1}, image_w,
                                          image_h);
    }
    for (int mode = 0; mode < ADL_BOX_MODES; mode++) {
        struct adl_localization place = {0};
        int result = adl_localizer_cut(&detector->localizer, &rule, &size, map,
                                       (enum adl_box_mode)mode, image_w, image_h, &place, err);
        if (result == 0)
            result = add_boxes(detector, mode, &place, &s, entry, index, err);
        adl_localization_release(&place);
        if (result < 0)
            return -1;
    }
    return 0;
}

/* --- figures ------------------------------------------------------------------------- */

double adl_average_precision(const struct adl_detection *ranked, size_t count, size_t truths)
{
    double precisions[RECALLS] = {0}, sum = 0;
    size_t right = 0, sampled = 0;

    /* The recalls are computed as by numpy's linspace: i * 0.01, and the last is exactly 1. */
    for (size_t i = 0; i < count; i++) {
        right += ranked[i].right;
        while (sampled < RECALLS && (double)right / (double)truths >=
                                        (sampled == RECALLS - 1 ? 1 : (double)sampled * 0.01))
            sampled++;
        for (size_t k = 0; k < sampled; k++)
            precisions[k] = ADL_MAX(precisions[k], (double)right / (double)(i + 1));
    }
    for (size_t i = 0; i < RECALLS; i++)
        sum += precisions[i];
    return sum / RECALLS;
}

static int ranked_first(const void *a, const void *b)
{
    const struct adl_detection *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->image != y->image)
        return x->image < y->image ? -1 : 1;
    return x->rank < y->rank ? -1 : 1;
}

void adl_detections_rank(struct adl_detection *boxes, size_t count)
{
    if (count > 0)
        qsort(boxes, count, sizeof *boxes, ranked_first);
}

static bool chosen(const struct adl_detection_choice *choice, size_t index, int class_id)
{
    const struct adl_dataset_image *entry = &choice->dataset->images[index];
    return entry->class_id == class_id && (!choice->several || entry->box_count > 1);
}

/* Computes the figures of one class, whose ap50 is 0 without true boxes. */
static void class_figures(const struct adl_detections *d, enum adl_box_mode mode,
                          const struct adl_detection_choice *choice, int class_id,
                          struct adl_detection *scratch, struct adl_detection_figures *f)
{
    size_t count = 0;

    *f = (struct adl_detection_figures){0};
    for (size_t i = 0; i < choice->total; i++) {
        size_t index = i * choice->dataset->count / choice->total;
        if (!chosen(choice, index, class_id))
            continue;
        f->images++;
        f->truths += choice->dataset->images[index].box_count;
    }
    for (size_t i = 0; i < d->counts[mode]; i++)
        if (chosen(choice, d->items[mode][i].image, class_id)) {
            scratch[count++] = d->items[mode][i];
            f->right += d->items[mode][i].right;
        }
    f->boxes = count;
    adl_detections_rank(scratch, count);
    if (f->truths > 0)
        f->ap50 = 100 * adl_average_precision(scratch, count, f->truths);
}

int adl_detections_figures(const struct adl_detections *d, enum adl_box_mode mode,
                           const struct adl_detection_choice *choice,
                           struct adl_detection_figures *figures, struct adl_error *err)
{
    int first = choice->class_id < 0 ? 0 : choice->class_id;
    int end = choice->class_id < 0 ? (int)choice->dataset->class_count : first + 1;
    struct adl_detection *scratch = adl_malloc(d->counts[mode], sizeof *scratch);
    struct adl_detection_figures sum = {0};
    size_t classes = 0;

    if (!scratch)
        return adl_fail_nomem(err, "the average precision");
    for (int c = first; c < end; c++) {
        struct adl_detection_figures one;
        class_figures(d, mode, choice, c, scratch, &one);
        sum.images += one.images;
        sum.truths += one.truths;
        sum.boxes += one.boxes;
        sum.right += one.right;
        sum.ap50 += one.ap50;
        classes += one.truths > 0;
    }
    adl_free(scratch);
    if (classes > 0)
        sum.ap50 /= (double)classes;
    if (sum.boxes + sum.truths > 0)
        sum.f1_50 = 200 * (double)sum.right / (double)(sum.boxes + sum.truths);
    *figures = sum;
    return 0;
}
