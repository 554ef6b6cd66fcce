#ifndef ADL_BASE_CPU_H
#define ADL_BASE_CPU_H

/* Which instruction sets this processor has, found once by CPUID. */

#include <stdbool.h>

#include "base/error.h"

enum adl_isa { ADL_ISA_AUTO, ADL_ISA_GENERIC, ADL_ISA_AVX2, ADL_ISA_AVX512 };

/* "generic", "avx2", "avx512" */
const char *adl_isa_name(enum adl_isa isa);
/* Whether this machine can run it. */
bool adl_isa_available(enum adl_isa isa);

/* What to use: `wanted`, or for AUTO what the environment variable ADL_CPU
 * (generic|avx2|avx512) says, or the best available. Fails with ARG on an
 * unknown ADL_CPU and with UNSUPPORTED on one this machine lacks. */
int adl_isa_choose(enum adl_isa wanted, enum adl_isa *isa, struct adl_error *err) ADL_MUST_CHECK;

/* "AMD EPYC 9B14", as the processor names itself. Static. */
const char *adl_cpu_name(void);

#endif
