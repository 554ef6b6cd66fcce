/* server/serving/admission: how many images are admitted follows from how long they wait. The
 * queue of the tests is simulated: a network that takes a constant time for each image, and clients
 * that fill every place at once, so that by Little's law an image waits for as many times as there
 * are places. */

#include "support/test.h"

#include "base/limits.h"
#include "base/size.h"
#include "server/serving/admission.h"

#define CAPACITY 64
#define MS 1000000

static uint64_t now_ns;

/* Runs the queue for some seconds; returns the mean limit in the last half of them. */
static double run_full(struct adl_admission *a, double image_ms, double seconds)
{
    double sum = 0;
    int count = 0, images = (int)(seconds * 1e3 / image_ms);

    for (int i = 0; i < images; i++) {
        size_t places = adl_admission_limit(a);
        now_ns += (uint64_t)(image_ms * MS);
        adl_admission_waited(a, image_ms * (double)places, places, now_ns);
        if (i >= images / 2) {
            sum += (double)places;
            count++;
        }
    }
    return sum / count;
}

static void settles_where_the_time_is_kept(void)
{
    static const struct {
        double image_ms, most_ms, places;
    } cases[] = {
        {10, 300, 30}, /* 300 ms of 10 ms each */
        {2, 100, 50},
        {20, 400, 20},
    };

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_admission a;
        now_ns = MS;
        adl_admission_init(&a, CAPACITY, cases[i].most_ms);
        double mean = run_full(&a, cases[i].image_ms, 40);
        if (mean < 0.8 * cases[i].places || mean > 1.15 * cases[i].places)
            TEST_FAIL("case %zu: %.1f places, expected about %.0f", i, mean, cases[i].places);
    }
}

static void stays_between_its_bounds(void)
{
    struct adl_admission a;

    /* A fast network never has fewer than the capacity, a hopeless one still has a batch. */
    now_ns = MS;
    adl_admission_init(&a, CAPACITY, 300);
    CU_ASSERT_EQUAL(run_full(&a, 4, 20), CAPACITY);
    adl_admission_init(&a, CAPACITY, 50);
    CU_ASSERT_EQUAL(run_full(&a, 500, 300), ADL_LIMIT_LEAST_QUEUE);
    adl_admission_init(&a, 2, 50);
    CU_ASSERT_EQUAL(run_full(&a, 500, 300), 2);
    /* Without a time, it is always the capacity. */
    adl_admission_init(&a, CAPACITY, 0);
    CU_ASSERT_EQUAL(run_full(&a, 500, 100), CAPACITY);
}

static void grows_again(void)
{
    struct adl_admission a;

    now_ns = MS;
    adl_admission_init(&a, CAPACITY, 300);
    CU_ASSERT(run_full(&a, 30, 60) < 15);
    CU_ASSERT(run_full(&a, 4, 20) > 60);
    CU_ASSERT(run_full(&a, 30, 60) < 15);
    adl_admission_idle(&a);
    CU_ASSERT_EQUAL(adl_admission_limit(&a), CAPACITY);
}

/* The images of a client with many wait for long; one of another that is served at once shows that
 * there is room. */
static void only_a_queue_that_holds_all_counts(void)
{
    struct adl_admission a;

    now_ns = MS;
    adl_admission_init(&a, CAPACITY, 100);
    for (int i = 0; i < 1000; i++) {
        now_ns += 10 * (uint64_t)MS;
        adl_admission_waited(&a, i % 5 ? 640 : 12, CAPACITY, now_ns);
    }
    CU_ASSERT_EQUAL(adl_admission_limit(&a), CAPACITY);
}

/* Each degree of what is owed has places of its own, and none has any in a small queue. */
static void what_is_owed_is_bounded(void)
{
    CU_ASSERT_EQUAL(adl_admission_with_owed(64, ADL_OWED_NOTHING), 64);
    for (int owed = ADL_OWED_AS_CONNECTION; owed <= ADL_OWED_AS_LANE; owed++)
        CU_ASSERT(adl_admission_with_owed(64, (enum adl_owed)owed) >
                  adl_admission_with_owed(64, (enum adl_owed)(owed - 1)));
    CU_ASSERT_EQUAL(adl_admission_with_owed(64, ADL_OWED_AS_LANE), 76);
    CU_ASSERT_EQUAL(adl_admission_with_owed(4, ADL_OWED_AS_LANE), 4);
    CU_ASSERT_EQUAL(adl_admission_few(64), 4);
}

TEST_SUITE(admission, {"settles where the time is kept", settles_where_the_time_is_kept},
           {"stays between its bounds", stays_between_its_bounds}, {"grows again", grows_again},
           {"only a queue that holds all counts", only_a_queue_that_holds_all_counts},
           {"what is owed is bounded", what_is_owed_is_bounded});
