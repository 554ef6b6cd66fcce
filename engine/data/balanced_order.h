#ifndef ADL_DATA_BALANCED_ORDER_H
#define ADL_DATA_BALANCED_ORDER_H

/* Draws images with replacement so that every class is as likely as any other. */

#include "base/rng.h"
#include "data/dataset.h"

struct adl_balanced_order;

/* Sorts the images of a data set by class. The data set is needed during this call only. Fails with
 * ADL_ERR_NOMEM. */
struct adl_balanced_order *adl_balanced_order_create(const struct adl_dataset *dataset,
                                                     struct adl_error *err) ADL_MUST_CHECK;
void adl_balanced_order_free(struct adl_balanced_order *order);

/* Sets the `count` indices to images. Each is drawn on its own: a class of those that have images,
 * and an image of the class, as torch.utils.data.WeightedRandomSampler does with replacement and
 * the weight 1 / (images of its class) of each image. */
void adl_balanced_order_draw(const struct adl_balanced_order *order, struct adl_rng *rng,
                             size_t *indices, size_t count);

#endif
