#ifndef ADL_MODELS_FILE_DESCRIPTION_H
#define ADL_MODELS_FILE_DESCRIPTION_H

/* The description of a model: the JSON object that a model file has as the text of
 * its metadata entry "adl".
 *
 *   {"version": 1, "arch": {...}, "classes": [...],
 *    "input": {"size": [h, w], "resize": "bilinear", "mean": [3], "std": [3]},
 *    "cam": {"threshold": 0.35}, "training": {...}, "metrics": {...}} */

#include "models/model.h"

/* The caller owns the object. NULL is out of memory. */
json_t *adl_model_to_json(const struct adl_model *model) ADL_MUST_CHECK;

/* The same as compact text; freed by adl_free. Fails with NOMEM. */
char *adl_model_description(const struct adl_model *model, struct adl_error *err) ADL_MUST_CHECK;

/* Fills a model of adl_model_new, all but graph and weights, from such a text; NULL
 * stands for a file that has none. `requested` (may be NULL) is what the caller knows
 * of the architecture, see adl_model_options. Fails with FORMAT, UNSUPPORTED (a newer
 * version, an unknown network), LIMIT, NOMEM, or ARG where the file and `requested`
 * contradict each other. On failure the model may be half filled: free it. */
int adl_model_read_description(struct adl_model *model, const char *text,
                               const struct adl_arch *requested,
                               struct adl_error *err) ADL_MUST_CHECK;

#endif
