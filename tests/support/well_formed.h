#ifndef ADL_TESTS_SUPPORT_WELL_FORMED_H
#define ADL_TESTS_SUPPORT_WELL_FORMED_H

/* Whether a page is well-formed XML. Good enough for pages without comments,
 * CDATA and single quotes, which ours are; entities are the five we write. */

#include <stddef.h>

/* Where it stops being so; NULL: nowhere. */
const char *well_formed_fault(const char *text);

#endif
