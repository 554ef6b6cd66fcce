#ifndef ADL_KERNELS_BLAS_H
#define ADL_KERNELS_BLAS_H

/* Wraps OpenBLAS; adl_sgemm() is the only function that computes with it. It always runs
 * single-threaded, because the way in which OpenBLAS divides a product among threads
 * changes the order of summation and with it the last bits of the result. No build of
 * OpenBLAS starts a thread in this program. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Loads OpenBLAS if it is not loaded, and makes it map the buffers for `callers` (0 to
 * ADL_LIMIT_THREADS) threads that call adl_sgemm() at the same time. Has to succeed before
 * adl_sgemm() is called, which cannot report a failure. Fails with ADL_ERR_NOMEM, or with
 * ADL_ERR_IO if OpenBLAS cannot be loaded. Thread-safe. */
int adl_blas_reserve(int callers, struct adl_error *err) ADL_MUST_CHECK;

/* Computes C = op(A) op(B) + beta C, row-major, where C is m x n, op(A) m x depth, op(B)
 * depth x n, and op transposes the stored matrix if asked to. lda, ldb and ldc are the
 * floats from row to row of the stored matrices. With beta = 0, C is not read. Every
 * size is at most INT_MAX. Thread-safe. */
void adl_sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t depth, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* Returns the configuration and the core that OpenBLAS chose ("OpenBLAS 0.3.21 ... Zen"), for
 * --version. The string is static, and there is one also if OpenBLAS cannot be loaded. */
const char *adl_blas_version(void);
/* Returns how OpenBLAS was built: "serial", "pthread", "openmp", or "unknown". */
const char *adl_blas_threading(void);

#endif
