#ifndef ADL_SERVER_EXPERIMENT_SEARCH_DRAW_H
#define ADL_SERVER_EXPERIMENT_SEARCH_DRAW_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* Sets in `options` what `draw` says for draw `number` (1 and up): an object whose members are
 * {"uniform": [a, b]}, {"log_uniform": [a, b]}, {"whole": [a, b]} or {"choice": [...]}. A value
 * depends on the seed, the number and the option's name alone: it stays the same when there are
 * more draws or other options, and rows that draw the same option draw the same values. `draw` may
 * be NULL. Fails with ADL_ERR_FORMAT and a message that names the option, and with ADL_ERR_NOMEM.
 */
int adl_search_draw(json_t *options, const json_t *draw, int seed, size_t number, const char *where,
                    struct adl_error *err) ADL_MUST_CHECK;

#endif
