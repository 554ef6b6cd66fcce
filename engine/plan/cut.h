#ifndef ADL_PLAN_CUT_H
#define ADL_PLAN_CUT_H

/* The cheapest way to divide things in two, where some cost more on one side, and some pairs cost
 * something if they are on different sides: a minimum cut of a graph, which the largest flow
 * through it finds (L. Ford and D. Fulkerson, "Maximal flow through a network", 1956; with the
 * shortest augmenting paths of J. Edmonds and R. Karp, 1972). */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A cost that is too large to be paid; sums of costs stay below it. */
#define ADL_CUT_NEVER ((int64_t)1 << 60)

struct plan_cut;

/* Returns a problem with `count` things, 0 to count - 1, all on side `false`, and room for `pairs`
 * pairs. Returns NULL when out of memory. */
struct plan_cut *plan_cut_create(int count, int pairs, struct adl_error *err) ADL_MUST_CHECK;
void plan_cut_free(struct plan_cut *cut); /* NULL is fine */

/* Adds costs of a thing on side `false` and on side `true`, each at least 0. */
void plan_cut_add(struct plan_cut *cut, int thing, int64_t on_false, int64_t on_true);
/* Adds a cost, at least 0, that is paid if `a` is on side `true` and `b` on side `false`. At most
 * as many calls as there is room for. */
void plan_cut_add_pair(struct plan_cut *cut, int a, int b, int64_t cost);

/* Divides the things at the least cost; of equal costs, with the fewest on side `true`. To be
 * called once. */
void plan_cut_run(struct plan_cut *cut);
/* Returns the side of a thing after that. */
bool plan_cut_side(const struct plan_cut *cut, int thing);

#endif
