/* train/schedule: the reference's decay by steps, both ends of the cosine, warm-up. */

#include "support/test.h"

#include <math.h>

#include "base/size.h"
#include "train/schedule.h"

/* The rate falls to a tenth at the start of each epoch whose number, counted from 1, is a
 * multiple. */
static void check_step(int every, int epochs, const int *first_epochs, size_t falls)
{
    struct adl_schedule s = {
        .kind = ADL_SCHEDULE_STEP, .lr = 0.02, .decay = 0.1, .every = every, .epochs = epochs};
    for (int number = 1; number <= epochs; number++) {
        int fallen = 0;
        for (size_t i = 0; i < falls; i++)
            fallen += number >= first_epochs[i];
        for (size_t batch = 0; batch < 7; batch++)
            CU_ASSERT_DOUBLE_EQUAL(adl_schedule_lr(&s, number - 1, batch, 7),
                                   0.02 * pow(10, -fallen), 1e-12);
    }
}

static void decays_as_the_reference(void)
{
    static const int imagenet[] = {3, 6, 9}, cub[] = {15, 30, 45}, each[] = {1, 2, 3, 4};
    check_step(3, 10, imagenet, 3);
    check_step(15, 50, cub, 3);
    check_step(1, 4, each, 4);
    check_step(30, 29, NULL, 0);
    check_step(0, 10, NULL, 0); /* never */
}

static void cosine_ends_at_zero(void)
{
    struct adl_schedule s = {.kind = ADL_SCHEDULE_COSINE, .lr = 0.4, .epochs = 10};
    CU_ASSERT_DOUBLE_EQUAL(adl_schedule_lr(&s, 0, 0, 8), 0.4, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(adl_schedule_lr(&s, 5, 0, 8), 0.2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(adl_schedule_lr(&s, 2, 4, 8), 0.2 * (1 + sqrt(0.5)), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(adl_schedule_lr(&s, 10, 0, 8), 0, 1e-12);
    double before = 1;
    for (int epoch = 0; epoch < 10; epoch++)
        for (size_t batch = 0; batch < 8; batch++) {
            double lr = adl_schedule_lr(&s, epoch, batch, 8);
            CU_ASSERT(lr > 0 && lr < before);
            before = lr;
        }
    CU_ASSERT(before < 0.4 * 1e-3);
}

/* The rate grows linearly from one step's share and is continuous where the warm-up ends. */
static void check_warmup(struct adl_schedule s, double warmup_epochs)
{
    enum { BATCHES = 8 };
    double before = 0;
    s.warmup_epochs = warmup_epochs;
    size_t steps = (size_t)(warmup_epochs * BATCHES);
    for (size_t i = 0; i < steps; i++) {
        double lr = adl_schedule_lr(&s, (int)(i / BATCHES), i % BATCHES, BATCHES);
        CU_ASSERT_DOUBLE_EQUAL(lr, s.lr * (double)(i + 1) / (double)steps, 1e-12);
        CU_ASSERT(lr > before);
        before = lr;
    }
    CU_ASSERT_DOUBLE_EQUAL(adl_schedule_lr(&s, (int)(steps / BATCHES), steps % BATCHES, BATCHES),
                           s.lr, 1e-12);
}

static void warms_up(void)
{
    struct adl_schedule step = {.kind = ADL_SCHEDULE_STEP, .lr = 0.1, .decay = 0.1, .every = 30};
    struct adl_schedule cosine = {.kind = ADL_SCHEDULE_COSINE, .lr = 0.1, .epochs = 20};
    check_warmup(step, 3);
    check_warmup(step, 0.5);
    check_warmup(cosine, 2);
    /* The cosine falls over the epochs after the warm-up. */
    cosine.warmup_epochs = 4;
    CU_ASSERT_DOUBLE_EQUAL(adl_schedule_lr(&cosine, 12, 0, 5), 0.05, 1e-12);
    /* A warm-up as long as the run, or longer, is all that there is; an epoch without a batch. */
    for (double warmup = 20; warmup <= 40; warmup += 20) {
        cosine.warmup_epochs = warmup;
        for (int epoch = 0; epoch < 20; epoch++)
            CU_ASSERT_DOUBLE_EQUAL(adl_schedule_lr(&cosine, epoch, 4, 5),
                                   0.1 * (epoch + 1) / warmup, 1e-12);
    }
    cosine.warmup_epochs = 20;
    CU_ASSERT(isfinite(adl_schedule_lr(&cosine, 20, 0, 0)));
    CU_ASSERT(isfinite(adl_schedule_lr(&cosine, 0, 0, 0)));
}

TEST_SUITE(schedule, {"decays as the reference", decays_as_the_reference},
           {"cosine ends at zero", cosine_ends_at_zero}, {"warms up", warms_up});
