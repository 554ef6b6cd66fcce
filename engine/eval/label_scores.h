#ifndef ADL_EVAL_LABEL_SCORES_H
#define ADL_EVAL_LABEL_SCORES_H

/* The scores of images that may have several labels, and how well they separate the images that
 * have a class from those that lack it: the average precision of each class. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "data/dataset.h"
#include "eval/evaluate_options.h"

struct adl_label_scores {
    float *logits;   /* [rows][classes] of the measured images, in their order; owned */
    size_t *entries; /* [rows] an entry of each image in the data set; owned */
    bool *broken;    /* [rows] it could not be read; owned */
    size_t rows, classes;
};

/* Makes room for all images of a data set of paired labels. Fails with ADL_ERR_NOMEM. */
int adl_label_scores_init(struct adl_label_scores *scores, const struct adl_dataset *dataset,
                          size_t classes, struct adl_error *err) ADL_MUST_CHECK;
void adl_label_scores_release(struct adl_label_scores *scores);

/* Adds an image, each once and in the order of the data set. logits NULL: it could not be read, and
 * ranks last for every class. */
void adl_label_scores_add(struct adl_label_scores *scores, size_t entry, const float *logits);

struct adl_label_figures {
    double mean_precision; /* of the classes that an image has, percent; NaN: there is none */
    double loss;           /* mean binary cross-entropy of the readable images; NaN: none */
};

/* Computes the figures, and sets the precision of each of `class_count` classes. Fails with
 * ADL_ERR_NOMEM. */
int adl_label_scores_figures(const struct adl_label_scores *scores,
                             const struct adl_dataset *dataset, struct adl_evaluate_class *classes,
                             size_t class_count, struct adl_label_figures *figures,
                             struct adl_error *err) ADL_MUST_CHECK;

/* Returns the average precision, 0..1, of images whose scores are scores[i * stride]; present[i]
 * says whether image i has the class. As average_precision_score of scikit-learn: with the images
 * in descending order of the scores and those of equal score together,
 *
 *     AP = sum over n of (R[n] - R[n-1]) P[n]
 *
 * where P[n] is the fraction of the images up to the n-th distinct score that have the class, and
 * R[n] the fraction of those that have the class that are among them. NaN if none has it. `order`
 * is scratch for `count` indices. */
double adl_label_precision(const float *scores, size_t stride, const bool *present, size_t count,
                           size_t *order);

#endif
