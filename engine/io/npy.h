#ifndef ADL_IO_NPY_H
#define ADL_IO_NPY_H

/* NumPy's .npy files, as far as score maps need them: two-dimensional arrays of float32 or
 * float64, versions 1.0 and 2.0 of the format (numpy.lib.format). They are read in either
 * byte order and in C or Fortran order, and written little-endian in C order. */

#include <stddef.h>

#include "base/error.h"

enum adl_npy_type { ADL_NPY_F32, ADL_NPY_F64 };

struct adl_npy {
    enum adl_npy_type type; /* of the elements in the file */
    size_t rows, columns;
    double *data; /* rows x columns, row by row; owned */
};

/* Frees the data and zeroes the struct. A zeroed struct holds nothing. */
void adl_npy_release(struct adl_npy *npy);

/* Reads an array into *npy, which the caller releases; on failure *npy is zeroed. Fails with
 * ADL_ERR_FORMAT, also for bytes after the array, ADL_ERR_UNSUPPORTED (another type or number
 * of dimensions), ADL_ERR_LIMIT (a side beyond ADL_LIMIT_INPUT_SIDE) or ADL_ERR_NOMEM. */
int adl_npy_parse(const void *bytes, size_t length, struct adl_npy *npy,
                  struct adl_error *err) ADL_MUST_CHECK;
/* Reads and parses a file, with whose path every message begins. */
int adl_npy_read(const char *path, struct adl_npy *npy, struct adl_error *err) ADL_MUST_CHECK;

/* Writes `data`, rows x columns, as version 1.0 of the format, in one step (io/file.h).
 * ADL_NPY_F32 rounds to nearest. */
int adl_npy_write(const char *path, enum adl_npy_type type, const double *data, size_t rows,
                  size_t columns, struct adl_error *err) ADL_MUST_CHECK;

#endif
