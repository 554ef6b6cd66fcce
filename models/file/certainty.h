#ifndef ADL_MODELS_FILE_CERTAINTY_H
#define ADL_MODELS_FILE_CERTAINTY_H

/* Writes and reads what a model file says about its certainty (wsol/certainty.h), the member
 * "certainty" of its description:
 *
 *   {"temperature": 1.3,
 *    "presence": {"slope": 1.2, "offset": 5.0},
 *    "confidence": {"bias": 4.6, "evidence": [
 *        {"name": "class", "weight": 0.2, "low": -5, "high": 5}, ...]}}
 *
 * Each member may be absent; evidence that is not listed has no weight. */

#include <jansson.h>

#include "wsol/certainty.h"

/* Returns whether there is anything to write. */
bool adl_certainty_is_known(const struct adl_certainty *certainty);

/* Returns the object, which the caller owns; NULL when out of memory. */
json_t *adl_certainty_to_json(const struct adl_certainty *certainty) ADL_MUST_CHECK;

/* Reads the object; NULL stands for a file without one and changes nothing. Fails with
 * ADL_ERR_FORMAT for a value of a wrong type or out of range, which the message names, and with
 * ADL_ERR_UNSUPPORTED for evidence that this program does not know: without it the confidence would
 * be another. */
int adl_certainty_from_json(struct adl_certainty *certainty, const json_t *json,
                            struct adl_error *err) ADL_MUST_CHECK;

#endif
