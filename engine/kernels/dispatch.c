/* Chooses the table of kernels for an instruction set. */

#include "kernels/dispatch.h"

const struct adl_kernels *adl_kernels_for(enum adl_isa isa)
{
#if defined(__x86_64__)
    /* No processor has the products of bfloat16 without those of bytes. */
    if (isa == ADL_ISA_AVX512 && adl_cpu_has_vnni() && adl_cpu_has_avx512_bf16())
        return &adl_kernels_avx512_bf16;
    if (isa == ADL_ISA_AVX512)
        return adl_cpu_has_vnni() ? &adl_kernels_avx512_vnni : &adl_kernels_avx512;
    if (isa == ADL_ISA_AVX2)
        return adl_cpu_has_avx_vnni() ? &adl_kernels_avx2_vnni : &adl_kernels_avx2;
#elif defined(__aarch64__)
    if (isa == ADL_ISA_NEON)
        return adl_cpu_has_dotprod() ? &adl_kernels_neon_dot : &adl_kernels_neon;
#else
    (void)isa;
#endif
    return &adl_kernels_generic;
}
