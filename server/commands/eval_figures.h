#ifndef ADL_SERVER_COMMANDS_EVAL_FIGURES_H
#define ADL_SERVER_COMMANDS_EVAL_FIGURES_H

/* What `eval` prints of a whole split: as a table, or as one JSON object. */

#include "server/commands/eval_classes.h"

struct adl_eval_figures {
    struct adl_eval_classes classes; /* the report, the data and the model */
    const char *split;
    double threshold;      /* of the maps, 0..1 */
    double curve_interval; /* step between the thresholds of MaxBoxAcc(V2) */
    bool per_class;        /* also print those of each class */
};

/* Both print to standard output. Fail with ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_eval_figures_json(const struct adl_eval_figures *figures,
                          struct adl_error *err) ADL_MUST_CHECK;
int adl_eval_figures_print(const struct adl_eval_figures *figures,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
