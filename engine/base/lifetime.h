#ifndef ADL_BASE_LIFETIME_H
#define ADL_BASE_LIFETIME_H

/* Memory for things that live one after another: things whose lives do not
 * overlap may share a place. Placed largest first, each at the lowest offset
 * that no living neighbour covers (as XNNPACK's memory planner does). */

#include <stddef.h>

#include "base/error.h"

struct adl_lifetime {
    int id;          /* the caller's; breaks ties, so that the result is determined */
    int first, last; /* the steps at which it lives, both inclusive */
    size_t size;
    size_t offset; /* the result */
};

/* Orders the items by size and gives each its offset; *total is the end of the
 * last. Without `share` nothing shares a place. Fails with NOMEM. */
int adl_lifetime_place(struct adl_lifetime *items, size_t count, int share, size_t *total,
                       struct adl_error *err) ADL_MUST_CHECK;

#endif
