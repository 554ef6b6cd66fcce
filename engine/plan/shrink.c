/* Shrink: limits the memory of the packed weights. The fastest algorithms pack transformed
 * weights, which may be several times as large as in the file. If all packed weights together
 * exceed the limit, some convolutions get another algorithm.
 *
 * This is a knapsack problem, solved greedily: as long as the packed weights are too large,
 * the convolution for which a saved float costs the least additional time (the "price", by
 * the estimates of choice.c) gets a smaller algorithm. The last change may have saved far
 * more than was necessary; therefore the most expensive changes that fit into the rest of the
 * limit are undone afterwards. */

#include "base/mem.h"
#include "plan/ir.h"

/* Packed weights are at most this many times as large as the weights they are made of,
 * provided that there are algorithms with weights that small. */
#define MAX_GROWTH 3.3
/* In a plan with weights in bfloat16, whose point is memory: as many bytes as float32 would need
 * without transforms. Packed as bfloat16 alone they take half of that, and a fifth of the time
 * more. */
#define MAX_GROWTH_BF16 1.0

/* What a convolution could save. */
struct shrink_offer {
    struct plan_step *step;
    const struct adl_conv_algorithm *fastest;
    const struct adl_conv_algorithm *smaller; /* than the step's present one; NULL: none */
    double price;                             /* additional time for each float saved */
    bool taken;                               /* the step's algorithm is not `fastest` */
    double paid;                              /* price of the last change */
};

static double shrink_growth(const struct adl_plan *plan)
{
    return plan->precision == ADL_PRECISION_BF16 ? MAX_GROWTH_BF16 : MAX_GROWTH;
}

static size_t shrink_packed_floats(const struct adl_plan *plan, const struct plan_step *step,
                                   const struct adl_conv_algorithm *algorithm)
{
    return algorithm->packed_floats(algorithm, &step->conv, plan->kernels);
}

static void shrink_find_smaller(const struct adl_plan *plan, struct shrink_offer *offer)
{
    offer->smaller =
        plan_conv_smaller(&offer->step->conv, plan->kernels, offer->step->algorithm, &offer->price);
}

static struct shrink_offer *shrink_cheapest(struct shrink_offer *offers, int count)
{
    struct shrink_offer *best = NULL;
    for (int i = 0; i < count; i++)
        if (offers[i].smaller && (!best || offers[i].price < best->price))
            best = &offers[i];
    return best;
}

static struct shrink_offer *shrink_most_expensive(struct shrink_offer *offers, int count)
{
    struct shrink_offer *worst = NULL;
    for (int i = 0; i < count; i++)
        if (offers[i].taken && (!worst || offers[i].paid > worst->paid))
            worst = &offers[i];
    return worst;
}

/* Undoes changes, the most expensive first, that fit into the `spare` floats. */
static void shrink_restore(const struct adl_plan *plan, struct shrink_offer *offers, int count,
                           double spare)
{
    struct shrink_offer *offer;
    while ((offer = shrink_most_expensive(offers, count))) {
        double more = (double)shrink_packed_floats(plan, offer->step, offer->fastest) -
                      (double)shrink_packed_floats(plan, offer->step, offer->step->algorithm);
        offer->taken = false;
        if (more <= spare) {
            offer->step->algorithm = offer->fastest;
            spare -= more;
        }
    }
}

/* Returns the floats by which the packed weights of a convolution are below the limit; negative:
 * above it. */
static double shrink_spare(const struct adl_plan *plan, const struct plan_step *step)
{
    double limit =
        shrink_growth(plan) * (double)adl_graph_param(plan->graph, step->node->params[0])->count;
    size_t packed = step->int8 ? adl_conv_int8_packed_floats(&step->conv, plan->kernels->int8)
                               : shrink_packed_floats(plan, step, step->algorithm);

    return limit - (double)packed;
}

int plan_shrink(struct adl_plan *plan, struct adl_error *err)
{
    struct shrink_offer *offers = adl_calloc((size_t)plan->step_count, sizeof *offers), *best;
    double spare = 0; /* floats below the limit; negative: above it */
    int count = 0;

    if (!offers)
        return adl_fail_nomem(err, "the plan");
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (step->kind != PLAN_CONV || step->first)
            continue;
        spare += shrink_spare(plan, step);
        if (step->int8) /* leaves room for others */
            continue;
        offers[count].step = step;
        offers[count++].fastest = step->algorithm;
    }
    for (int i = 0; spare < 0 && i < count; i++)
        shrink_find_smaller(plan, &offers[i]);
    while (spare < 0 && (best = shrink_cheapest(offers, count))) {
        spare += (double)shrink_packed_floats(plan, best->step, best->step->algorithm) -
                 (double)shrink_packed_floats(plan, best->step, best->smaller);
        best->step->algorithm = best->smaller;
        best->taken = true;
        best->paid = best->price;
        shrink_find_smaller(plan, best);
    }
    shrink_restore(plan, offers, count, spare);
    adl_free(offers);
    return 0;
}
