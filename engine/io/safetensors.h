#ifndef ADL_IO_SAFETENSORS_H
#define ADL_IO_SAFETENSORS_H

/* The safetensors format: 8 bytes of header length, a JSON header, the data.
 * https://github.com/huggingface/safetensors */

#include "io/tensor.h"

/* Every rule of the specification is checked before anything is allocated in
 * proportion to a number from the file; what is off is refused with FORMAT,
 * UNSUPPORTED or LIMIT and the tensor's name. The caller owns the result.
 * _read takes "-" for stdin, begins its messages with the path, and reads each
 * tensor straight into its place. */
struct adl_tensors *adl_safetensors_parse(const void *bytes, size_t length,
                                          struct adl_error *err) ADL_MUST_CHECK;
struct adl_tensors *adl_safetensors_read(const char *path, struct adl_error *err) ADL_MUST_CHECK;

/* Writes atomically (io/file.h). The header keeps the order of the set, so that
 * reading gives it back; the data begins at a multiple of 8 bytes, sorted by
 * falling element size, so that every tensor is aligned to its elements. */
int adl_safetensors_write(const char *path, const struct adl_tensors *tensors,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
