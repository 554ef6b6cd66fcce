#ifndef ADL_IO_NPY_H
#define ADL_IO_NPY_H

/* NumPy's .npy, as far as score maps need it: two dimensions of float32 or
 * float64, versions 1.0 and 2.0 of the format (numpy.lib.format). Read in either
 * order of bytes and of elements, written little-endian and row by row. */

#include <stddef.h>

#include "base/error.h"

enum adl_npy_type { ADL_NPY_F32, ADL_NPY_F64 };

struct adl_npy {
    enum adl_npy_type type; /* in the file */
    size_t rows, columns;
    double *data; /* rows x columns, row by row; owned */
};

/* A zeroed struct holds nothing. */
void adl_npy_release(struct adl_npy *npy);

/* `npy` is written as a whole; on failure it is zeroed. Fails with FORMAT,
 * UNSUPPORTED (another type or number of dimensions) or LIMIT (a side
 * beyond ADL_LIMIT_INPUT_SIDE). Bytes after the array are an error. */
int adl_npy_parse(const void *bytes, size_t length, struct adl_npy *npy,
                  struct adl_error *err) ADL_MUST_CHECK;
/* The same from a file, whose path is in every error. */
int adl_npy_read(const char *path, struct adl_npy *npy, struct adl_error *err) ADL_MUST_CHECK;

/* Replaces the file in one step; version 1.0. F32 rounds to nearest. */
int adl_npy_write(const char *path, enum adl_npy_type type, const double *data, size_t rows,
                  size_t columns, struct adl_error *err) ADL_MUST_CHECK;

#endif
