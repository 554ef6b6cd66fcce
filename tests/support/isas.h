#ifndef ADL_TESTS_SUPPORT_ISAS_H
#define ADL_TESTS_SUPPORT_ISAS_H

/* Functions that several tests of kernels use. */

#include "kernels/dispatch.h"

/* Runs `check` on the table of each instruction set; says which ones this machine
 * lacks. */
void for_each_isa(void (*check)(const struct adl_kernels *kernels));

/* Returns `count` random numbers around 0 that depend on the name only, to be freed with
 * adl_free(). */
float *random_floats(const char *name, size_t count);

#endif
