#ifndef ADL_SERVER_COMMANDS_TENSORS_IN_H
#define ADL_SERVER_COMMANDS_TENSORS_IN_H

/* Reads the "input" tensor of `forward` and `step`: normalised images in PyTorch's NCHW
 * layout. */

#include "graph/graph.h"
#include "io/safetensors.h"

struct adl_input_tensor {
    struct adl_tensors *set; /* the whole file */
    size_t images;
    struct adl_shape shape; /* of one image */
    const float *nchw;      /* images x 3 x H x W; in `set` or `converted` */
    float *converted;       /* a float32 copy if the file has another type, or NULL; owned */
};

/* Reads the file and checks that "input" is [N,3,H,W], not empty and within the
 * limits; fails with ADL_ERR_FORMAT or ADL_ERR_LIMIT if not, and as adl_safetensors_read() does.
 * `input` has to be zeroed before, and released in any case. */
int adl_input_tensor_read(struct adl_input_tensor *input, const char *path,
                          struct adl_error *err) ADL_MUST_CHECK;
void adl_input_tensor_release(struct adl_input_tensor *input);

/* Transposes images first..first+count-1 to NHWC, one after the other. */
void adl_input_tensor_to_nhwc(const struct adl_input_tensor *input, size_t first, size_t count,
                              float *nhwc);

#endif
