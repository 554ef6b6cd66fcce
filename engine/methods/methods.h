#ifndef ADL_METHODS_METHODS_H
#define ADL_METHODS_METHODS_H

/* The list of training methods. */

#include "methods/method.h"

/* In the order of ADL_METHODS, NULL-terminated. */
extern const struct adl_method *const adl_methods[];

/* Returns the method called `name`; NULL when there is none. */
const struct adl_method *adl_method_find(const char *name);

/* Returns the loss of the tape's last forward pass, which was in this mode, and writes its
 * gradient, divided by `divisor`, to the tape: that of the method, or the cross-entropy of the
 * logits if it has none of its own or is off (mode->method_layers). *right, unless NULL, becomes
 * the number of images whose top-1 class is the label. */
double adl_method_loss(const struct adl_method *method, struct adl_tape *tape,
                       const struct adl_targets *targets, const struct adl_train_mode *mode,
                       float divisor, size_t *right);

#endif
