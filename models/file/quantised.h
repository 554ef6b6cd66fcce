#ifndef ADL_MODELS_FILE_QUANTISED_H
#define ADL_MODELS_FILE_QUANTISED_H

/* How a model in 8 bits is stored. The description says "precision": "int8" and has, under
 * "activations", the range of each map by the name of its value: [scale, zero point], for the real
 * number scale * (byte - zero point). The weights of convolutions and linear layers are I8 tensors
 * of the usual names and layouts, -127..127; the scales of their output channels are beside them as
 * NAME_scale, F32 [K]. Where all of a tensor's weights need fewer than 8 bits, it is stored packed
 * instead (packed.h). All other tensors are float32 as ever: batch norms are not folded.
 *
 * In memory the weights are float32, each a whole multiple of its scale, so everything that works
 * with weights works with these. */

#include "models/model.h"

/* Returns whether the name is that of scales, which are no parameter of the network: of an I8
 * tensor of the set. */
bool adl_quantised_is_scale(const struct adl_tensors *tensors, const char *name);

/* Multiplies the values of an I8 tensor, which were converted to float32, by its scales, if it has
 * any in the set; copies the scales to `scales` (may be NULL). Fails with ADL_ERR_FORMAT if they
 * are not one positive, normal number for each output channel. */
int adl_quantised_scale(const struct adl_tensors *tensors, const struct adl_tensor *weight,
                        float *values, float *scales, struct adl_error *err) ADL_MUST_CHECK;

/* Completes a model whose description says that it is in 8 bits, after its weights were loaded from
 * the tensors `found` (by parameter id, NULL: missing): scales the weights and makes
 * model->quantisation. Does nothing for other models. Fails with ADL_ERR_FORMAT if a scale or a
 * range is missing or wrong, and with ADL_ERR_NOMEM. */
int adl_quantised_read(struct adl_model *model, const struct adl_tensors *tensors,
                       const struct adl_tensor *const *found, struct adl_error *err) ADL_MUST_CHECK;

/* Returns "activations", which the caller owns; NULL when out of memory. */
json_t *adl_quantised_ranges(const struct adl_model *model) ADL_MUST_CHECK;

/* Returns "packed", which the caller owns: what packed.h says of the weights that need fewer than 8
 * bits, or NULL if there are none. *failed tells whether memory ran out. */
json_t *adl_quantised_packed(const struct adl_model *model, bool *failed) ADL_MUST_CHECK;

/* Returns the tensors of a model in 8 bits as the file has them; the caller frees them. */
struct adl_tensors *adl_quantised_tensors(const struct adl_model *model,
                                          struct adl_error *err) ADL_MUST_CHECK;

#endif
