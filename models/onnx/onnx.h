#ifndef ADL_MODELS_ONNX_ONNX_H
#define ADL_MODELS_ONNX_ONNX_H

/* A model as an ONNX file, for other runtimes. Written only, never read. */

#include "models/model.h"

/* Writes the network at the model's input size, for any number of images:
 *
 *   input     float [N, 3, H, W]  RGB, normalised as the metadata says
 *   logits    float [N, C]
 *   features  float [N, K, h, w]  the last map before pooling
 *   maps      float [N, C, h, w]  the class activation map of every class, as
 *                                 `forward` gives it: not averaged, not normalised
 *
 * Parameters keep their names and PyTorch layouts, values the graph's names; the
 * metadata entry `adl` is the model file's. Layers that only train (ADL, dropout)
 * are left out. Fails with UNSUPPORTED, and the op's name, when the graph holds
 * what this writer has no ONNX for. */
int adl_onnx_write(const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
