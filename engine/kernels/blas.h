#ifndef ADL_KERNELS_BLAS_H
#define ADL_KERNELS_BLAS_H

/* OpenBLAS behind one function, its only caller, always single-threaded:
 * OpenBLAS's own threading changes the bits of a product. */

#include <stdbool.h>
#include <stddef.h>

/* C = op(A) op(B) + beta C, row-major; op(A) is m x n's m rows of `depth`,
 * op(B) depth rows of n. Leading dimensions are those of the stored matrices.
 * Every number is at most INT_MAX. Thread-safe. */
void adl_sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t depth, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* "OpenBLAS 0.3.21 ... Zen" for --version. Static. */
const char *adl_blas_version(void);
/* "serial", "pthread" or "openmp". */
const char *adl_blas_threading(void);

#endif
