#ifndef ADL_SERVER_OPTIONS_CHANNELS_H
#define ADL_SERVER_OPTIONS_CHANNELS_H

/* The value of --mean and --std: a number for each of R, G and B, or one that
 * counts for all three. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Reads one or three numbers below 1e6 in size from `count` texts, each of which
 * may hold several with commas between them; with `positive`, from 1e-6 on. Fails
 * with ARG; `option` is the name in messages. */
int adl_channels_parse(const char *option, const char *const *texts, size_t count, bool positive,
                       float values[3], struct adl_error *err) ADL_MUST_CHECK;

#endif
