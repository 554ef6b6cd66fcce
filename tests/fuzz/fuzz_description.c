/* Fuzz target: any bytes as the description in a model file, the JSON text of `adl`. What
 * is accepted must describe a graph and be writable. Corpus: tests/fuzz/corpus/description. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/file/description.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct adl_error err = {0};
    struct adl_model *model = adl_model_new(&err);
    char *text = adl_strndup((const char *)data, size);
    if (!model || !text)
        abort();
    if (adl_model_read_description(model, text, NULL, &err) < 0) {
        if (err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_INTERNAL)
            abort();
    } else {
        json_t *json = adl_model_to_json(model);
        json_t *arch = json_object_get(json, "arch");
        struct adl_arch copy;
        if (adl_arch_from_json(&copy, arch, &err) < 0)
            abort();
        json_decref(json);
        model->graph = adl_arch_build(&model->arch, model->input_h, model->input_w, &err);
        /* Building may fail only because the input is too small for the network. */
        if (!model->graph && err.kind != ADL_ERR_ARG)
            abort();
    }
    adl_model_free(model);
    adl_free(text);
    return 0;
}
