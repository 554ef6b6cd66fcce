#ifndef ADL_TESTS_SUPPORT_SMALL_MODEL_H
#define ADL_TESTS_SUPPORT_SMALL_MODEL_H

/* The smallest network of the program, with weights computed from their names, for tests of
 * model files. */

#include "models/model.h"

/* Ends the running test, with the message, unless `ok`. */
void model_must(bool ok, const struct adl_error *err);

/* The path of a file in the scratch directory; static memory. */
const char *model_tmp_path(const char *name);

/* mobilenet_v1, 5 classes, width 0.25. */
struct adl_arch model_small_arch(void);
/* A model of it for 64x48 images, which the caller frees. */
struct adl_model *model_small(void);

bool model_same_floats(const float *a, const float *b, size_t count);
/* Whether both have the same names and values, and params that point to them. */
bool model_same_weights(const struct adl_model *a, const struct adl_model *b);

/* Writes the model's weights with one tensor left out, one misspelt, two of another shape
 * and one too many. */
void model_write_misfit(const struct adl_model *model, const char *path);

#endif
