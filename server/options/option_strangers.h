#ifndef ADL_SERVER_OPTIONS_OPTION_STRANGERS_H
#define ADL_SERVER_OPTIONS_OPTION_STRANGERS_H

/* Environment variables ADL_SERVER_NAME that name no option of a table: a typing mistake,
 * which would otherwise go unnoticed. */

#include "server/options/option.h"

/* Calls `report` with one sentence for each, which names the option that was probably
 * meant. Empty variables count as unset. */
void adl_option_strangers(const struct adl_option *table,
                          void (*report)(void *context, const char *sentence), void *context);

#endif
