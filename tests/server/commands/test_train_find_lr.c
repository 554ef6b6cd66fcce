/* `train --find-lr`: the rate that it chooses, what it prints and draws, and what it leaves alone.
 */

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/training/train_find_lr.h"
#include "server/training/train_step.h"
#include "support/command_run.h"
#include "support/program.h"
#include "support/scratch.h"
#include "support/train_fixture.h"
#include "support/well_formed.h"

enum { STEPS = 100 };

/* A loss that is flat, falls along a logistic curve of log10 of the rate with its steepest point at
 * `centre`, and explodes two decades later. */
static bool choose(double centre, double noise, struct adl_train_rates *rates)
{
    static double all[3][STEPS];
    *rates = (struct adl_train_rates){
        .count = STEPS, .rates = all[0], .losses = all[1], .smoothed = all[2]};
    for (int i = 0; i < STEPS; i++) {
        double x = -6 + 7.0 * i / (STEPS - 1);
        rates->rates[i] = pow(10, x);
        rates->losses[i] = rates->smoothed[i] =
            3 - 2 / (1 + exp(-4 * (x - centre))) + exp(5 * (x - centre - 2)) + noise * sin(i * 2.1);
    }
    return adl_train_choose_rate(rates);
}

static void it_chooses_the_steepest_descent(void)
{
    struct adl_train_rates rates;
    for (double centre = -4.5; centre < -1; centre += 0.7) {
        CU_ASSERT(choose(centre, 0, &rates));
        CU_ASSERT_DOUBLE_EQUAL(log10(rates.suggested), centre, 0.1);
        CU_ASSERT(rates.lowest > 5 * rates.suggested);
        CU_ASSERT(choose(centre, 0.05, &rates));
        CU_ASSERT_DOUBLE_EQUAL(log10(rates.suggested), centre, 0.35);
    }
    /* A loss that only grows. */
    choose(-8, 0, &rates);
    for (int i = 0; i < STEPS; i++)
        rates.smoothed[i] = i;
    CU_ASSERT(!adl_train_choose_rate(&rates));
    /* One that varies from batch to batch alone, here at 0.05, and by a quarter when smoothed. */
    for (int i = 0; i < STEPS; i++) {
        rates.losses[i] = 0.69 + 0.05 * sin(i * 2.1);
        rates.smoothed[i] = 0.69 + 0.0125 * sin(i * 0.3);
    }
    CU_ASSERT(!adl_train_choose_rate(&rates));
    rates.count = 2;
    CU_ASSERT(!adl_train_choose_rate(&rates));
}

/* Groups of three batches, of which the last batch of one, all of another and the first of a third
 * could not be read. */
static void a_step_has_the_loss_of_its_group(void)
{
    static const struct {
        size_t group;
        double loss, mean;
    } batches[] = {{0, 4, 4}, {0, 2, 3}, {0, 6, 4}, {1, 100, 100}, {1, 50, 75},
                   {3, 8, 8}, {3, 4, 6}, {4, 1, 1}, {4, 2, 1.5},   {4, 6, 3}};
    struct adl_train_step_mean mean = {0};

    for (size_t i = 0; i < ADL_COUNT(batches); i++)
        CU_ASSERT_DOUBLE_EQUAL(adl_train_step_loss(&mean, batches[i].group, batches[i].loss),
                               batches[i].mean, 1e-12);
}

/* The limit of the loss is a multiple of what guessing has: of one class among all, or of whether
 * each is present. */
static void guessing_has_the_loss_of_its_labels(void)
{
    struct adl_train_settings settings = {.multi_label = false};
    struct adl_model model = {.arch = {.num_classes = 100}};
    const struct adl_train_run run = {.settings = &settings, .model = &model};

    CU_ASSERT_DOUBLE_EQUAL(adl_train_guessing_loss(&run), -log(0.01), 1e-12);
    settings.multi_label = true;
    CU_ASSERT_DOUBLE_EQUAL(adl_train_guessing_loss(&run), -log(0.5), 1e-12);
    settings.multi_label = false;
    model.arch.num_classes = 1;
    CU_ASSERT_DOUBLE_EQUAL(adl_train_guessing_loss(&run), -log(0.5), 1e-12);
}

#define FIND                                                                                       \
    "train", "--data", scratch_path("data"), "--out", scratch_path("run"), TRAIN_COMMON,           \
        "--epochs", "1"
/* All training images in each batch: those of fewer differ by more than the loss falls, and whether
 * a rate is found then depends on the last bits of the processor's sums. */
#define SEARCH "--find-lr", "--find-lr-steps", "100", "--batch-size", "22"

static void it_prints_a_rate_and_keeps_no_weights(void)
{
    struct adl_error err;
    double found[2];
    if (!program_exists())
        return;
    train_directories("find-lr");
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "1"), &err);
    for (int threads = 0; threads < 2; threads++) {
        char *end;
        struct command_result result = RUN(FIND, SEARCH, "--threads", threads ? "2" : "1");
        CU_ASSERT_EQUAL(result.status, 0);
        found[threads] = strtod(result.out, &end);
        CU_ASSERT(found[threads] > 1e-6 && found[threads] < 10 && strcmp(end, "\n") == 0);
        command_release(&result);
    }
    CU_ASSERT_EQUAL(found[0], found[1]);
    char *page = command_text(scratch_path("run/find-lr.html"));
    CU_ASSERT_FATAL(page != NULL);
    CU_ASSERT_PTR_NULL(well_formed_fault(strchr(page, '\n')));
    CU_ASSERT(strstr(page, ">suggested<") && strstr(page, ">0.001<") && strstr(page, ">1e-06<"));
    adl_free(page);
    CU_ASSERT(access(scratch_path("run/state.safetensors"), F_OK) != 0);
    CU_ASSERT(access(scratch_path("run/last.safetensors"), F_OK) != 0);
    CU_ASSERT(access(scratch_path("run/run.json"), F_OK) != 0);
    /* The directory can be that of the run, before and after. */
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1"), &err);
    command_expect(RUN(FIND, "--find-lr", "--resume"), 2, "resumed");
    struct command_result again = RUN(FIND, SEARCH);
    CU_ASSERT_EQUAL(again.status, 0);
    command_release(&again);
    CU_ASSERT_STRING_EQUAL(train_digest("run/last.safetensors"),
                           train_digest("plain/last.safetensors"));
}

/* A warm-up of the method is counted in the run's epochs, and the search has others. */
static void no_warm_up_ends_in_the_search(void)
{
    double found[2];
    if (!program_exists())
        return;
    train_directories("find-lr-warmup");
    for (int warmup = 0; warmup < 2; warmup++) {
        struct command_result result = RUN(FIND, SEARCH, "--threads", "1", "--method", "bas",
                                           "--bas-warmup", warmup ? "3" : "0");
        CU_ASSERT_EQUAL(result.status, 0);
        found[warmup] = strtod(result.out, NULL);
        command_release(&result);
    }
    CU_ASSERT(found[0] > 0 && found[0] == found[1]);
}

TEST_SUITE(train_find_lr, {"it chooses the steepest descent", it_chooses_the_steepest_descent},
           {"a step has the loss of its group", a_step_has_the_loss_of_its_group},
           {"guessing has the loss of its labels", guessing_has_the_loss_of_its_labels},
           {"it prints a rate and keeps no weights", it_prints_a_rate_and_keeps_no_weights},
           {"no warm-up ends in the search", no_warm_up_ends_in_the_search});
TEST_UNWATCHED(it_prints_a_rate_and_keeps_no_weights);
