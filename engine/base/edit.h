#ifndef ADL_BASE_EDIT_H
#define ADL_BASE_EDIT_H

/* How much two words differ, to suggest the one that was probably meant. */

#include <stddef.h>

/* The longest word that is compared, in bytes. */
#define ADL_EDIT_BYTES 96

/* Returns Levenshtein's distance: the smallest number of bytes to insert, remove or change to
 * turn one word into the other; SIZE_MAX if either is longer than ADL_EDIT_BYTES. */
size_t adl_edit_distance(const char *a, size_t length_a, const char *b, size_t length_b);

#endif
