#ifndef ADL_TRAIN_LOSS_H
#define ADL_TRAIN_LOSS_H

#include <stddef.h>

/* What the probabilities of a batch should be. */
struct adl_targets {
    const int *labels; /* n, each in 0..classes-1 */
    double smoothing;  /* of the labels, 0 <= e < 1 */
    /* The label of image partners[i] has this share of the loss of image i, 0..1, and its own
     * label the rest. With a share of 0 `partners` is not read. */
    const size_t *partners; /* a permutation of the images, or each its own */
    double share;
    const float *weights; /* of the classes, at least 0, of the labels above 0; NULL: all 1 */
    /* Of images that may have any number of classes: n x classes, 1 for those that an image has and
     * 0 for the others. NULL: each image has one class, its label. */
    const float *present;
};

/* Returns what the losses below divide the sum over n images by: the weights of their labels if
 * classes have weights and each image has one, else n. The loss of a batch is the mean of those of
 * its parts, weighted by this. */
double adl_targets_weight(const struct adl_targets *targets, size_t n);

/* Returns the softmax cross-entropy, as PyTorch's CrossEntropyLoss with reduction "mean".
 * With the probabilities p[i][k] = exp(z[i][k]) / sum over j of exp(z[i][j]), label smoothing
 * e, C classes and the partner's share s,
 *
 *     t[i][k] = e / C + (1 - e) ((1 - s if k is the label of image i, else 0)
 *                                + (s if k is the label of its partner, else 0))
 *     loss = -1/n sum over i,k of t[i][k] log p[i][k]
 *     grad[i][k] = (p[i][k] - t[i][k]) / n
 *
 * which is s times the loss of the partner's label plus 1 - s times that of its own. With weights w
 * of the classes, as CrossEntropyLoss(weight=w) has them, the targets become
 *
 *     t'[i][k] = w[k] t[i][k] n / (sum over i of w of the label of image i)
 *     grad[i][k] = (p[i][k] sum over j of t'[i][j] - t'[i][k]) / n
 *
 * logits and
 * grad: n x classes; grad may be NULL. *correct (may be NULL) receives the number of images whose
 * largest logit is that of the label; of equal logits the first counts as the largest. */
double adl_cross_entropy(const float *logits, const struct adl_targets *targets, size_t n,
                         size_t classes, float *grad, size_t *correct);

/* Returns the loss of images that may have any number of classes, targets->present, as PyTorch's
 * BCEWithLogitsLoss with reduction "mean". With y[i][k] = (1 - s) present[i][k] + s times that of
 * the partner, C classes and label smoothing e, which draws each target towards 1/2 (as in Keras's
 * BinaryCrossentropy),
 *
 *     t[i][k] = (1 - e) y[i][k] + e / 2
 *     loss = -1/(n C) sum over i,k of w[k] t[i][k] log sigmoid(z[i][k])
 *                                     + (1 - t[i][k]) log(1 - sigmoid(z[i][k]))
 *     grad[i][k] = ((1 - t[i][k]) sigmoid(z[i][k]) - w[k] t[i][k] sigmoid(-z[i][k])) / (n C)
 *
 * where the weights w of the classes are pos_weight there. `labels` are not read. *right (may be
 * NULL) receives the number of classes of images, of n C, that are judged right: a logit of at
 * least 0 where the image has the class, a smaller one where it has not. */
double adl_binary_cross_entropy(const float *logits, const struct adl_targets *targets, size_t n,
                                size_t classes, float *grad, size_t *right);

#endif
