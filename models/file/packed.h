#ifndef ADL_MODELS_FILE_PACKED_H
#define ADL_MODELS_FILE_PACKED_H

/* How weights of fewer than 8 bits are stored. The tensor NAME of an 8-bit model (quantised.h) is
 * then not in the file; NAME_packed is, U8 [bytes], and the description says under "packed" what it
 * holds: "NAME": [bits, K, C, ...], the bits of a weight and the shape of NAME. The weights follow
 * each other without gaps, in row-major order, each as a number in two's complement of that many
 * bits, the lowest bit first; the first weight begins at the lowest bit of the first byte, and the
 * bits after the last weight are 0. */

#include <jansson.h>

#include "io/tensor.h"

/* Returns how many bits the widest of the numbers -127..127 needs, at least 2. */
int adl_packed_bits(const signed char *values, size_t count);

/* Adds NAME_packed to a set. Fails as adl_tensors_add() does. */
int adl_packed_add(struct adl_tensors *set, const char *name, const signed char *values,
                   size_t count, int bits, struct adl_error *err) ADL_MUST_CHECK;

/* Turns every packed tensor that the set's metadata "adl" describes into the I8 tensor that it
 * stands for, in its place; sets without such metadata, or with metadata that cannot be read, which
 * is reported elsewhere, stay as they are. Fails with ADL_ERR_FORMAT if one is missing, has another
 * length than its description, or names that of another, and with ADL_ERR_NOMEM. */
int adl_packed_expand(struct adl_tensors *set, struct adl_error *err) ADL_MUST_CHECK;

#endif
