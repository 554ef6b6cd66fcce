#ifndef ADL_TRAIN_ADAMW_H
#define ADL_TRAIN_ADAMW_H

/* AdamW (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019), as
 * torch.optim.AdamW defines it. */

#include <stddef.h>
#include <stdint.h>

struct adl_adamw {
    double beta1, beta2; /* share of the old value in the averages of gradients and squares, 0..1 */
    double eps;          /* added to the root of the second, at least 0 */
    double weight_decay; /* not part of the gradient */
};

/* Makes step t (from 1) on one parameter p of `count` values with the gradient g, in place:
 *
 *     p <- p - lr weight_decay p
 *     m <- beta1 m + (1 - beta1) g
 *     s <- beta2 s + (1 - beta2) g^2
 *     p <- p - lr / (1 - beta1^t) m / (sqrt(s / (1 - beta2^t)) + eps)
 *
 * `moment` (m) and `square` (s) start as zeros; the powers of beta correct for that. `grad` is not
 * changed. */
void adl_adamw_step(const struct adl_adamw *adamw, double lr, uint64_t t, size_t count,
                    const float *grad, float *param, float *moment, float *square);

#endif
