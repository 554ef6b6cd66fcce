#ifndef ADL_SERVER_COMMANDS_TENSORS_IN_H
#define ADL_SERVER_COMMANDS_TENSORS_IN_H

/* The "input" tensor of `forward` and `step`: images as PyTorch has them, NCHW,
 * already normalised. */

#include "graph/graph.h"
#include "io/safetensors.h"

struct adl_input_tensor {
    struct adl_tensors *set; /* the whole file */
    size_t images;
    struct adl_shape shape; /* of one image */
    const float *nchw;
    float *converted; /* where the file has another type; owned */
};

/* Reads the file and checks "input": [N,3,H,W], within the limits. */
int adl_input_tensor_read(struct adl_input_tensor *input, const char *path,
                          struct adl_error *err) ADL_MUST_CHECK;
void adl_input_tensor_release(struct adl_input_tensor *input);

/* Images first..first+count-1 as NHWC, one after the other. */
void adl_input_tensor_to_nhwc(const struct adl_input_tensor *input, size_t first, size_t count,
                              float *nhwc);

#endif
