/* server/serving/fair: who goes first, by what was used before. */

#include "support/test.h"

#include <math.h>

#include "base/size.h"
#include "server/serving/fair.h"

enum { MOST = 100 };

static struct adl_fair *make(void)
{
    struct adl_error err = {0};
    struct adl_fair *fair = adl_fair_create(MOST, &err);

    TEST_OK(fair ? 0 : -1, &err);
    return fair;
}

/* Serves `turns` pieces of work among places that always have some, each `ms[i]` long, and counts
 * what each has used. */
static void serve(struct adl_fair *fair, const struct adl_fair_place *places, const double *ms,
                  size_t count, int turns, double *used)
{
    for (int t = 0; t < turns; t++) {
        size_t first = 0;
        for (size_t i = 1; i < count; i++)
            if (adl_fair_before(fair, &places[i], &places[first]))
                first = i;
        adl_fair_begin(fair, &places[first]);
        adl_fair_charge(fair, &places[first], ms[first]);
        used[first] += ms[first];
    }
}

/* The property of the algorithm: while all have work, no two clients differ by more than the
 * largest piece of each. */
static void clients_share_equally(void)
{
    struct adl_fair *fair = make();
    struct adl_fair_place places[4];
    const double ms[4] = {1, 10, 3, 0.5};
    double used[4] = {0};

    /* Two connections of one client, two clients of one connection. */
    adl_fair_enter(fair, ADL_LANE_SMALL, (struct adl_sender){1, 1}, &places[0]);
    adl_fair_enter(fair, ADL_LANE_SMALL, (struct adl_sender){1, 2}, &places[1]);
    adl_fair_enter(fair, ADL_LANE_SMALL, (struct adl_sender){2, 3}, &places[2]);
    adl_fair_enter(fair, ADL_LANE_SMALL, (struct adl_sender){3, 4}, &places[3]);
    serve(fair, places, ms, 4, 5000, used);
    CU_ASSERT(fabs(used[0] + used[1] - used[2]) <= 13);
    CU_ASSERT(fabs(used[2] - used[3]) <= 13);
    CU_ASSERT(fabs(used[0] - used[1]) <= 11);
    adl_fair_free(fair);
}

/* However many clients have large work, small work gets half of the time. */
static void lanes_share_equally(void)
{
    struct adl_fair *fair = make();
    struct adl_fair_place places[11];
    double ms[11], used[11] = {0}, large = 0;

    adl_fair_enter(fair, ADL_LANE_SMALL, (struct adl_sender){99, 1}, &places[0]);
    ms[0] = 1;
    for (size_t i = 1; i < 11; i++) {
        adl_fair_enter(fair, ADL_LANE_LARGE, (struct adl_sender){i, i}, &places[i]);
        ms[i] = 5;
    }
    serve(fair, places, ms, 11, 6000, used);
    for (size_t i = 1; i < 11; i++)
        large += used[i];
    CU_ASSERT(fabs(used[0] - large) <= 6);
    /* Large work that is ahead waits only while there is small work. */
    adl_fair_charge(fair, &places[1], 50);
    CU_ASSERT(adl_fair_large_waits(fair));
    adl_fair_leave(fair, &places[0]);
    CU_ASSERT(!adl_fair_large_waits(fair));
    adl_fair_free(fair);
}

/* A client that was away does not get back what it did not use, and one that has used much does
 * not forget it by coming back on another connection. */
static void absence_is_no_credit(void)
{
    struct adl_fair *fair = make();
    struct adl_fair_place early, late, again;
    const struct adl_sender heavy = {1, 1}, light = {2, 2}, other = {1, 7};
    double used[2] = {0};

    adl_fair_enter(fair, ADL_LANE_SMALL, heavy, &early);
    serve(fair, &early, (const double[]){10}, 1, 1000, used);
    adl_fair_enter(fair, ADL_LANE_SMALL, light, &late);
    CU_ASSERT(adl_fair_before(fair, &late, &early));
    struct adl_fair_place both[2] = {early, late};
    used[0] = 0;
    serve(fair, both, (const double[]){10, 10}, 2, 100, used);
    CU_ASSERT(fabs(used[0] - used[1]) <= 40);

    adl_fair_charge(fair, &early, 500);
    adl_fair_leave(fair, &early);
    adl_fair_enter(fair, ADL_LANE_SMALL, other, &again);
    CU_ASSERT(adl_fair_before(fair, &late, &again));
    adl_fair_free(fair);
}

/* Serves each of `count` senders once, one after the other. */
static void serve_each(struct adl_fair *fair, const struct adl_sender *senders, size_t count,
                       double ms)
{
    for (size_t i = 0; i < count; i++) {
        struct adl_fair_place place;
        adl_fair_enter(fair, ADL_LANE_SMALL, senders[i], &place);
        adl_fair_begin(fair, &place);
        adl_fair_charge(fair, &place, ms);
        adl_fair_leave(fair, &place);
    }
}

/* Who is refused while others are served again and again is behind after some time, and level once
 * he was served; who is served is level. */
static void the_refused_are_behind(void)
{
    struct adl_fair *fair = make();
    const struct adl_sender address[] = {{1, 1}, {1, 2}, {1, 3}}, other = {2, 4};

    serve_each(fair, address, 2, 8);
    CU_ASSERT_EQUAL(adl_fair_lag(fair, ADL_LANE_SMALL, address[2]), ADL_FAIR_LEVEL);
    CU_ASSERT_EQUAL(adl_fair_lag(fair, ADL_LANE_SMALL, other), ADL_FAIR_LEVEL);
    for (int round = 0; round < 5; round++)
        serve_each(fair, address, 2, 8);
    CU_ASSERT_EQUAL(adl_fair_lag(fair, ADL_LANE_SMALL, address[0]), ADL_FAIR_LEVEL);
    CU_ASSERT_EQUAL(adl_fair_lag(fair, ADL_LANE_SMALL, address[2]), ADL_FAIR_BEHIND_CONNECTION);
    CU_ASSERT_EQUAL(adl_fair_lag(fair, ADL_LANE_SMALL, other), ADL_FAIR_BEHIND_CLIENT);
    /* Nobody has done anything in the other lane. */
    CU_ASSERT_EQUAL(adl_fair_lag(fair, ADL_LANE_LARGE, other), ADL_FAIR_LEVEL);
    for (int round = 0; round < 5; round++) {
        serve_each(fair, &address[2], 1, 8);
        serve_each(fair, &other, 1, 8);
    }
    CU_ASSERT_EQUAL(adl_fair_lag(fair, ADL_LANE_SMALL, address[2]), ADL_FAIR_LEVEL);
    CU_ASSERT_EQUAL(adl_fair_lag(fair, ADL_LANE_SMALL, other), ADL_FAIR_LEVEL);
    adl_fair_free(fair);
}

/* Accounts of clients that are gone are used again, and entries are counted in both lanes. */
static void accounts_are_reused(void)
{
    struct adl_fair *fair = make();
    struct adl_fair_place kept[2], place;

    adl_fair_enter(fair, ADL_LANE_SMALL, (struct adl_sender){7, 1}, &kept[0]);
    adl_fair_enter(fair, ADL_LANE_LARGE, (struct adl_sender){7, 1}, &kept[1]);
    for (uint64_t i = 0; i < 50000; i++) {
        adl_fair_enter(fair, ADL_LANE_SMALL, (struct adl_sender){1000 + i, i}, &place);
        CU_ASSERT_FATAL(place.client != kept[0].client && place.connection != kept[0].connection &&
                        place.client != kept[1].client && place.client != place.connection);
        adl_fair_leave(fair, &place);
    }
    CU_ASSERT_EQUAL(adl_fair_entries(fair, 7), 2);
    adl_fair_leave(fair, &kept[0]);
    CU_ASSERT_EQUAL(adl_fair_entries(fair, 7), 1);
    CU_ASSERT_EQUAL(adl_fair_entries(fair, 123456), 0);
    adl_fair_free(fair);
}

TEST_SUITE(fair, {"clients share equally", clients_share_equally},
           {"lanes share equally", lanes_share_equally},
           {"absence is no credit", absence_is_no_credit},
           {"the refused are behind", the_refused_are_behind},
           {"accounts are reused", accounts_are_reused});
