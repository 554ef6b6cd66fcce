#ifndef ADL_SERVER_API_INFERENCE_REQUEST_H
#define ADL_SERVER_API_INFERENCE_REQUEST_H

/* A request of the Open Inference Protocol, version 2, and of its binary tensor data extension,
 * read and checked: which tensors come in, which go out. Sources: the specification of the protocol
 * (kserve/open-inference-protocol, inference_rest.md) and of the extension (Triton,
 * extension_binary_data.md).
 *
 * One of two inputs is given. "input" is FP32 [N,3,H,W], normalised, of the size of the network's
 * input. "image" is BYTES [N] or [N,1]: picture files. */

#include <jansson.h>

#include "models/model.h"
#include "server/api/inference_text.h"
#include "server/api/params.h"

/* The output tensors. */
enum adl_inference_output {
    ADL_INFERENCE_LOGITS,
    ADL_INFERENCE_SCORES,
    ADL_INFERENCE_CAM,
    ADL_INFERENCE_BOXES,
    ADL_INFERENCE_MAP,
    ADL_INFERENCE_CLASSES,
    ADL_INFERENCE_LABELS,
    ADL_INFERENCE_OUTPUTS
};

enum adl_tensor_type { ADL_TENSOR_FP32, ADL_TENSOR_INT64, ADL_TENSOR_BYTES };
extern const char *const adl_tensor_type_names[]; /* "FP32", ... */

struct adl_inference_output_row {
    const char *name;
    enum adl_tensor_type type;
    bool infer, explain; /* it is given where the request names no outputs */
};
extern const struct adl_inference_output_row adl_inference_outputs[ADL_INFERENCE_OUTPUTS];

/* An output that is asked for. */
struct adl_inference_wish {
    enum adl_inference_output which;
    bool binary;
};

struct adl_inference_request {
    json_t *head; /* the request without the data of its tensors; owned */
    const char *id;
    size_t id_length; /* `id` may contain a NUL; NULL: none was given */
    struct adl_params params;
    bool pictures;                                    /* the input is "image" */
    size_t images;                                    /* 1 to ADL_LIMIT_MULTIPART_PARTS */
    struct adl_span files[ADL_LIMIT_MULTIPART_PARTS]; /* of "image", parts of the body */
    bool binary;                                      /* "input" is binary data: */
    struct adl_span floats;                           /* its bytes, NCHW, little-endian */
    struct adl_number_text numbers;                   /* otherwise its text */
    size_t starts[ADL_LIMIT_MULTIPART_PARTS + 1];
    struct adl_inference_wish wishes[ADL_INFERENCE_OUTPUTS];
    size_t wish_count;
};

/* Reads a body of which the first `json_length` bytes are JSON. `explain`: the endpoint, which
 * decides what is given by default. The request has parts of the body, which has to outlive it and
 * is changed where a picture is decoded from base64. To be released in any case. Fails with
 * ADL_ERR_ARG or ADL_ERR_LIMIT and a message for the client. */
int adl_inference_request_read(struct adl_inference_request *request, char *body, size_t length,
                               size_t json_length, const struct adl_model *model, bool explain,
                               struct adl_error *err) ADL_MUST_CHECK;
void adl_inference_request_release(struct adl_inference_request *request);

/* Writes image `index` of "input" as height x width x 3 floats, the size of the network's input,
 * for which the request was read. Fails with ADL_ERR_ARG if a number is not finite, and as
 * adl_number_text_read() does. */
int adl_inference_request_tensor(const struct adl_inference_request *request, size_t index,
                                 size_t height, size_t width, const struct adl_pause *pause,
                                 float *nhwc, struct adl_error *err) ADL_MUST_CHECK;

#endif
