#ifndef ADL_METHODS_FACTOR_LAYER_H
#define ADL_METHODS_FACTOR_LAYER_H

/* What the layers of the dropout family share: each multiplies every activation by a factor that
 * has no gradient of its own, 0 where it drops:
 *
 *     y = x f,   dx (+)= dy f
 *
 * The factors, as many as activations, are saved from the forward to the backward pass. */

#include "ops/train.h"

/* The saved_floats of such an op. */
size_t adl_factor_saved(const struct adl_node *node, int batch, const struct adl_shape *in,
                        struct adl_shape out);

/* Returns the factors of an image, H x W x C. */
float *adl_factors_of(const struct adl_train_call *call, size_t image);

/* The forward pass. `fill` writes the factors of an image; it is called for all images, on the
 * call's threads. `finish`, unless NULL, is called once after that and may change all factors. With
 * `on` false, and while mode->method_layers is, the layer is the identity. */
void adl_factor_forward(const struct adl_train_call *call, bool on, adl_train_image_body *fill,
                        void (*finish)(const struct adl_train_call *call));
/* The backward pass, with the same `on`. */
void adl_factor_backward(const struct adl_train_call *call, bool on);

#endif
