/* wsol/box_track: what a one-euro filter promises: a box that stands still stays as it is, one that
 * trembles trembles less, and one that moves is followed within the lag that the formula gives. */

#include "support/test.h"

#include <math.h>

#include "wsol/box_track.h"

enum { SIDE = 10000, FPS = 30 };

static struct adl_box box_at(double centre, int size)
{
    int first = (int)lround(centre * SIDE) - size / 2;
    return (struct adl_box){first, 4000, first + size - 1, 4999};
}

static double centre_of(struct adl_box box)
{
    return (box.x0 + box.x1 + 1) / (2.0 * SIDE);
}

static struct adl_box add(struct adl_box_track *track, struct adl_box box, int frame)
{
    return adl_box_track_add(track, box, 3, SIDE, SIDE, (double)frame / FPS);
}

static bool same(struct adl_box a, struct adl_box b)
{
    return a.x0 == b.x0 && a.y0 == b.y0 && a.x1 == b.x1 && a.y1 == b.y1;
}

static void what_stands_still_stays(void)
{
    struct adl_box_track track = {.still = 1};
    const struct adl_box odd = {3, 0, 9999, 4321};
    for (int i = 0; i < 50; i++)
        CU_ASSERT(same(add(&track, odd, i), odd));
}

/* Noise of one frame is uncorrelated with that of the next, so a low-pass filter reduces it. */
static void noise_is_reduced(void)
{
    struct adl_box_track track = {.still = 1};
    double raw = 0, smooth = 0;
    uint32_t state = 7;
    for (int i = 0; i < 2000; i++) {
        state = state * 1664525U + 1013904223U;
        double noise = ((double)(state >> 8) / (1 << 24) - 0.5) * 0.02;
        double got = centre_of(add(&track, box_at(0.5 + noise, 1000), i)) - 0.5;
        if (i < FPS)
            continue;
        raw += noise * noise;
        smooth += got * got;
    }
    CU_ASSERT(smooth > 0 && sqrt(smooth / raw) < 0.6);
}

/* At a constant speed s the box lags by s / (2 pi (still + slope s)). */
static void the_lag_is_that_of_the_formula(void)
{
    static const double speeds[] = {0.02, 0.1, 0.5};
    for (int k = 0; k < 3; k++) {
        struct adl_box_track track = {.still = 1};
        double speed = speeds[k], lag = 0, centre = 0;
        int frames = k < 2 ? 8 * FPS : 5 * FPS / 4;
        for (int i = 0; i < frames; i++) {
            centre = 0.1 + speed * i / FPS;
            lag = centre - centre_of(add(&track, box_at(centre, 1000), i));
        }
        double expected = speed / (2 * M_PI * (1 + ADL_BOX_TRACK_SLOPE * speed));
        /* The fastest is still within the time in which its speed is learned. */
        if (k < 2)
            CU_ASSERT_DOUBLE_EQUAL(lag, expected, 2e-4);
        CU_ASSERT(lag > 0 && lag < (k < 2 ? 1 / (2 * M_PI * ADL_BOX_TRACK_SLOPE) : 0.05));
    }
}

static void what_is_another_object_begins_anew(void)
{
    struct adl_box_track track = {.still = 1};
    const struct adl_box here = box_at(0.2, 1000), there = box_at(0.8, 2000);
    add(&track, here, 0);
    CU_ASSERT(!same(add(&track, there, 1), there));
    CU_ASSERT(same(adl_box_track_add(&track, here, 4, SIDE, SIDE, 2.0 / FPS), here));
    CU_ASSERT(same(adl_box_track_add(&track, there, 4, SIDE, SIDE, 2.0 / FPS + 1.01), there));
    struct adl_box_track off = {.still = 0};
    CU_ASSERT(same(add(&off, here, 0), here) && same(add(&off, there, 1), there));
}

TEST_SUITE(box_track, {"what stands still stays", what_stands_still_stays},
           {"noise is reduced", noise_is_reduced},
           {"the lag is that of the formula", the_lag_is_that_of_the_formula},
           {"what is another object begins anew", what_is_another_object_begins_anew});
