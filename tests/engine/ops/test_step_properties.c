/* ops/ and train/tape: properties of a training step: gradients add up, a smaller batch gives
 * the same as on a tape of its own size, dropout keeps the mean, and running statistics follow
 * those of the batches. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/step_graphs.h"
#include "support/train_step.h"

#define X TRAIN_STEP_INPUT

/* More than any output here has. */
#define MAX_OUTPUT ((size_t)150000)

static const struct adl_train_mode plain_mode = {.bn_momentum = 0.1};

static float *noise(const char *name, size_t count)
{
    float *values = adl_malloc(count, sizeof *values);
    formula_param(name, 0, 2, count, values);
    return values;
}

/* Two backward passes without zeroing between them give twice the gradient: several
 * batches may make one step. */
static void gradients_add_up(void)
{
    struct train_step step;
    struct adl_graph *g = train_step_begin(5, 4, 3);
    if (train_step_open(&step, g, step_read_by_all(g), 2, 1) < 0)
        return;
    float *input = noise("input", train_step_count(&step, 0)), *once[64];
    float *cotangent = noise("cotangent", MAX_OUTPUT);
    train_step_run(&step, input, cotangent, &plain_mode);
    for (int i = 0; i < adl_graph_param_count(g); i++) {
        size_t count = adl_graph_param(g, i)->count;
        once[i] = adl_malloc(count, sizeof *once[i]);
        memcpy(once[i], step.grads[i], count * sizeof *once[i]);
    }
    memcpy(adl_tape_logits_grad(step.tape), cotangent,
           train_step_count(&step, train_step_output(&step)) * sizeof *cotangent);
    adl_tape_backward(step.tape, step.params, &plain_mode, step.grads);
    for (int i = 0; i < adl_graph_param_count(g); i++) {
        size_t wrong = 0;
        for (size_t j = 0; j < adl_graph_param(g, i)->count; j++)
            wrong += step.grads[i][j] != 2 * once[i][j];
        CU_ASSERT_EQUAL(wrong, 0);
        adl_free(once[i]);
    }
    adl_free(input);
    adl_free(cotangent);
    train_step_close(&step);
}

/* The last batch of an epoch is smaller; it gives the same as on a tape of its own size. */
static void smaller_batches(void)
{
    for (int batch = 1; batch <= 4; batch++) {
        struct train_step full, small;
        struct adl_graph *a = train_step_begin(5, 4, 3), *b = train_step_begin(5, 4, 3);
        if (train_step_open(&full, a, step_residual(a), 4, 2) < 0 ||
            train_step_open(&small, b, step_residual(b), batch, 1) < 0)
            return;
        float *input = noise("input", train_step_count(&full, 0));
        float *cotangent = noise("cotangent", MAX_OUTPUT);
        /* The remains of an earlier, larger batch must have no effect. */
        train_step_run(&full, cotangent, cotangent, &plain_mode);
        for (int i = 0; i < adl_graph_param_count(a); i++)
            memcpy(full.params[i], small.params[i], adl_graph_param(a, i)->count * sizeof(float));
        full.batch = batch;
        train_step_run(&full, input, cotangent, &plain_mode);
        train_step_run(&small, input, cotangent, &plain_mode);
        CU_ASSERT(train_step_bits(&full) == train_step_bits(&small));
        adl_free(input);
        adl_free(cotangent);
        train_step_close(&full);
        train_step_close(&small);
    }
}

/* Values that are kept are scaled up so that the mean stays, the gradient passes where
 * they were kept, and another key draws another mask. */
static void dropout_keeps_the_mean(void)
{
    enum { COUNT = 40 * 50 * 10 };
    for (int threads = 1; threads <= 3; threads += 2) {
        struct train_step step;
        struct adl_train_mode mode = {.dropout = true};
        struct adl_graph *g = train_step_begin(40, 50, 10);
        if (train_step_open(&step, g, adl_dropout(g, X, "dropout", 0.25), 1, threads) < 0)
            return;
        float *input = noise("input", COUNT), *cotangent = noise("cotangent", COUNT);
        static float first[COUNT];
        double kept = 0, wrong = 0, changed = 0;
        for (mode.key = 0; mode.key < 2; mode.key++) {
            train_step_run(&step, input, cotangent, &mode);
            const float *y = train_step_result(&step), *dx = train_step_grad_input(&step);
            for (size_t i = 0; i < COUNT; i++) {
                float factor = y[i] == 0 ? 0 : (float)(1 / 0.75);
                kept += y[i] != 0;
                wrong += y[i] != input[i] * factor || dx[i] != cotangent[i] * factor;
                if (mode.key)
                    changed += (y[i] == 0) != (first[i] == 0);
                else if (threads == 1)
                    first[i] = y[i];
                else
                    wrong += first[i] != y[i];
            }
        }
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_DOUBLE_EQUAL(kept / (2 * COUNT), 0.75, 5 * sqrt(0.25 * 0.75 / (2 * COUNT)));
        CU_ASSERT_DOUBLE_EQUAL(changed / COUNT, 2 * 0.25 * 0.75, 0.02);
        adl_free(input);
        adl_free(cotangent);
        train_step_close(&step);
    }
}

/* Frozen statistics stay as they are; others move towards the batch's by the momentum. */
static void running_statistics_follow(void)
{
    struct train_step step;
    struct adl_graph *g = train_step_begin(1, 2, 1);
    if (train_step_open(&step, g, adl_batchnorm(g, X, "bn", 1e-3), 2, 1) < 0)
        return;
    static const float input[4] = {1, 2, 3, 6}, cotangent[4] = {1, 0, 0, 0};
    float *mean = step.params[2], *var = step.params[3];
    double mean0 = (double)mean[0], var0 = (double)var[0];
    struct adl_train_mode mode = {.frozen_batchnorm = true, .bn_momentum = 0.25};
    train_step_run(&step, input, cotangent, &mode);
    CU_ASSERT((double)mean[0] == mean0 && (double)var[0] == var0);
    mode.frozen_batchnorm = false;
    train_step_run(&step, input, cotangent, &mode);
    /* The mean is 3, the variance (4 + 1 + 0 + 9) / (n - 1). */
    CU_ASSERT_DOUBLE_EQUAL((double)mean[0], 0.75 * mean0 + 0.25 * 3, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL((double)var[0], 0.75 * var0 + 0.25 * 14 / 3, 1e-6);
    train_step_close(&step);
}

TEST_SUITE(step_properties, {"gradients of several batches add up", gradients_add_up},
           {"a batch smaller than the tape's", smaller_batches},
           {"dropout keeps the mean", dropout_keeps_the_mean},
           {"running statistics follow the batch", running_statistics_follow});
