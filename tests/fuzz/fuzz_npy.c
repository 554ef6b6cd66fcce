/* Fuzz target: any bytes as a .npy file. Corpus: tests/golden/npy. */

#include <stdlib.h>

#include "base/mem.h"
#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t blocks = adl_mem_stats().live_blocks;
    struct adl_error err = {0};
    struct adl_npy npy;
    volatile double sum = 0;

    if (adl_npy_parse(data, size, &npy, &err) < 0) {
        if (npy.data || err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_INTERNAL)
            abort();
        return 0;
    }
    for (size_t i = 0; i < npy.rows * npy.columns; i++)
        sum = sum + npy.data[i];
    adl_npy_release(&npy);
    if (adl_mem_stats().live_blocks != blocks)
        abort();
    return 0;
}
