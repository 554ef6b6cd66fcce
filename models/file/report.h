#ifndef ADL_MODELS_FILE_REPORT_H
#define ADL_MODELS_FILE_REPORT_H

/* Writes the table of weights that do not fit a network. */

#include "base/str.h"
#include "models/file/match.h"

/* Appends rows for the missing, unexpected and misshapen tensors, with the nearest names; the
 * first two kinds have ADL_LIMIT_REPORT_ROWS rows at most. Appends nothing if all tensors fit.
 * Sets report->failed when out of memory. */
void adl_match_report(const struct adl_match *match, struct adl_str *report);

#endif
