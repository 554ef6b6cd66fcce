#ifndef ADL_BASE_CPU_H
#define ADL_BASE_CPU_H

/* Which instruction sets this processor has, and which of them to use. */

#include <stdbool.h>

#include "base/error.h"

enum adl_isa { ADL_ISA_AUTO, ADL_ISA_GENERIC, ADL_ISA_NEON, ADL_ISA_AVX2, ADL_ISA_AVX512 };

/* Returns the name of the set: "auto", "generic" (plain C), "neon" (of ARM in 64 bits), "avx2"
 * (with FMA) or "avx512" (F, DQ and VL). */
const char *adl_isa_name(enum adl_isa isa);
/* Returns whether this program has kernels for the set: those of another architecture it has not.
 * Always true for ADL_ISA_AUTO and ADL_ISA_GENERIC. */
bool adl_isa_built(enum adl_isa isa);
/* Returns whether this processor supports the set; always true for ADL_ISA_AUTO and
 * ADL_ISA_GENERIC. */
bool adl_isa_available(enum adl_isa isa);

/* Returns whether this processor has AVX-512 VNNI, for 8-bit kernels of ADL_ISA_AVX512. */
bool adl_cpu_has_vnni(void);
/* Returns whether it has AVX512-BF16, for products of bfloat16 numbers of ADL_ISA_AVX512. */
bool adl_cpu_has_avx512_bf16(void);
/* Returns whether it has AVX-VNNI, for 8-bit kernels of ADL_ISA_AVX2. */
bool adl_cpu_has_avx_vnni(void);

/* Returns whether it has the dot products of bytes of ARM (FEAT_DotProd), for 8-bit kernels of
 * ADL_ISA_NEON. */
bool adl_cpu_has_dotprod(void);

/* Chooses the instruction set: `wanted`; for ADL_ISA_AUTO the one that the environment
 * variable ADL_CPU names (generic, avx2 or avx512; on ARM generic or neon), and if that is unset or
 * empty the best one that the processor supports. Fails with ADL_ERR_ARG on an unknown ADL_CPU,
 * with ADL_ERR_UNSUPPORTED on a set that the processor lacks. */
int adl_isa_choose(enum adl_isa wanted, enum adl_isa *isa, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the model name that the processor reports, for example "AMD EPYC 9B14", or a
 * generic name if it reports none. The string is static. */
const char *adl_cpu_name(void);

#endif
