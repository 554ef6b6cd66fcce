/* Shrink: the fastest algorithms transform their weights ahead, which can take many
 * times the memory of the file. Where all of them together take too much, some
 * convolutions get another algorithm: those first where a float that is saved
 * costs least time. */

#include "base/mem.h"
#include "plan/ir.h"

/* Packed weights take at most so many times the memory of the weights they are
 * made of, where there are algorithms that do. */
#define MOST_GROWTH 3.3

struct offer {
    struct plan_step *step;
    const struct adl_conv_algorithm *fastest;
    const struct adl_conv_algorithm *smaller; /* than the step's now; NULL: none */
    double price;                             /* of that, time for each float */
    bool taken;                               /* the step's is not the fastest */
    double paid;                              /* the last price */
};

static size_t shrink_packed_floats(const struct adl_plan *plan, const struct plan_step *step,
                                   const struct adl_conv_algorithm *algorithm)
{
    return algorithm->packed_floats(algorithm, &step->conv, plan->kernels);
}

static void shrink_find_smaller(const struct adl_plan *plan, struct offer *offer)
{
    offer->smaller =
        plan_conv_smaller(&offer->step->conv, plan->kernels, offer->step->algorithm, &offer->price);
}

static struct offer *shrink_cheapest(struct offer *offers, int count)
{
    struct offer *best = NULL;
    for (int i = 0; i < count; i++)
        if (offers[i].smaller && (!best || offers[i].price < best->price))
            best = &offers[i];
    return best;
}

static struct offer *shrink_dearest(struct offer *offers, int count)
{
    struct offer *worst = NULL;
    for (int i = 0; i < count; i++)
        if (offers[i].taken && (!worst || offers[i].paid > worst->paid))
            worst = &offers[i];
    return worst;
}

/* The last that was taken may have saved far more than was asked for. */
static void shrink_restore(const struct adl_plan *plan, struct offer *offers, int count,
                           double spare)
{
    struct offer *offer;
    while ((offer = shrink_dearest(offers, count))) {
        double more = (double)shrink_packed_floats(plan, offer->step, offer->fastest) -
                      (double)shrink_packed_floats(plan, offer->step, offer->step->algorithm);
        offer->taken = false;
        if (more <= spare) {
            offer->step->algorithm = offer->fastest;
            spare -= more;
        }
    }
}

int plan_shrink(struct adl_plan *plan, struct adl_error *err)
{
    struct offer *offers = adl_calloc((size_t)plan->step_count, sizeof *offers), *best;
    double spare = 0; /* floats below the most */
    int count = 0;

    if (!offers)
        return adl_fail_nomem(err, "the plan");
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (step->kind != PLAN_CONV || step->first)
            continue;
        spare += MOST_GROWTH * (double)adl_graph_param(plan->graph, step->node->params[0])->count -
                 (double)shrink_packed_floats(plan, step, step->algorithm);
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
