/* Reads the "input" tensor of a safetensors file. */

#include "server/commands/tensors_in.h"

#include "base/mem.h"

int adl_input_tensor_read(struct adl_input_tensor *in, const char *path, struct adl_error *err)
{
    char shape[100];

    in->set = adl_safetensors_read(path, err);
    if (!in->set)
        return -1;
    const struct adl_tensor *input = adl_tensors_find(in->set, "input");
    if (!input)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: has no tensor \"input\"", path);
    if (input->rank != 4 || input->shape[1] != 3)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"input\" is %s, not [N, 3, H, W]", path,
                        adl_tensor_shape_text(input, shape, sizeof shape));
    if (input->shape[0] < 1 || input->shape[2] < 1 || input->shape[3] < 1)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"input\" is empty: %s", path,
                        adl_tensor_shape_text(input, shape, sizeof shape));
    if (input->shape[0] > ADL_LIMIT_BATCH || input->shape[2] > ADL_LIMIT_INPUT_SIDE ||
        input->shape[3] > ADL_LIMIT_INPUT_SIDE)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: \"input\" is %s; the limit is %d images of %dx%d",
                        path, adl_tensor_shape_text(input, shape, sizeof shape), ADL_LIMIT_BATCH,
                        ADL_LIMIT_INPUT_SIDE, ADL_LIMIT_INPUT_SIDE);
    in->images = input->shape[0];
    in->shape = (struct adl_shape){(int)input->shape[2], (int)input->shape[3], 3};
    in->nchw = input->data;
    if (input->dtype != ADL_F32) {
        in->converted = adl_malloc(input->count, sizeof(float));
        if (!in->converted)
            return adl_fail_nomem(err, "input");
        adl_tensor_to_f32(input, in->converted);
        in->nchw = in->converted;
    }
    return 0;
}

void adl_input_tensor_release(struct adl_input_tensor *in)
{
    adl_free(in->converted);
    adl_tensors_free(in->set);
}

void adl_input_tensor_to_nhwc(const struct adl_input_tensor *in, size_t first, size_t count,
                              float *nhwc)
{
    size_t pixels = (size_t)in->shape.h * (size_t)in->shape.w, channels = (size_t)in->shape.c;
    for (size_t n = first; n < first + count; n++) {
        const float *nchw = in->nchw + n * pixels * channels;
        for (size_t p = 0; p < pixels; p++)
            for (size_t c = 0; c < channels; c++)
                *nhwc++ = nchw[c * pixels + p];
    }
}
