#include "support/isas.h"

#include "base/mem.h"
#include "support/formula.h"
#include "support/test.h"

void for_each_isa(void (*check)(const struct adl_kernels *kernels))
{
    for (enum adl_isa isa = ADL_ISA_GENERIC; isa <= ADL_ISA_AVX512; isa++)
        if (adl_isa_available(isa))
            check(adl_kernels_for(isa));
        else if (adl_isa_built(isa))
            test_skip("this processor has no %s", adl_isa_name(isa));
}

float *random_floats(const char *name, size_t count)
{
    float *values = adl_malloc(count, sizeof *values);
    formula_param(name, 0, 1, count, values);
    return values;
}
