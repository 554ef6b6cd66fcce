/* Fuzz target: any bytes as safetensors. What is accepted must be writable. Corpus:
 * tests/fuzz/corpus/safetensors. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors = adl_safetensors_parse(data, size, &err);
    if (!tensors) {
        if (err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_INTERNAL)
            abort();
        return 0;
    }
    /* Read every element, since a sanitizer checks only memory that is used. */
    for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
        float *values = calloc(tensor->count + 1, sizeof *values);
        if (values)
            adl_tensor_to_f32(tensor, values);
        free(values);
    }
    adl_error_clear(&err);
    if (adl_safetensors_write("/dev/null", tensors, &err) < 0)
        abort();
    adl_tensors_free(tensors);
    return 0;
}
