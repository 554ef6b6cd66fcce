/* Computes the average precision of classes that images have or lack, see label_scores.h. */

#include "eval/label_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/labels.h"
#include "train/loss.h"

int adl_label_scores_init(struct adl_label_scores *scores, const struct adl_dataset *dataset,
                          size_t classes, struct adl_error *err)
{
    size_t images = adl_dataset_image_count(dataset), cells;

    *scores = (struct adl_label_scores){.classes = classes};
    if (adl_size_mul(images, classes, &cells) < 0)
        return adl_fail(err, ADL_ERR_LIMIT, "%zu images of %zu classes are too many", images,
                        classes);
    scores->logits = adl_malloc(cells, sizeof *scores->logits);
    scores->entries = adl_malloc(images, sizeof *scores->entries);
    scores->broken = adl_malloc(images, sizeof *scores->broken);
    if (!scores->logits || !scores->entries || !scores->broken)
        return adl_fail_nomem(err, "the scores of the images");
    return 0;
}

void adl_label_scores_release(struct adl_label_scores *scores)
{
    adl_free(scores->logits);
    adl_free(scores->entries);
    adl_free(scores->broken);
    *scores = (struct adl_label_scores){0};
}

void adl_label_scores_add(struct adl_label_scores *scores, size_t entry, const float *logits)
{
    float *row = scores->logits + scores->rows * scores->classes;

    for (size_t k = 0; k < scores->classes; k++)
        row[k] = logits ? logits[k] : -INFINITY;
    scores->entries[scores->rows] = entry;
    scores->broken[scores->rows++] = !logits;
}

/* What the order of the images depends on. */
struct ranking {
    const float *scores;
    size_t stride;
};

static int by_score(const void *a, const void *b, void *context)
{
    const struct ranking *r = context;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    float first = r->scores[x * r->stride], second = r->scores[y * r->stride];
    if (first > second || first < second)
        return first > second ? -1 : 1;
    return (x > y) - (x < y);
}

double adl_label_precision(const float *scores, size_t stride, const bool *present, size_t count,
                           size_t *order)
{
    struct ranking ranking = {scores, stride};
    size_t positives = 0, right = 0;
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        order[i] = i;
        positives += present[i];
    }
    if (positives == 0)
        return NAN;
    qsort_r(order, count, sizeof *order, by_score, &ranking);
    for (size_t i = 0, before = 0; i < count; i++) {
        right += present[order[i]];
        bool tied = i + 1 < count && !(scores[order[i] * stride] > scores[order[i + 1] * stride]);
        if (tied)
            continue;
        sum += (double)(right - before) * ((double)right / (double)(i + 1));
        before = right;
    }
    return sum / (double)positives;
}

/* Sets present[row * classes + class] for the labels of the measured images: all labels of an image
 * follow each other. */
static void mark(const struct adl_label_scores *scores, const struct adl_dataset *dataset,
                 bool *present)
{
    for (size_t row = 0; row < scores->rows; row++) {
        size_t entry = scores->entries[row], first = entry;
        while (first > 0 && adl_dataset_same_image(dataset, first - 1, entry))
            first--;
        for (size_t i = first; i < dataset->count && adl_dataset_same_image(dataset, i, entry); i++)
            if (!dataset->images[i].bare)
                present[row * scores->classes + (size_t)dataset->images[i].class_id] = true;
    }
}

/* Returns the mean binary cross-entropy of the readable images. */
static double mean_loss(const struct adl_label_scores *scores, const bool *present, float *row)
{
    const struct adl_targets targets = {.present = row};
    double sum = 0;
    size_t readable = 0;

    for (size_t i = 0; i < scores->rows; i++) {
        if (scores->broken[i])
            continue;
        for (size_t k = 0; k < scores->classes; k++)
            row[k] = present[i * scores->classes + k];
        sum += adl_binary_cross_entropy(scores->logits + i * scores->classes, &targets, 1,
                                        scores->classes, NULL, NULL);
        readable++;
    }
    return readable ? sum / (double)readable : (double)NAN;
}

int adl_label_scores_figures(const struct adl_label_scores *scores,
                             const struct adl_dataset *dataset, struct adl_evaluate_class *classes,
                             size_t class_count, struct adl_label_figures *figures,
                             struct adl_error *err)
{
    size_t *order = adl_malloc(scores->rows, sizeof *order), measured = 0;
    bool *present = adl_calloc(scores->rows * scores->classes, sizeof *present);
    bool *column = adl_malloc(scores->rows, sizeof *column);
    float *row = adl_malloc(scores->classes, sizeof *row);
    double sum = 0;
    int result = -1;

    if (!order || !present || !column || !row) {
        adl_fail_nomem(err, "the average precision");
        goto out;
    }
    mark(scores, dataset, present);
    for (size_t k = 0; k < class_count; k++) {
        for (size_t i = 0; i < scores->rows; i++)
            column[i] = present[i * scores->classes + k];
        double precision = 100 * adl_label_precision(scores->logits + k, scores->classes, column,
                                                     scores->rows, order);
        classes[k].precision = precision;
        if (!isnan(precision)) {
            sum += precision;
            measured++;
        }
    }
    figures->mean_precision = measured ? sum / (double)measured : (double)NAN;
    figures->loss = mean_loss(scores, present, row);
    result = 0;
out:
    adl_free(order);
    adl_free(present);
    adl_free(column);
    adl_free(row);
    return result;
}
