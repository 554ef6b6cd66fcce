#ifndef ADL_TESTS_SUPPORT_MIX_BATCH_H
#define ADL_TESTS_SUPPORT_MIX_BATCH_H

/* A batch of small images for the tests of methods that mix images. */

#include "methods/methods.h"

enum { MIX_COUNT = 5, MIX_HEIGHT = 12, MIX_WIDTH = 17, MIX_IMAGE = MIX_HEIGHT * MIX_WIDTH * 3 };

/* The images, which the test sets, and what mix_batch() made of them last. */
extern float mix_images[MIX_COUNT * MIX_IMAGE], mix_mixed[MIX_COUNT * MIX_IMAGE];
extern size_t mix_partners[MIX_COUNT];

/* Mixes the images as the method does with these values and this key; returns the batch, of which
 * the method sets the share. */
struct adl_method_batch mix_batch(const struct adl_method *method,
                                  const union adl_method_value *values, uint64_t key);

#endif
