/* The only caller of OpenBLAS: matrix products of training, linear layers, and
 * convolutions on machines for which there are no kernels of our own. */

#include "kernels/blas.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char version[160];

static void blas_begin(void)
{
    openblas_set_num_threads(1);
    snprintf(version, sizeof version, "%s, core %s", openblas_get_config(),
             openblas_get_corename());
}

void adl_sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t depth, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    pthread_once(&once, blas_begin);
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)depth,
                1.0f, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

const char *adl_blas_version(void)
{
    pthread_once(&once, blas_begin);
    return version;
}

const char *adl_blas_threading(void)
{
    static const char *const names[] = {"serial", "pthread", "openmp"};
    int parallel = openblas_get_parallel();
    return parallel >= 0 && parallel <= 2 ? names[parallel] : "unknown";
}
