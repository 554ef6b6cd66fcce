#ifndef ADL_DATA_SPLIT_H
#define ADL_DATA_SPLIT_H

/* The splits of a data set that has none of its own, and those that the user asks for. Private to
 * engine/data/. */

#include "data/draft.h"

enum adl_part { ADL_PART_ALL, ADL_PART_TRAIN, ADL_PART_VAL };

/* Sets *part to the part of the images that is the split of draft->options, and the note of the
 * data set where val stands in for test. Fails with ADL_ERR_NOT_FOUND for a split that there is
 * not; the message says what the data set is (`what`) and how it could have it (`remedy`). */
int adl_split_find(struct adl_draft *draft, const char *what, const char *remedy,
                   enum adl_part *part, struct adl_error *err) ADL_MUST_CHECK;

/* Sets chosen[i] to whether the i-th image of a class, whose name is names[i], belongs to the part.
 * Fails with ADL_ERR_NOMEM. */
int adl_split_choose(const char *const *names, size_t count, enum adl_part part, bool *chosen,
                     struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ADL_ERR_ARG if the numbers are out of range or contradict each other. */
int adl_division_check(const struct adl_dataset_division *division,
                       struct adl_error *err) ADL_MUST_CHECK;
/* Keeps the images of val, or those of train, in their order. `place` is the data set in messages.
 * Fails with ADL_ERR_ARG if one of the two would be empty, and with ADL_ERR_NOMEM. */
int adl_dataset_divide(struct adl_dataset *dataset, const struct adl_dataset_division *division,
                       bool val, const char *place, struct adl_error *err) ADL_MUST_CHECK;

#endif
