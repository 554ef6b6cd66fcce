#ifndef ADL_TESTS_SUPPORT_ISAS_H
#define ADL_TESTS_SUPPORT_ISAS_H

/* What tests of kernels share. */

#include "kernels/dispatch.h"

/* Runs `check` on the table of each instruction set; says which ones this machine
 * lacks. */
void for_each_isa(void (*check)(const struct adl_kernels *kernels));

/* `count` numbers about 0, from the name; adl_free(). */
float *random_floats(const char *what, size_t count);

#endif
