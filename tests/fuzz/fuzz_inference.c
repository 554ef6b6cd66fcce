/* Fuzz target: a request of the Open Inference Protocol. The first line is the length of its JSON,
 * the rest the body. A tensor is read whole; pictures have to lie in the body. The network's input
 * has 2 x 3 pixels. Corpus: tests/fuzz/corpus/inference. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/api/inference_request.h"

enum { H = 2, W = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct adl_inference_request *request, const char *body, size_t length,
                     struct adl_error *err)
{
    for (size_t i = 0; i < request->images; i++) {
        float tensor[3 * H * W];
        if (request->pictures) {
            struct adl_span file = request->files[i];
            if (file.data < body || file.length > length ||
                (size_t)(file.data - body) > length - file.length)
                abort();
            continue;
        }
        if (adl_inference_request_tensor(request, i, H, W, NULL, tensor, err) < 0)
            return;
        for (size_t k = 0; k < 3 * H * W; k++)
            if (!isfinite(tensor[k]))
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct adl_model model = {.input_h = H, .input_w = W};
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    struct adl_inference_request request = {0};
    struct adl_error err = {0};

    if (!end || end - data > 9)
        return 0;
    char *number = adl_strndup((const char *)data, (size_t)(end - data));
    /* In a copy of the exact size the sanitizer sees reads beyond the end. */
    size_t length = size - (size_t)(end - data) - 1, json;
    char *body = adl_malloc(length, 1);
    if (!number || !body)
        abort();
    memcpy(body, end + 1, length);
    json = (size_t)strtoul(number, NULL, 10);
    if (json > length)
        json = length;
    if (adl_inference_request_read(&request, body, length, json, &model, size % 2, &err) == 0) {
        if (request.images < 1 || request.images > ADL_LIMIT_MULTIPART_PARTS ||
            request.wish_count < 1 || request.wish_count > ADL_INFERENCE_OUTPUTS)
            abort();
        read_all(&request, body, length, &err);
    }
    if ((err.kind != ADL_ERR_NONE) != (*err.message != '\0'))
        abort();
    adl_inference_request_release(&request);
    adl_free(number);
    adl_free(body);
    return 0;
}
