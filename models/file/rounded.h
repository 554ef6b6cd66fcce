#ifndef ADL_MODELS_FILE_ROUNDED_H
#define ADL_MODELS_FILE_ROUNDED_H

/* How a model in bfloat16 is stored. The description says "precision": "bf16". The weights of
 * convolutions and linear layers, but for small ones (adl_quantisation_takes_bf16), are BF16
 * tensors of the usual names and layouts; all others are
 * float32 as ever: batch norms are not folded. In memory all are float32, so everything that works
 * with weights works with these. */

#include "models/model.h"

/* Returns the tensors of a model in bfloat16 as the file has them; the caller frees them. Fails
 * with ADL_ERR_NOMEM. */
struct adl_tensors *adl_rounded_tensors(const struct adl_model *model,
                                        struct adl_error *err) ADL_MUST_CHECK;

#endif
