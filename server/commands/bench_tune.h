#ifndef ADL_SERVER_COMMANDS_BENCH_TUNE_H
#define ADL_SERVER_COMMANDS_BENCH_TUNE_H

/* Implements `bench --tune`: measures every algorithm for every convolution of a network on this
 * machine, and says where another one than the one that is used is the fastest: where the cost
 * model (kernels/conv_cost.h) errs, or where the packed weights of the fastest would take too much
 * memory. It changes nothing: the choice depends on the instruction set alone, so that results have
 * the same bits on every machine that has it. */

#include <jansson.h>

#include "kernels/conv.h"
#include "models/model.h"
#include "plan/session.h"

#define ADL_BENCH_TUNE_PLANS (ADL_CONV_ALGORITHM_COUNT + 1)

struct adl_bench_tune {
    /* Plans: the one that is used; then, without a limit on packed weights, those of the first,
     * second, ... choice of the cost model. */
    int count;
    struct adl_plan *plans[ADL_BENCH_TUNE_PLANS];
    double *ms[ADL_BENCH_TUNE_PLANS]; /* milliseconds per image, by step: the smallest */
    struct adl_model *models[ADL_BENCH_TUNE_PLANS];
};

/* What is measured. */
struct adl_bench_tune_options {
    /* Opens the network, once for each plan: a plan consumes the weights. */
    struct adl_model *(*open)(const void *context, struct adl_error *err);
    const void *context;
    struct adl_shape input; /* of one image */
    int batch;
    struct adl_pool *pool;
    double seconds; /* for all measurements together, as far as several rounds allow */
};

/* Measures all plans in turns and keeps the smallest time of each step, because whatever disturbs a
 * measurement makes it longer. `tune` has to be zeroed before, and released in any case. Fails with
 * ADL_ERR_NOMEM and as `open` does. */
int adl_bench_tune_measure(struct adl_bench_tune *tune,
                           const struct adl_bench_tune_options *options,
                           struct adl_error *err) ADL_MUST_CHECK;
void adl_bench_tune_release(struct adl_bench_tune *tune);

/* Return the result as JSON, and print it as a table. */
json_t *adl_bench_tune_json(const struct adl_bench_tune *tune);
void adl_bench_tune_print(const struct adl_bench_tune *tune);

#endif
