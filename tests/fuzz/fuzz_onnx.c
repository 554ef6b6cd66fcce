/* Fuzz target: any bytes as an ONNX file. What is accepted must be a model, or be refused as one in
 * words. Corpus: tests/fuzz/corpus/onnx. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "models/file/load.h"
#include "models/onnx_in/onnx_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct adl_error *err)
{
    if (err->kind == ADL_ERR_NONE || err->kind == ADL_ERR_INTERNAL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors = adl_onnx_in_parse(data, size, NULL, &err);
    struct adl_model *model = tensors ? adl_model_from_tensors(tensors, NULL, &err) : NULL;
    if (!model)
        check(&err);
    adl_model_free(model);
    adl_tensors_free(tensors);
    return 0;
}
