#ifndef ADL_SERVER_EXPERIMENT_EXPERIMENT_JSON_H
#define ADL_SERVER_EXPERIMENT_EXPERIMENT_JSON_H

/* Reads members of JSON objects strictly. All functions fail with ADL_ERR_FORMAT and a message that
 * names the member; `where` says which object it is, as in "rows[2]". */

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* Fails unless `value` is an object whose keys are all among `known` (NULL-terminated); the message
 * names the nearest of them. */
int adl_strict_object(const json_t *value, const char *where, const char *const *known,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Set *text to a member that is a text, and leave it unchanged if there is none. A null is accepted
 * by the first and sets NULL; the second fails if there is none. */
int adl_strict_text(const json_t *object, const char *where, const char *key, const char **text,
                    struct adl_error *err) ADL_MUST_CHECK;
int adl_strict_required(const json_t *object, const char *where, const char *key, const char **text,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Sets *number to a member that is a whole number from `min` to `max`, and leaves it unchanged if
 * there is none. */
int adl_strict_whole(const json_t *object, const char *where, const char *key, int min, int max,
                     int *number, struct adl_error *err) ADL_MUST_CHECK;

/* Sets *list to a member that is a list with at least one item; NULL if there is none. */
int adl_strict_list(const json_t *object, const char *where, const char *key, const json_t **list,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Fails unless the text may name a directory: letters, digits, ".", "_", "-" and "+", with a letter
 * or a digit first. */
int adl_strict_name(const char *name, const char *where, struct adl_error *err) ADL_MUST_CHECK;

/* Sets the options of the object `from` in `options`: each text, number or list of them as a text,
 * true as true. null and false take an option away. `from` may be NULL. */
int adl_strict_options(json_t *options, const json_t *from, const char *where,
                       struct adl_error *err) ADL_MUST_CHECK;

#endif
