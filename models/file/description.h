#ifndef ADL_MODELS_FILE_DESCRIPTION_H
#define ADL_MODELS_FILE_DESCRIPTION_H

/* Writes and reads the description of a model: the JSON object in the metadata entry
 * "adl" of a model file.
 *
 *   {"version": 1, "arch": {...}, "classes": [...],
 *    "input": {"size": [h, w], "resize": "bilinear", "mean": [r, g, b],
 *              "std": [r, g, b]},
 *    "precision": "int8", "activations": {...}, "packed": {...},
 *    "cam": {"threshold": 0.35, ...}, "certainty": {...}, "training": {...},
 *    "metrics": {...}, "calibration": {...}}
 *
 * "precision" and "activations" are described in quantised.h, "packed" in packed.h; or "precision"
 * is "bf16": the weights of convolutions and linear layers are BF16 tensors, to be run as such
 * (rounded.h); "certainty" in certainty.h. */

#include "models/model.h"

/* Returns the description as a JSON object, without the "activations", "packed" and the nodes of a
 * network from ONNX, which are of no use to people; the caller owns it. NULL when out of memory. */
json_t *adl_model_to_json(const struct adl_model *model) ADL_MUST_CHECK;

/* Returns the description as compact text, which the caller frees with adl_free(). Fails with
 * ADL_ERR_NOMEM. */
char *adl_model_description(const struct adl_model *model, struct adl_error *err) ADL_MUST_CHECK;

/* Sets the fields of a model of adl_model_new() that a description gives; graph and
 * weights are not among them. `text` is the description's text, or NULL for a file
 * without one. `requested` (may be NULL) is the architecture as far as the caller knows
 * it; see struct adl_model_options in load.h. Fails with ADL_ERR_FORMAT,
 * ADL_ERR_UNSUPPORTED (a newer version, an unknown network, training method or map rule),
 * ADL_ERR_LIMIT, ADL_ERR_NOMEM, or ADL_ERR_ARG if `requested` contradicts the file or has
 * a value out of range. On failure the model may be partly filled; free it. */
int adl_model_read_description(struct adl_model *model, const char *text,
                               const struct adl_arch *requested,
                               struct adl_error *err) ADL_MUST_CHECK;

#endif
