#ifndef ADL_MODELS_FILE_REPORT_H
#define ADL_MODELS_FILE_REPORT_H

/* The table of weights that do not fit a network. */

#include "base/str.h"
#include "models/file/match.h"

/* Appends a row for each missing, unexpected and misshapen tensor, with the nearest
 * names; nothing when everything fits. Running out of memory is remembered in
 * report->failed. */
void adl_match_report(const struct adl_match *match, struct adl_str *report);

#endif
