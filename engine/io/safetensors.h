#ifndef ADL_IO_SAFETENSORS_H
#define ADL_IO_SAFETENSORS_H

/* The safetensors format: 8 bytes of header length, a JSON header, the data.
 * https://github.com/huggingface/safetensors */

#include "io/tensor.h"

/* Every rule of the specification is checked before anything is allocated in
 * proportion to a number from the file; what is off is refused with FORMAT (or
 * LIMIT) and the tensor's name. The caller owns the result. */
struct adl_tensors *adl_safetensors_parse(const void *bytes, size_t length,
                                          struct adl_error *err) ADL_MUST_CHECK;
struct adl_tensors *adl_safetensors_read(const char *path, struct adl_error *err) ADL_MUST_CHECK;

/* Writes atomically (io/file.h); data begins at a multiple of 8 bytes. */
int adl_safetensors_write(const char *path, const struct adl_tensors *tensors,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
