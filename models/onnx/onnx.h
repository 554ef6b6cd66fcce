#ifndef ADL_MODELS_ONNX_ONNX_H
#define ADL_MODELS_ONNX_ONNX_H

/* Writes a model as an ONNX file (onnx.ai), for other runtimes. */

#include "models/model.h"

/* Writes the network at the model's input size, for any number of images:
 *
 *   input     float [N, 3, H, W]  RGB, normalised as the metadata says
 *   logits    float [N, C]
 *   features  float [N, K, h, w]  the last map before pooling
 *   maps      float [N, C, h, w]  the class activation map of every class, as
 *                                 `forward` gives it: not averaged, not normalised
 *
 * Parameters keep their names and PyTorch layouts, except that the weight of a linear layer is
 * written as a 1x1 kernel; values have the graph's names; the metadata entry `adl` is that of
 * the model file. ADL and dropout, which do nothing at test time, are left out. A model that runs
 * in 8 bits is written so (onnx_int8.h): then the parameters of convolutions on bytes are those
 * with the batch norm folded in, and have the names of the values that they compute. Fails with
 * ADL_ERR_UNSUPPORTED for an op that cannot be written, with ADL_ERR_INTERNAL if the weights
 * were dropped, with ADL_ERR_NOMEM, ADL_ERR_LIMIT or ADL_ERR_IO. */
int adl_onnx_write(const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
