/* Place: where each value lives. Outputs have memory of their own; everything
 * else shares one arena by lifetime: a value needs its place from the step
 * that makes it to the last that reads it. Values are placed largest first,
 * each at the lowest offset that no living neighbour covers (as XNNPACK's
 * memory planner does). */

#include <stdlib.h>

#include "base/mem.h"
#include "base/size.h"
#include "plan/ir.h"

#define LINE_FLOATS (ADL_ALIGNMENT / sizeof(float))

struct block {
    int value; /* the whole value; slices follow it */
    int first, last;
    size_t floats;
    size_t offset;
};

/* The value whose memory this one is part of. */
static int root_of(const struct adl_plan *plan, int value)
{
    while (plan->values[value].slice_of >= 0)
        value = plan->values[value].slice_of;
    return value;
}

struct life {
    const struct adl_plan *plan;
    struct block *blocks; /* by value */
    int step;
};

static void extend(void *context, int value)
{
    struct life *life = context;
    struct block *block = &life->blocks[root_of(life->plan, value)];
    block->first = ADL_MIN(block->first, life->step);
    block->last = ADL_MAX(block->last, life->step);
}

static int larger_first(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    if (x->floats != y->floats)
        return x->floats < y->floats ? 1 : -1;
    return x->value - y->value;
}

static int lower_first(const void *a, const void *b)
{
    const struct block *x = *(struct block *const *)a, *y = *(struct block *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The lowest gap among the blocks already placed that live at the same time. */
static size_t find_gap(const struct block *block, struct block *placed, size_t count,
                       struct block **alive, bool share)
{
    size_t living = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        if (!share || (placed[i].first <= block->last && block->first <= placed[i].last))
            alive[living++] = &placed[i];
    qsort(alive, living, sizeof *alive, lower_first);
    for (size_t i = 0; i < living; i++) {
        if (alive[i]->offset >= at + block->floats)
            break;
        at = ADL_MAX(at, alive[i]->offset + alive[i]->floats);
    }
    return at;
}

static void place_arena(struct adl_plan *plan, struct block *blocks, size_t count,
                        struct block **alive)
{
    bool share = !(plan->disabled & ADL_PASS_PLACE);
    qsort(blocks, count, sizeof *blocks, larger_first);
    for (size_t i = 0; i < count; i++) {
        blocks[i].offset = find_gap(&blocks[i], blocks, i, alive, share);
        plan->values[blocks[i].value].offset = blocks[i].offset;
        plan->space_floats[PLAN_SPACE_ARENA] =
            ADL_MAX(plan->space_floats[PLAN_SPACE_ARENA], blocks[i].offset + blocks[i].floats);
    }
}

/* Slices take their place from the value they are part of. */
static void place_slices(struct adl_plan *plan)
{
    for (int i = 0; i < plan->value_count; i++) {
        struct plan_value *value = &plan->values[i];
        size_t channel = 0;
        for (int at = i; plan->values[at].slice_of >= 0; at = plan->values[at].slice_of)
            channel += (size_t)plan->values[at].channel;
        const struct plan_value *root = &plan->values[root_of(plan, i)];
        value->space = root->space;
        value->ld = (size_t)root->shape.c;
        value->offset = root->offset + channel;
    }
}

int plan_place(struct adl_plan *plan, struct adl_error *err)
{
    int result = -1;
    size_t count = (size_t)plan->value_count, kept = 0;
    struct block *blocks = adl_calloc(count, sizeof *blocks);
    struct block **alive = adl_calloc(count, sizeof *alive);
    if (!blocks || !alive) {
        adl_fail_nomem(err, "the plan");
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        blocks[i] = (struct block){.value = (int)i, .first = plan->step_count, .last = -1};

    struct life life = {plan, blocks, 0};
    for (life.step = 0; life.step < plan->step_count; life.step++)
        if (plan->steps[life.step].kind != PLAN_DEAD) {
            plan_for_inputs(&plan->steps[life.step], extend, &life);
            extend(&life, plan->steps[life.step].output);
        }

    for (size_t i = 0; i < count; i++) {
        struct plan_value *value = &plan->values[i];
        size_t floats;
        bool root = value->slice_of < 0;
        if (adl_size_round_up(adl_shape_count(value->shape), LINE_FLOATS, &floats) < 0) {
            adl_fail(err, ADL_ERR_LIMIT, "a map of the network is too large");
            goto out;
        }
        if (i == 0) {
            value->space = PLAN_SPACE_INPUT;
            plan->space_floats[PLAN_SPACE_INPUT] = floats;
        } else if (root && plan_is_output(plan, (int)i)) {
            value->space = PLAN_SPACE_OUTPUT;
            value->offset = plan->space_floats[PLAN_SPACE_OUTPUT];
            plan->space_floats[PLAN_SPACE_OUTPUT] += floats;
        } else if (root && blocks[i].last >= 0) {
            value->space = PLAN_SPACE_ARENA;
            blocks[kept] = blocks[i];
            blocks[kept++].floats = floats;
        }
    }
    place_arena(plan, blocks, kept, alive);
    place_slices(plan);
    result = 0;
out:
    adl_free(alive);
    adl_free(blocks);
    return result;
}
