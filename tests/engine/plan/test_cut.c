/* plan/cut: random small problems against every division of them. */

#include "support/test.h"

#include "base/rng.h"
#include "plan/cut.h"

enum { MOST = 9, PAIRS = 20, PROBLEMS = 300 };

struct problem {
    int count, pair_count;
    int64_t costs[MOST][2];
    struct {
        int a, b;
        int64_t cost;
    } pairs[PAIRS];
};

static struct problem draw(struct adl_rng *rng)
{
    struct problem p = {.count = 1 + (int)adl_rng_below(rng, MOST),
                        .pair_count = (int)adl_rng_below(rng, PAIRS + 1)};
    for (int i = 0; i < p.count; i++)
        for (int side = 0; side < 2; side++)
            p.costs[i][side] = adl_rng_below(rng, 12) ? (int64_t)adl_rng_below(rng, 30)
                               : side                 ? ADL_CUT_NEVER
                                                      : 0;
    for (int i = 0; i < p.pair_count; i++) {
        p.pairs[i].a = (int)adl_rng_below(rng, (uint32_t)p.count);
        p.pairs[i].b = (int)adl_rng_below(rng, (uint32_t)p.count);
        p.pairs[i].cost = adl_rng_below(rng, 6) ? (int64_t)adl_rng_below(rng, 20) : ADL_CUT_NEVER;
    }
    return p;
}

/* The cost of a division whose bits are the sides; *size: things on side true. */
static double cost_of(const struct problem *p, unsigned sides, int *size)
{
    double cost = 0;
    *size = 0;
    for (int i = 0; i < p->count; i++) {
        bool side = sides >> i & 1;
        cost += (double)p->costs[i][side];
        *size += side;
    }
    for (int i = 0; i < p->pair_count; i++)
        if ((sides >> p->pairs[i].a & 1) && !(sides >> p->pairs[i].b & 1))
            cost += (double)p->pairs[i].cost;
    return cost;
}

static void the_cut_is_the_least(void)
{
    struct adl_rng rng;
    struct adl_error err = {0};
    adl_rng_seed(&rng, 5, 0, 0);
    for (int n = 0; n < PROBLEMS; n++) {
        struct problem p = draw(&rng);
        struct plan_cut *cut = plan_cut_create(p.count, p.pair_count, &err);
        CU_ASSERT_FATAL(cut != NULL);
        for (int i = 0; i < p.count; i++)
            plan_cut_add(cut, i, p.costs[i][0], p.costs[i][1]);
        for (int i = 0; i < p.pair_count; i++)
            plan_cut_add_pair(cut, p.pairs[i].a, p.pairs[i].b, p.pairs[i].cost);
        plan_cut_run(cut);
        unsigned sides = 0;
        int size, best_size = MOST + 1;
        double best = 0;
        for (int i = 0; i < p.count; i++)
            sides |= (unsigned)plan_cut_side(cut, i) << i;
        for (unsigned all = 0; all < 1u << p.count; all++) {
            double cost = cost_of(&p, all, &size);
            if (all == 0 || cost < best || (!(cost > best) && size < best_size)) {
                best = cost;
                best_size = size;
            }
        }
        double cost = cost_of(&p, sides, &size);
        if (cost > best || cost < best || size != best_size)
            TEST_FAIL("problem %d: cost %g with %d, not %g with %d", n, cost, size, best,
                      best_size);
        plan_cut_free(cut);
    }
}

TEST_SUITE(cut, {"the cut is the least", the_cut_is_the_least});
