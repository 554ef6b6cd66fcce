#ifndef ADL_MODELS_ONNX_IN_ONNX_IN_H
#define ADL_MODELS_ONNX_IN_ONNX_IN_H

/* Reads ONNX files of CNN classifiers: operator sets 9 to 21, in float32, as PyTorch, tf2onnx and
 * Keras write them. What is read becomes a model of the architecture "onnx", whose description has
 * the whole network (models/backbones/stored.h); see docs/decisions/029. */

#include "models/model.h"

struct adl_onnx_in_options {
    int input_h, input_w; /* pixels; 0: those of the file, or 224 where it leaves them open */
    /* The name of a map for networks whose end gives no class maps: it takes the place of the last
     * map, and its LayerCAM that of the class map, once the map rule says so. NULL: such networks
     * are refused. */
    const char *map_layer;
};

/* Returns the tensors of a model file, with its description, from the bytes of an ONNX file, which
 * has all its data itself; the caller frees them. Fails with ADL_ERR_FORMAT if the bytes are
 * damaged, with ADL_ERR_UNSUPPORTED for what is not read (operators are named, all unknown ones at
 * once; where class maps are impossible, the node that is in the way), with ADL_ERR_LIMIT and
 * ADL_ERR_NOMEM. */
struct adl_tensors *adl_onnx_in_parse(const void *bytes, size_t length,
                                      const struct adl_onnx_in_options *options,
                                      struct adl_error *err) ADL_MUST_CHECK;

/* Returns the tensors of an ONNX file ("-" is stdin), as above, with the data that it has in files
 * beside it (of the exporter of PyTorch 2.9 on: NAME.onnx.data). Also fails as adl_file_read(). */
struct adl_tensors *adl_onnx_in_read(const char *path, const struct adl_onnx_in_options *options,
                                     struct adl_error *err) ADL_MUST_CHECK;

/* Returns the model of an ONNX file ("-" is stdin); also fails as adl_file_read() and
 * adl_model_from_tensors() do. */
struct adl_model *adl_onnx_in_load(const char *path, const struct adl_onnx_in_options *options,
                                   struct adl_error *err) ADL_MUST_CHECK;

#endif
