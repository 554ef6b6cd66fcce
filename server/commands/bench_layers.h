#ifndef ADL_SERVER_COMMANDS_BENCH_LAYERS_H
#define ADL_SERVER_COMMANDS_BENCH_LAYERS_H

/* Implements `bench --layers`: measures the time of each step of a plan and, for a convolution
 * that another algorithm could compute, the time with the next best algorithm. The result shows
 * whether the plan's cost model chooses well on this machine. */

#include <jansson.h>

#include "plan/session.h"

struct adl_bench_layers {
    const struct adl_plan *plan;
    const struct adl_plan *other; /* the same network with the next best algorithms */
    double *ms;                   /* milliseconds per image, by step */
    double *other_ms;             /* of `other`, which has the same steps */
};

/* Fills `layers` with medians over several runs of a batch, alternating between
 * the two plans. The inputs of `session` have to be filled; they are copied to `other`.
 * `layers` has to be zeroed before, and released in any case; the plans have to outlive it. */
int adl_bench_layers_measure(struct adl_bench_layers *layers, struct adl_session *session,
                             struct adl_session *other, int batch,
                             struct adl_error *err) ADL_MUST_CHECK;
void adl_bench_layers_release(struct adl_bench_layers *layers);

/* Return the result as JSON, and print it as a table. */
json_t *adl_bench_layers_json(const struct adl_bench_layers *layers);
void adl_bench_layers_print(const struct adl_bench_layers *layers);

#endif
