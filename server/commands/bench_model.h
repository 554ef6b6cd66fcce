#ifndef ADL_SERVER_COMMANDS_BENCH_MODEL_H
#define ADL_SERVER_COMMANDS_BENCH_MODEL_H

/* Networks with random weights, whose speed `bench` measures. */

#include <stdint.h>

#include "models/model.h"

/* Returns a number in -1..1 from xorshift64*, whose state is not 0. Any generator suffices that
 * gives every run the same numbers. */
float adl_bench_random_unit(uint64_t *state);

/* Returns a network for images of side x side pixels, owned by the caller, with random weights, the
 * same for each call. Fails as adl_model_create() does. */
struct adl_model *adl_bench_model(const struct adl_arch *arch, int side,
                                  struct adl_error *err) ADL_MUST_CHECK;

/* Makes such a network run in 8 bits: gives it ranges and scales, on which its speed does not
 * depend. Fails with ADL_ERR_NOMEM. */
int adl_bench_model_scales(struct adl_model *model, struct adl_error *err) ADL_MUST_CHECK;

#endif
