#ifndef ADL_MODELS_ONNX_ONNX_H
#define ADL_MODELS_ONNX_ONNX_H

/* Writing a model as an ONNX file (onnx.ai), for other runtimes. */

#include "models/model.h"

/* Writes the network at the model's input size, for any number of images:
 *
 *   input     float [N, 3, H, W]  RGB, normalised as the metadata says
 *   logits    float [N, C]
 *   features  float [N, K, h, w]  the last map before pooling
 *   maps      float [N, C, h, w]  the class activation map of every class, as
 *                                 `forward` gives it: not averaged, not normalised
 *
 * Parameters keep their names and PyTorch layouts, values have the graph's names; the
 * metadata entry `adl` is that of the model file. ADL and dropout, which do nothing at test
 * time, are left out. Fails with UNSUPPORTED, and the op's name, at an op without an ONNX
 * operator here, with INTERNAL when the weights were dropped, with NOMEM, LIMIT or IO. */
int adl_onnx_write(const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
