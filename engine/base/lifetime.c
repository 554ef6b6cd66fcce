/* Offsets in one block of memory for items with known lifetimes.
 *
 * Every activation of a network is needed from the step that writes it to the last step that
 * reads it. Two items may share bytes if their intervals of steps do not meet. The smallest
 * block for a set of such items is NP-hard to find; this is a common heuristic, "greedy by
 * size" (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
 * 2020; XNNPACK's memory planner works likewise): the items are taken from the largest to the
 * smallest, and each gets the lowest offset at which it fits between the items already placed
 * that are alive at the same time. Large items are placed while there is still room for
 * choice, small ones fill the gaps.
 *
 * With n items this takes O(n^2 log n) time, once for each plan or tape, for a few hundred
 * items. */

#include "base/lifetime.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/size.h"

static int larger_first(const void *a, const void *b)
{
    const struct adl_lifetime *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return x->id - y->id;
}

static int lower_first(const void *a, const void *b)
{
    const struct adl_lifetime *x = *(struct adl_lifetime *const *)a;
    const struct adl_lifetime *y = *(struct adl_lifetime *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Returns the lowest offset at which `item` overlaps none of the `count` placed items that
 * are alive at the same time. `alive` has room for `count` pointers. */
static size_t find_gap(const struct adl_lifetime *item, struct adl_lifetime *placed, size_t count,
                       struct adl_lifetime **alive, int share)
{
    size_t living = 0, offset = 0;
    for (size_t i = 0; i < count; i++)
        if (!share || (placed[i].first <= item->last && item->first <= placed[i].last))
            alive[living++] = &placed[i];
    qsort(alive, living, sizeof(struct adl_lifetime *), lower_first);
    for (size_t i = 0; i < living; i++) {
        if (alive[i]->offset >= offset + item->size)
            break;
        offset = ADL_MAX(offset, alive[i]->offset + alive[i]->size);
    }
    return offset;
}

int adl_lifetime_place(struct adl_lifetime *items, size_t count, int share, size_t *total,
                       struct adl_error *err)
{
    struct adl_lifetime **alive = adl_calloc(count, sizeof(struct adl_lifetime *));
    if (!alive)
        return adl_fail_nomem(err, "the memory plan");
    qsort(items, count, sizeof *items, larger_first);
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        items[i].offset = find_gap(&items[i], items, i, alive, share);
        *total = ADL_MAX(*total, items[i].offset + items[i].size);
    }
    adl_free(alive);
    return 0;
}
