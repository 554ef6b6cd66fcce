#ifndef ADL_TESTS_SUPPORT_PLAN_RUN_H
#define ADL_TESTS_SUPPORT_PLAN_RUN_H

#include "plan/session.h"

/* Runs a batch, of which `fill` writes each image's input: image 0 last, so that it is in another
 * place of each batch. Returns the features of image 0, to be freed, and sets *count to their
 * number. */
float *test_plan_features(struct adl_plan *plan, int threads, int batch,
                          void (*fill)(float *input, int image), size_t *count);

#endif
