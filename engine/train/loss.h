#ifndef ADL_TRAIN_LOSS_H
#define ADL_TRAIN_LOSS_H

#include <stddef.h>

/* Returns the softmax cross-entropy, as PyTorch's CrossEntropyLoss with reduction "mean".
 * With the probabilities p[i][k] = exp(z[i][k]) / sum over j of exp(z[i][j]), label smoothing
 * e and C classes,
 *
 *     t[i][k] = e / C + (1 - e if k is the label of image i, else 0)
 *     loss = -1/n sum over i,k of t[i][k] log p[i][k]
 *     grad[i][k] = (p[i][k] - t[i][k]) / n
 *
 * logits and grad: n x classes; grad may be NULL. labels: n, each in 0 .. classes-1;
 * smoothing: 0 <= e < 1. *correct (may be NULL) receives the number of images whose largest
 * logit is that of the label; of equal logits the first counts as the largest. */
double adl_cross_entropy(const float *logits, const int *labels, size_t n, size_t classes,
                         double smoothing, float *grad, size_t *correct);

#endif
