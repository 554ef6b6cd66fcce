#ifndef ADL_BASE_LIFETIME_H
#define ADL_BASE_LIFETIME_H

/* Memory planning: assigns offsets in one block to items, each of which is needed during a
 * known interval of steps. Items whose intervals do not overlap may share bytes. */

#include <stddef.h>

#include "base/error.h"

struct adl_lifetime {
    int id;          /* the caller's; breaks ties, so that the result is deterministic */
    int first, last; /* the first and the last step that need the item */
    size_t size;     /* bytes, or another unit, which is then that of the offsets */
    size_t offset;   /* the result */
};

/* Sets the offset of each item and sorts the items by size, the largest first, and by id
 * where sizes are equal; *total becomes the size of the block. The offsets do not depend
 * on the order in which the items are given. With `share` 0 no bytes are shared, whatever
 * the intervals. Fails with ADL_ERR_NOMEM. */
int adl_lifetime_place(struct adl_lifetime *items, size_t count, int share, size_t *total,
                       struct adl_error *err) ADL_MUST_CHECK;

#endif
