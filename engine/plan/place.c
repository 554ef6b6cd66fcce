/* Place: assigns memory to each value. The input and the outputs have memory of their own.
 * All other values share one arena. A value lives from the step that computes it to the last
 * step that reads it; base/lifetime.c chooses offsets in the arena so that no two values that
 * live at the same time overlap. */

#include "base/lifetime.h"
#include "base/mem.h"
#include "base/size.h"
#include "plan/ir.h"

/* Returns the value that contains this one: the value itself, or the one of which it is
 * directly or indirectly a slice. */
static int place_root(const struct adl_plan *plan, int value)
{
    while (plan->values[value].slice_of >= 0)
        value = plan->values[value].slice_of;
    return value;
}

struct extension {
    const struct adl_plan *plan;
    struct adl_lifetime *lives; /* by value id; the lifetime of a slice counts for its root */
    int step;
};

static void place_extend(void *context, int value)
{
    struct extension *e = context;
    struct adl_lifetime *life = &e->lives[place_root(e->plan, value)];
    life->first = ADL_MIN(life->first, e->step);
    life->last = ADL_MAX(life->last, e->step);
}

static void place_find_lifetimes(const struct adl_plan *plan, struct adl_lifetime *lives)
{
    struct extension e = {plan, lives, 0};
    for (int i = 0; i < plan->value_count; i++)
        lives[i] = (struct adl_lifetime){.id = i, .first = plan->step_count, .last = -1};
    for (e.step = 0; e.step < plan->step_count; e.step++)
        if (plan->steps[e.step].kind != PLAN_DEAD) {
            plan_for_inputs(&plan->steps[e.step], place_extend, &e);
            place_extend(&e, plan->steps[e.step].output);
        }
}

/* Assigns a space to each value that is not a slice. The lifetimes of those in the arena
 * are moved to the front of `lives`; returns their number, or -1. */
static int place_choose_spaces(struct adl_plan *plan, struct adl_lifetime *lives,
                               struct adl_error *err)
{
    int kept = 0;
    for (int i = 0; i < plan->value_count; i++) {
        struct plan_value *value = &plan->values[i];
        size_t floats = adl_shape_count(value->shape);
        if (value->bytes)
            floats = adl_ceil_div(floats, sizeof(float));
        if (adl_size_round_up(floats, ADL_LINE_FLOATS, &floats) < 0)
            return adl_fail(err, ADL_ERR_LIMIT, "a map of the network is too large");
        if (i == 0) {
            value->space = PLAN_SPACE_INPUT;
            plan->space_floats[PLAN_SPACE_INPUT] = floats;
        } else if (value->slice_of >= 0) {
            continue;
        } else if (plan_is_output(plan, i)) {
            value->space = PLAN_SPACE_OUTPUT;
            value->offset = plan->space_floats[PLAN_SPACE_OUTPUT];
            plan->space_floats[PLAN_SPACE_OUTPUT] += floats;
        } else if (lives[i].last >= 0) {
            value->space = PLAN_SPACE_ARENA;
            lives[kept] = lives[i];
            lives[kept++].size = floats;
        }
    }
    return kept;
}

/* Assigns to each slice its offset within the value that contains it; the leading dimension
 * of any value is the number of channels of its root. */
static void place_slices(struct adl_plan *plan)
{
    for (int i = 0; i < plan->value_count; i++) {
        struct plan_value *value = &plan->values[i];
        size_t channel = 0;
        for (int id = i; plan->values[id].slice_of >= 0; id = plan->values[id].slice_of)
            channel += (size_t)plan->values[id].channel;
        const struct plan_value *root = &plan->values[place_root(plan, i)];
        value->space = root->space;
        value->ld = (size_t)root->shape.c;
        value->offset = root->offset + (value->bytes ? 0 : channel);
        value->first = value->bytes ? channel : 0;
    }
}

struct whole {
    const struct adl_plan *plan;
    bool whole;
};

static void place_check_value(void *context, int value)
{
    struct whole *w = context;
    w->whole &= w->plan->values[value].ld == (size_t)w->plan->values[value].shape.c;
}

/* Fails if a step that runs the plain definition of its op would read or write a slice. */
static int place_check(const struct adl_plan *plan, struct adl_error *err)
{
    struct whole w = {plan, true};
    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].kind == PLAN_PLAIN) {
            plan_for_inputs(&plan->steps[i], place_check_value, &w);
            place_check_value(&w, plan->steps[i].output);
        }
    return w.whole ? 0 : adl_fail(err, ADL_ERR_INTERNAL, "a plain step works on a joined map");
}

int plan_place(struct adl_plan *plan, struct adl_error *err)
{
    int result = -1, share = !(plan->disabled & ADL_PASS_PLACE);
    struct adl_lifetime *lives = adl_malloc((size_t)plan->value_count, sizeof *lives);
    if (!lives)
        return adl_fail_nomem(err, "the plan");
    place_find_lifetimes(plan, lives);
    int kept = place_choose_spaces(plan, lives, err);
    ADL_TRY(kept);
    ADL_TRY(
        adl_lifetime_place(lives, (size_t)kept, share, &plan->space_floats[PLAN_SPACE_ARENA], err));
    for (int i = 0; i < kept; i++)
        plan->values[lives[i].id].offset = lives[i].offset;
    place_slices(plan);
    result = place_check(plan, err);
out:
    adl_free(lives);
    return result;
}
