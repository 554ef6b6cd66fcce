#ifndef ADL_IO_SAFETENSORS_H
#define ADL_IO_SAFETENSORS_H

/* Model files in the safetensors format (https://github.com/huggingface/safetensors). */

#include "io/tensor.h"

/* Return the tensors of a file, in the order of its header, and its metadata; the caller owns
 * them. The whole header, whose length is limited, is checked against the rules of the
 * specification before any tensor is allocated. Fail with ADL_ERR_FORMAT, ADL_ERR_UNSUPPORTED or
 * ADL_ERR_LIMIT (an error of one tensor names it), and with ADL_ERR_IO or ADL_ERR_NOMEM.
 * adl_safetensors_parse reads from memory. adl_safetensors_read takes a path ("-" is stdin), which
 * its messages contain, and also fails with ADL_ERR_NOT_FOUND; it reads each tensor of a regular
 * file directly into the tensor's memory, so that no second copy of the weights exists. */
struct adl_tensors *adl_safetensors_parse(const void *bytes, size_t length,
                                          struct adl_error *err) ADL_MUST_CHECK;
struct adl_tensors *adl_safetensors_read(const char *path, struct adl_error *err) ADL_MUST_CHECK;

/* Writes a file in one step (io/file.h). Fails with ADL_ERR_FORMAT if a name or metadata is
 * not UTF-8 or a tensor is named __metadata__, with ADL_ERR_LIMIT or ADL_ERR_NOMEM, and as
 * adl_file_write does. */
int adl_safetensors_write(const char *path, const struct adl_tensors *tensors,
                          struct adl_error *err) ADL_MUST_CHECK;
/* Sets *bytes to the length of the file that adl_safetensors_write() would write. Fails as it does
 * before it writes. */
int adl_safetensors_length(const struct adl_tensors *tensors, size_t *bytes,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
