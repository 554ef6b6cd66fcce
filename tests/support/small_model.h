#ifndef ADL_TESTS_SUPPORT_SMALL_MODEL_H
#define ADL_TESTS_SUPPORT_SMALL_MODEL_H

/* The smallest network there is, with weights from their names, for tests of
 * model files. */

#include "models/model.h"

/* Ends the test when what it needs is not there. */
void model_must(bool there, const struct adl_error *err);

/* A file of that name in the tests' folder; static. */
const char *model_tmp_path(const char *name);

/* mobilenet_v1, 5 classes, width 0.25. */
struct adl_arch model_small_arch(void);
/* For 64x48; the caller frees it. Ends the test when there is no memory. */
struct adl_model *model_small(void);

bool model_same_floats(const float *a, const float *b, size_t count);
/* The same names, numbers, and parameters that point to them. */
bool model_same_weights(const struct adl_model *a, const struct adl_model *b);

/* The model's file with one tensor left out, one misspelt, one of another shape
 * and one too many. */
void model_write_misfit(const struct adl_model *model, const char *path);

#endif
