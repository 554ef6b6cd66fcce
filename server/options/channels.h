#ifndef ADL_SERVER_OPTIONS_CHANNELS_H
#define ADL_SERVER_OPTIONS_CHANNELS_H

/* The value of --mean and --std: a number for each of R, G and B, or one number that is used
 * for all three. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Reads one or three numbers from `count` texts, each of which may hold several separated by
 * commas. Their absolute values must be below 1e6; with `positive`, they must be at least
 * 1e-6. Fails with ADL_ERR_ARG; `option` is the option's name in messages. */
int adl_channels_parse(const char *option, const char *const *texts, size_t count, bool positive,
                       float values[3], struct adl_error *err) ADL_MUST_CHECK;

#endif
