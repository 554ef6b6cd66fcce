#ifndef ADL_TRAIN_LOSS_H
#define ADL_TRAIN_LOSS_H

#include <stddef.h>

/* Softmax cross-entropy, mean over the batch, as PyTorch's CrossEntropyLoss:
 * with label smoothing e the target is 1 - e + e/C for the label, e/C for the
 * others. logits and grad are n x classes; grad receives the gradient with
 * respect to the logits (may be NULL). Returns the loss; *right (may be NULL)
 * the images whose largest logit is the label, the first among equals. */
double adl_cross_entropy(const float *logits, const int *labels, size_t n, size_t classes,
                         double smoothing, float *grad, size_t *right);

#endif
