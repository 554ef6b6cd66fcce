/* Runs plans for tests; see plan_run.h. */

#include "support/plan_run.h"

#include <string.h>

#include "base/mem.h"
#include "support/test.h"

float *test_plan_features(struct adl_plan *plan, int threads, int batch,
                          void (*fill)(float *input, int image), size_t *count)
{
    struct adl_error err = {0};
    struct adl_pool *pool = threads > 1 ? adl_pool_create(threads, &err) : NULL;
    struct adl_session *session = adl_session_create(plan, pool, batch, &err);
    TEST_OK(session ? 0 : -1, &err);
    for (int i = 0; i < batch; i++)
        fill(adl_session_input(session, i), batch - 1 - i);
    adl_session_run(session, batch);
    *count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES));
    float *copy = adl_malloc(*count, sizeof *copy);
    memcpy(copy, adl_session_output(session, ADL_OUTPUT_FEATURES, batch - 1),
           *count * sizeof *copy);
    adl_session_free(session);
    adl_pool_free(pool);
    return copy;
}
