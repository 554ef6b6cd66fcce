#ifndef ADL_MODELS_ONNX_IN_ONNX_FILES_H
#define ADL_MODELS_ONNX_IN_ONNX_FILES_H

/* The files beside an ONNX file that have data of its tensors ("external data"). An ONNX file names
 * them, so what it may name is narrow: a regular file in its own directory, by its bare name. */

#include <stddef.h>

#include "base/error.h"

struct adl_onnx_file;
struct adl_onnx_files {
    const char *path;            /* of the ONNX file; NULL: only its bytes are known */
    struct adl_onnx_file *first; /* those that were read */
    size_t count, bytes;
};

/* Finds the whole content of the file of this name, which lives until the release. Fails with
 * ADL_ERR_UNSUPPORTED if the name is none of a file beside the ONNX file, or only bytes are known,
 * with ADL_ERR_LIMIT above ADL_LIMIT_ONNX_FILES files or ADL_LIMIT_PROTOBUF_BYTES bytes of all of
 * them, and as adl_file_read() does. */
int adl_onnx_files_find(struct adl_onnx_files *files, const char *name, const unsigned char **bytes,
                        size_t *length, struct adl_error *err) ADL_MUST_CHECK;
void adl_onnx_files_release(struct adl_onnx_files *files);

#endif
