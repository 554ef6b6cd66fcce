#ifndef ADL_MODELS_FILE_MODEL_PARTS_H
#define ADL_MODELS_FILE_MODEL_PARTS_H

/* What the files behind model.h share: reading and writing the description, and
 * finding the tensor of a file for each parameter of a graph. */

#include "models/model.h"

/* --- model_json.c: the `adl` object -------------------------------------------- */

/* Fills everything but graph and weights from the `adl` metadata; `text` NULL
 * is a file without it. `asked` may be NULL, see adl_model_options. The model
 * is zeroed; on failure the caller frees it. */
int adl_model_read_description(struct adl_model *model, const char *text,
                               const struct adl_arch *asked, struct adl_error *err) ADL_MUST_CHECK;

/* The `adl` object as the text that goes into files; freed by adl_free. */
char *adl_model_description(const struct adl_model *model, struct adl_error *err) ADL_MUST_CHECK;

/* --- model_match.c: names ------------------------------------------------------ */

struct adl_match {
    const struct adl_graph *graph;
    const struct adl_tensors *tensors;
    /* By parameter id: the tensor of that name, in the numbering of the file,
     * whatever its shape; NULL: missing. */
    const struct adl_tensor **found;
    bool *used; /* by tensor: found or of no importance */
    size_t missing, misshapen, unexpected, fitting;
};

/* `arch` is the graph's. A zeroed struct may be released. */
int adl_match_find(struct adl_match *match, const struct adl_arch *arch,
                   const struct adl_graph *graph, const struct adl_tensors *tensors,
                   struct adl_error *err) ADL_MUST_CHECK;
void adl_match_release(struct adl_match *match);

/* Whether the tensor found for a parameter has its shape. */
bool adl_match_fits(const struct adl_match *match, int param);

/* "[64, 3, 7, 7]" into `text`; returns `text`. */
const char *adl_match_shape(const struct adl_param *param, char *text, size_t size);

/* One sentence's worth of what does not fit. */
void adl_match_summary(const struct adl_match *match, char *text, size_t size);

/* --- model.c: weights ------------------------------------------------------------ */

/* A tensor for each parameter of the graph, in its order; *params lists their
 * data. What `match` found in `from` and fits is converted, or taken out of there
 * if it is float32 already; the rest has the values of adl_model_create. Both
 * may be NULL. */
int adl_model_make_weights(const struct adl_graph *graph, const struct adl_match *match,
                           struct adl_tensors *from, struct adl_tensors **weights,
                           const float ***params, struct adl_error *err) ADL_MUST_CHECK;

/* The values of a parameter, to be written. */
float *adl_model_param(struct adl_model *model, int id);

/* --- model_report.c -------------------------------------------------------------- */

/* The table for people; nothing when everything fits. */
void adl_match_report(const struct adl_match *match, struct adl_str *report);

#endif
