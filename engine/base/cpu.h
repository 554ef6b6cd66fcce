#ifndef ADL_BASE_CPU_H
#define ADL_BASE_CPU_H

/* Which instruction sets this processor has, and which of them to use. */

#include <stdbool.h>

#include "base/error.h"

enum adl_isa { ADL_ISA_AUTO, ADL_ISA_GENERIC, ADL_ISA_AVX2, ADL_ISA_AVX512 };

/* "auto", "generic" (plain C), "avx2" (with FMA), "avx512" (F, DQ and VL). */
const char *adl_isa_name(enum adl_isa isa);
/* Whether this machine can run it; always true for AUTO and GENERIC. */
bool adl_isa_available(enum adl_isa isa);

/* Chooses the instruction set: `wanted`; for AUTO the value of the environment variable
 * ADL_CPU (generic, avx2 or avx512), and where that is unset the best one available.
 * Fails with ARG on an unknown ADL_CPU, with UNSUPPORTED on a set this machine lacks. */
int adl_isa_choose(enum adl_isa wanted, enum adl_isa *isa, struct adl_error *err) ADL_MUST_CHECK;

/* The name the processor has for itself, "AMD EPYC 9B14". Static memory. */
const char *adl_cpu_name(void);

#endif
