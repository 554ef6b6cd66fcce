#ifndef ADL_TESTS_SUPPORT_WELL_FORMED_H
#define ADL_TESTS_SUPPORT_WELL_FORMED_H

/* Checks whether a page is well-formed XML, as far as the pages of the program need it: without
 * comments, CDATA and single quotes, and with the five entities that the program writes. */

#include <stddef.h>

/* Returns the first place at which the page is not well-formed; NULL if it is well-formed. */
const char *well_formed_fault(const char *text);

#endif
