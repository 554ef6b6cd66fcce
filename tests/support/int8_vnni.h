#ifndef ADL_TESTS_SUPPORT_INT8_VNNI_H
#define ADL_TESTS_SUPPORT_INT8_VNNI_H

/* The kernels of avx2_vnni_int8.c, with their one instruction beyond AVX2 replaced by its
 * definition in C: they run on every processor with AVX2, and whatever else that file does is
 * tested where there is no AVX-VNNI. */

#include "kernels/int8.h"

#if defined(__x86_64__)
extern const struct adl_int8_kernels int8_defined_vnni;
#endif

#endif
