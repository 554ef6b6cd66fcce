/* Sums and copies along the tree of train/exchange.h.
 *
 * Level d = 1, 2, 4, ... joins rank r, a multiple of 2d, with rank r + d if there is one. */

#include "train/exchange.h"

#include "base/size.h"

#define ADD_FLOATS ((size_t)65536) /* elements of a task: 256 KiB */

struct addition {
    float *to;
    const float *from;
    size_t count;
};

static void exchange_add_piece(void *context, size_t i, int worker)
{
    (void)worker;
    const struct addition *a = context;
    size_t last = ADL_MIN((i + 1) * ADD_FLOATS, a->count);
    for (size_t j = i * ADD_FLOATS; j < last; j++)
        a->to[j] += a->from[j];
}

void adl_exchange_add(float *to, const float *from, size_t count, struct adl_pool *pool)
{
    struct addition addition = {to, from, count};
    adl_pool_for(pool, adl_ceil_div(count, ADD_FLOATS), exchange_add_piece, &addition);
}

int adl_exchange_level(const struct adl_exchange *exchange)
{
    int level = 1;
    while (level < exchange->ranks && exchange->rank % (2 * level) == 0)
        level *= 2;
    return level;
}

int adl_exchange_sum_doubles(const struct adl_exchange *exchange, double *values, size_t count,
                             double *bucket, struct adl_error *err)
{
    if (!exchange)
        return 0;
    int last = adl_exchange_level(exchange), rank = exchange->rank;
    for (int level = 1; level < last; level *= 2) {
        if (rank + level >= exchange->ranks)
            continue;
        if (exchange->receive(exchange->context, rank + level, bucket, count * sizeof *bucket,
                              err) < 0)
            return -1;
        for (size_t i = 0; i < count; i++)
            values[i] += bucket[i];
    }
    return rank == 0 ? 0
                     : exchange->send(exchange->context, rank - last, values,
                                      count * sizeof *values, err);
}

/* Copies at most one message. */
static int copy_piece(const struct adl_exchange *exchange, char *bytes, size_t count,
                      struct adl_error *err)
{
    int last = adl_exchange_level(exchange), rank = exchange->rank;
    if (rank > 0 && exchange->receive(exchange->context, rank - last, bytes, count, err) < 0)
        return -1;
    for (int level = last / 2; level >= 1; level /= 2)
        if (rank + level < exchange->ranks &&
            exchange->send(exchange->context, rank + level, bytes, count, err) < 0)
            return -1;
    return 0;
}

int adl_exchange_copy(const struct adl_exchange *exchange, void *bytes, size_t count,
                      struct adl_error *err)
{
    for (size_t first = 0; exchange && first < count; first += ADL_EXCHANGE_BYTES)
        if (copy_piece(exchange, (char *)bytes + first, ADL_MIN(ADL_EXCHANGE_BYTES, count - first),
                       err) < 0)
            return -1;
    return 0;
}
