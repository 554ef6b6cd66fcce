#ifndef ADL_SERVER_COMMANDS_BENCH_LAYERS_H
#define ADL_SERVER_COMMANDS_BENCH_LAYERS_H

/* `bench --layers`: the time of each step of a plan, and beside it, where a
 * convolution could be done by another algorithm, the time of the next best. So
 * one sees whether the plan's cost model chose right on this machine. */

#include <jansson.h>

#include "plan/session.h"

struct adl_bench_layers {
    const struct adl_plan *plan;
    const struct adl_plan *other; /* the same network by each convolution's next best algorithm */
    double *ms;                   /* by step, of one image */
    double *other_ms;
};

/* Medians over several runs of a batch, the two plans' in turn; every input is
 * filled by `session`'s first. `layers` is to be released whatever comes back. */
int adl_bench_layers_measure(struct adl_bench_layers *layers, struct adl_session *session,
                             struct adl_session *other, int batch,
                             struct adl_error *err) ADL_MUST_CHECK;
void adl_bench_layers_release(struct adl_bench_layers *layers);

json_t *adl_bench_layers_json(const struct adl_bench_layers *layers);
void adl_bench_layers_print(const struct adl_bench_layers *layers);

#endif
