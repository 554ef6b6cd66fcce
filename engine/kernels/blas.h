#ifndef ADL_KERNELS_BLAS_H
#define ADL_KERNELS_BLAS_H

/* OpenBLAS behind one function, which is its only caller. It always runs
 * single-threaded, because the way in which OpenBLAS divides a product among threads
 * changes the order of summation and with it the last bits of the result. No build of it
 * starts a thread here. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Loads OpenBLAS if it is not loaded, and lets it map what `callers` (0 to
 * ADL_LIMIT_THREADS) threads need that call adl_sgemm at the same time. Whoever calls that
 * function calls this one first, since nothing can fail any more in a product. Fails with
 * NOMEM, or with IO where there is no OpenBLAS. Thread-safe. */
int adl_blas_reserve(int callers, struct adl_error *err) ADL_MUST_CHECK;

/* C = op(A) op(B) + beta C, row-major, where C is m x n, op(A) m x depth, op(B)
 * depth x n, and op transposes the stored matrix if asked to. lda, ldb and ldc are the
 * floats from row to row of the stored matrices. With beta = 0, C is not read. Every
 * size is at most INT_MAX. Thread-safe. */
void adl_sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t depth, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* The configuration and the core that OpenBLAS chose ("OpenBLAS 0.3.21 ... Zen"), for
 * --version. A static string, also where OpenBLAS cannot be loaded. */
const char *adl_blas_version(void);
/* How OpenBLAS was built: "serial", "pthread", "openmp", or "unknown". */
const char *adl_blas_threading(void);

#endif
