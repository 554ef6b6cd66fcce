#ifndef ADL_BASE_EDIT_H
#define ADL_BASE_EDIT_H

/* How much two words differ, to name the one that was probably meant. */

#include <stddef.h>

/* The longest word that is compared. */
#define ADL_EDIT_BYTES 96

/* Levenshtein's distance in bytes: the fewest that have to be put in, taken out or
 * changed to make one word the other; SIZE_MAX when one is longer than that. */
size_t adl_edit_distance(const char *a, size_t length_a, const char *b, size_t length_b);

#endif
