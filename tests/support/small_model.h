#ifndef ADL_TESTS_SUPPORT_SMALL_MODEL_H
#define ADL_TESTS_SUPPORT_SMALL_MODEL_H

/* Makes the smallest network of the program, with weights computed from their names, for tests of
 * model files. */

#include "models/model.h"

/* Ends the running test, with the message, unless `ok`. */
void model_must(bool ok, const struct adl_error *err);

/* Returns the path of a file in the scratch directory; static memory. */
const char *model_tmp_path(const char *name);

/* Returns the architecture mobilenet_v1 with 5 classes and width 0.25. */
struct adl_arch model_small_arch(void);
/* Returns a model of that architecture for 64x48 images, which the caller frees. */
struct adl_model *model_small(void);
/* Writes such a model to a file. */
void model_small_save(const char *path);

bool model_same_floats(const float *a, const float *b, size_t count);
/* Returns whether the weights of both models have the same names and values, and their params
 * point to these weights. */
bool model_same_weights(const struct adl_model *a, const struct adl_model *b);

/* Writes the model's weights with one tensor left out, one misspelt, two of another shape
 * and one additional. */
void model_write_misfit(const struct adl_model *model, const char *path);

#endif
