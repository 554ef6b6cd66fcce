#ifndef ADL_SERVER_EXPERIMENT_GALLERY_H
#define ADL_SERVER_EXPERIMENT_GALLERY_H

#include "base/str.h"
#include "server/experiment/figures.h"

/* Appends a few photographs of the gallery's measure, spread evenly over its split, each under
 * every row side by side: the map and the box of the model of the row's first complete seed. A row
 * whose model or data cannot be read is left out, with a line on standard error. Fails with
 * ADL_ERR_NOMEM. */
int adl_experiment_gallery(struct adl_str *page, const struct adl_figures *figures,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
