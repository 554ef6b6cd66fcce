/* train/courier: every rank gets the sums of the tree, to the last bit, of parcels of all kinds
 * that are under way together, whatever arrives first. The expected sums are made by recursion over
 * the ranks, which are threads. */

#include "support/test.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/bf16.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "kernels/dispatch.h"
#include "support/thread_ranks.h"
#include "train/courier.h"

/* Some parcels are longer than what is added at a time, 65536 numbers, and one is empty. */
static const struct {
    enum adl_parcel_kind kind;
    size_t count;
    int arrays; /* of each rank */
} parcels[] = {{ADL_PARCEL_FLOATS, 70001, 1}, {ADL_PARCEL_NARROW, 131, 3},
               {ADL_PARCEL_FLOATS, 1, 4},     {ADL_PARCEL_NARROW, 140003, 1},
               {ADL_PARCEL_FLOATS, 0, 1},     {ADL_PARCEL_NARROW, 1, 2},
               {ADL_PARCEL_DOUBLES, 5, 1},    {ADL_PARCEL_FLOATS, 4099, 2}};
enum { PARCELS = ADL_COUNT(parcels), MOST = 140003, BATCHES = 2 };

/* --- what is expected ----------------------------------------------------------------------- */

/* Number j of an array of a parcel on a rank. */
static double drawn(int rank, int parcel, int array, size_t j)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, (uint64_t)(rank * 8 + array), (uint64_t)parcel, j);
    double number = adl_rng_uniform(&rng) - 0.5;
    return parcels[parcel].kind == ADL_PARCEL_DOUBLES ? number : (double)(float)number;
}

static double join(enum adl_parcel_kind kind, double a, double b)
{
    if (kind == ADL_PARCEL_DOUBLES)
        return a + b;
    float x = (float)a, y = (float)b;
    if (kind == ADL_PARCEL_NARROW) {
        x = adl_bf16_to_float(adl_bf16_from_float(x));
        y = adl_bf16_to_float(adl_bf16_from_float(y));
    }
    return (double)(x + y);
}

/* The sum of ranks first to last - 1, which are joined as a tree whose left side is a power of two;
 * for one rank, of its arrays, from the last one on. */
static double sum_of(int first, int last, int parcel, size_t j)
{
    enum adl_parcel_kind kind = parcels[parcel].kind;
    int half = 1;
    if (last - first == 1) {
        double sum = drawn(first, parcel, parcels[parcel].arrays - 1, j);
        for (int a = parcels[parcel].arrays - 2; a >= 0; a--)
            sum = join(kind, drawn(first, parcel, a, j), sum);
        return sum;
    }
    while (2 * half < last - first)
        half *= 2;
    return join(kind, sum_of(first, first + half, parcel, j),
                sum_of(first + half, last, parcel, j));
}

static double expected(int ranks, int parcel, size_t j)
{
    double sum = sum_of(0, ranks, parcel, j);
    return parcels[parcel].kind == ADL_PARCEL_NARROW
               ? (double)adl_bf16_to_float(adl_bf16_from_float((float)sum))
               : sum;
}

/* --- ranks ---------------------------------------------------------------------------------- */

struct rank {
    int number, ranks;
    bool threads; /* the courier may have one */
    void *arrays[PARCELS][4];
    struct adl_courier_stats stats;
};

static double number_at(const void *array, int parcel, size_t j)
{
    return parcels[parcel].kind == ADL_PARCEL_DOUBLES ? ((const double *)array)[j]
                                                      : (double)((const float *)array)[j];
}

static void fill(struct rank *rank, int parcel, int array)
{
    void *to = rank->arrays[parcel][array];
    for (size_t j = 0; j < parcels[parcel].count; j++)
        if (parcels[parcel].kind == ADL_PARCEL_DOUBLES)
            ((double *)to)[j] = drawn(rank->number, parcel, array, j);
        else
            ((float *)to)[j] = (float)drawn(rank->number, parcel, array, j);
}

static void hand_over(struct rank *rank, struct adl_courier *courier,
                      const struct adl_bf16_kernels *kernels)
{
    adl_courier_begin(courier);
    for (int p = 0; p < PARCELS; p++) {
        struct adl_parcel parcel = {.kind = parcels[p].kind,
                                    .kernels = kernels,
                                    .count = parcels[p].count,
                                    .array_count = parcels[p].arrays};
        for (int a = 0; a < parcels[p].arrays; a++) {
            fill(rank, p, a);
            parcel.arrays[a] = rank->arrays[p][a];
        }
        adl_courier_add(courier, &parcel);
    }
}

static void *rank_main(void *argument)
{
    struct rank *rank = argument;
    struct adl_error err = {0};
    struct adl_exchange exchange = thread_exchange(&rank->number, rank->ranks);
    enum adl_isa isa;
    TEST_OK(adl_isa_choose(ADL_ISA_AUTO, &isa, &err), &err);
    exchange.threads = rank->threads;
    for (int p = 0; p < PARCELS; p++)
        for (int a = 0; a < parcels[p].arrays; a++)
            rank->arrays[p][a] = adl_malloc(parcels[p].count, sizeof(double));
    struct adl_courier *courier =
        adl_courier_create(&exchange, PARCELS, MOST * sizeof(float), &err);
    CU_ASSERT_FATAL(courier != NULL);
    for (int batch = 0; batch < BATCHES; batch++) {
        hand_over(rank, courier, adl_kernels_for(isa)->bf16);
        TEST_OK(adl_courier_wait(courier, &err), &err);
    }
    rank->stats = adl_courier_stats(courier);
    adl_courier_free(courier);
    return NULL;
}

static void check_rank(struct rank *rank, const struct rank *first)
{
    for (int p = 0; p < PARCELS; p++) {
        size_t step = parcels[p].count > 5000 ? 997 : 1, wrong = 0;
        for (size_t j = 0; j < parcels[p].count; j += step)
            wrong += number_at(rank->arrays[p][0], p, j) != expected(rank->ranks, p, j);
        CU_ASSERT_EQUAL(wrong, 0);
        size_t bytes = parcels[p].kind == ADL_PARCEL_DOUBLES ? sizeof(double) : sizeof(float);
        CU_ASSERT(memcmp(rank->arrays[p][0], first->arrays[p][0], parcels[p].count * bytes) == 0);
    }
}

static void run(int count, bool threads)
{
    struct rank ranks[THREAD_RANKS];
    pthread_t handles[THREAD_RANKS];
    uint64_t sent = 0, received = 0;
    thread_ranks_begin();
    thread_ranks_delay();
    for (int r = 0; r < count; r++) {
        ranks[r] = (struct rank){.number = r, .ranks = count, .threads = threads};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&handles[r], NULL, rank_main, &ranks[r]), 0);
    }
    for (int r = 0; r < count; r++)
        pthread_join(handles[r], NULL);
    for (int r = 0; r < count; r++) {
        check_rank(&ranks[r], &ranks[0]);
        sent += ranks[r].stats.sent_bytes;
        received += ranks[r].stats.received_bytes;
        CU_ASSERT(ranks[r].stats.busy_s > 0 && ranks[r].stats.hidden_s <= ranks[r].stats.busy_s);
    }
    /* Each rank but the first sends what it has up and gets the sum. */
    uint64_t bytes = 0;
    for (int p = 0; p < PARCELS; p++)
        bytes += parcels[p].count * (parcels[p].kind == ADL_PARCEL_NARROW    ? 2
                                     : parcels[p].kind == ADL_PARCEL_DOUBLES ? 8
                                                                             : 4);
    CU_ASSERT_EQUAL(sent, bytes * 2 * (uint64_t)(count - 1) * BATCHES);
    CU_ASSERT_EQUAL(received, sent);
    for (int r = count - 1; r >= 0; r--)
        for (int p = 0; p < PARCELS; p++)
            for (int a = 0; a < parcels[p].arrays; a++)
                adl_free(ranks[r].arrays[p][a]);
}

static void test_sums(void)
{
    for (int count = 2; count <= THREAD_RANKS; count++)
        run(count, true);
}

static void test_without_thread(void)
{
    run(2, false);
    run(5, false);
}

/* --- failures ------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
}

/* One rank waits for another one that never comes. */
static struct adl_courier *start_alone(struct adl_exchange *exchange, int *number, float *values)
{
    struct adl_error err = {0};
    thread_ranks_begin();
    *exchange = thread_exchange(number, 2);
    struct adl_courier *courier = adl_courier_create(exchange, 1, 4 * sizeof(float), &err);
    CU_ASSERT_FATAL(courier != NULL);
    adl_courier_begin(courier);
    adl_courier_add(
        courier, &(struct adl_parcel){
                     .kind = ADL_PARCEL_FLOATS, .count = 4, .arrays = {values}, .array_count = 1});
    pause_ms(5); /* so that the message is under way */
    return courier;
}

static void test_failure(void)
{
    struct adl_exchange exchange;
    struct adl_error err = {0};
    float values[4] = {0};
    int number = 1;
    struct adl_courier *courier = start_alone(&exchange, &number, values);
    thread_ranks_break();
    CU_ASSERT(adl_courier_wait(courier, &err) < 0);
    CU_ASSERT(err.kind == ADL_ERR_IO && !strcmp(err.message, "broken"));
    adl_courier_free(courier);
}

static void test_giving_up(void)
{
    struct adl_exchange exchange;
    float values[4] = {0};
    int number = 0;
    adl_courier_free(start_alone(&exchange, &number, values));
}

static void test_no_memory(void)
{
    struct adl_error err = {0};
    struct adl_courier *courier = NULL;
    int number = 0;
    thread_ranks_begin();
    struct adl_exchange exchange = thread_exchange(&number, 2);
    for (uint64_t nth = 1; !courier; nth++) {
        adl_mem_fail_nth(nth);
        courier = adl_courier_create(&exchange, 4, 64, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(courier || err.kind == ADL_ERR_NOMEM);
        adl_error_clear(&err);
    }
    adl_courier_free(courier);
}

TEST_SUITE(courier, {"the sums of the tree", test_sums}, {"without a thread", test_without_thread},
           {"a failure is passed on", test_failure},
           {"what is under way is given up", test_giving_up}, {"no memory", test_no_memory});
