#ifndef ADL_TRAIN_EXCHANGE_H
#define ADL_TRAIN_EXCHANGE_H

/* How the processes ("ranks") of one training run exchange numbers: along a fixed binary tree, so
 * that sums have the same bits whoever computes them.
 *
 * At each level the ranks that are left are joined in pairs, 0 + 1, 2 + 3, ...; one without a
 * partner goes up as it is. The left one receives what the right one has and adds it to its own,
 * so that rank 0 ends with the sum; from there it goes back down the same tree as plain copies.
 * What carries the messages, for instance MPI, does no arithmetic. */

#include <stddef.h>

#include "base/error.h"
#include "base/pool.h"

/* Carries messages. One thread of each rank uses it. */
struct adl_exchange {
    int rank, ranks; /* 0 <= rank < ranks */
    /* Both return when the bytes have left, or have arrived; messages between two ranks keep their
     * order. Fail with ADL_ERR_IO. */
    int (*send)(void *context, int to, const void *bytes, size_t count, struct adl_error *err);
    int (*receive)(void *context, int from, void *bytes, size_t count, struct adl_error *err);
    void *context;
};

/* Floats of a message, 16 MiB, and so of `bucket` below. */
#define ADL_EXCHANGE_FLOATS ((size_t)4 << 20)

/* Adds to[i] += from[i] on the threads of the pool (may be NULL). */
void adl_exchange_add(float *to, const float *from, size_t count, struct adl_pool *pool);

/* Gives rank 0 the sums of `values` over the ranks, in place; on other ranks they are lost.
 * `bucket` is scratch memory of min(count, ADL_EXCHANGE_FLOATS) floats. `exchange` may be NULL, for
 * one rank. */
int adl_exchange_sum(const struct adl_exchange *exchange, float *values, size_t count,
                     float *bucket, struct adl_pool *pool, struct adl_error *err) ADL_MUST_CHECK;
/* The same of doubles, in one message; `bucket` is `count` of them. */
int adl_exchange_sum_doubles(const struct adl_exchange *exchange, double *values, size_t count,
                             double *bucket, struct adl_error *err) ADL_MUST_CHECK;
/* Gives all ranks the bytes of rank 0. */
int adl_exchange_copy(const struct adl_exchange *exchange, void *bytes, size_t count,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
