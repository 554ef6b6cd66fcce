#ifndef ADL_TRAIN_EXCHANGE_H
#define ADL_TRAIN_EXCHANGE_H

/* How the processes ("ranks") of one training run exchange numbers: along a fixed binary tree, so
 * that sums have the same bits whoever computes them.
 *
 * At each level the ranks that are left are joined in pairs, 0 + 1, 2 + 3, ...; one without a
 * partner goes up as it is. The left one receives what the right one has and adds it to its own,
 * so that rank 0 ends with the sum; from there it goes back down the same tree as plain copies.
 * What carries the messages, for instance MPI, does no arithmetic. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/pool.h"

/* A message on its way; what carries it fills it in. */
struct adl_message {
    union {
        void *pointer;
        int number;
    } request;
};

/* Carries messages. One thread of each rank uses it at a time. */
struct adl_exchange {
    int rank, ranks; /* 0 <= rank < ranks */
    bool threads;    /* it may be any thread; else the one that opened it alone */
    /* Both return when the bytes have left, or have arrived; messages between two ranks keep their
     * order. Fail with ADL_ERR_IO. */
    int (*send)(void *context, int to, const void *bytes, size_t count, struct adl_error *err);
    int (*receive)(void *context, int from, void *bytes, size_t count, struct adl_error *err);
    /* The same, but both return at once, and the bytes stay where they are until test(), which has
     * to be called again and again for a message to move on, has returned 1. It returns 0 while the
     * message is on its way. */
    int (*begin_send)(void *context, int to, const void *bytes, size_t count,
                      struct adl_message *message, struct adl_error *err);
    int (*begin_receive)(void *context, int from, void *bytes, size_t count,
                         struct adl_message *message, struct adl_error *err);
    int (*test)(void *context, struct adl_message *message, struct adl_error *err);
    void *context;
};

/* Bytes of a message at most. */
#define ADL_EXCHANGE_BYTES ((size_t)16 << 20)

/* Returns the level 1, 2, 4, ... at which a rank sends what it has to rank - level, or past the
 * last one for rank 0. At each level before, it receives from rank + level, if that is one. */
int adl_exchange_level(const struct adl_exchange *exchange);

/* Adds to[i] += from[i] on the threads of the pool (may be NULL). */
void adl_exchange_add(float *to, const float *from, size_t count, struct adl_pool *pool);

/* Gives rank 0 the sums of `values` over the ranks, in place, in one message; on other ranks they
 * are lost. `bucket` is scratch memory of `count` doubles. `exchange` may be NULL, for one rank.
 * Floats in large numbers are train/courier.h's. */
int adl_exchange_sum_doubles(const struct adl_exchange *exchange, double *values, size_t count,
                             double *bucket, struct adl_error *err) ADL_MUST_CHECK;
/* Gives all ranks the bytes of rank 0. */
int adl_exchange_copy(const struct adl_exchange *exchange, void *bytes, size_t count,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
