#ifndef ADL_SERVER_TRAINING_TRAIN_EARLY_STOP_H
#define ADL_SERVER_TRAINING_TRAIN_EARLY_STOP_H

#include "server/training/train_state.h"

/* Returns whether --early-stop ends the run at its position: the last N completed epochs were not
 * the best one. It follows from what the state has anyway, so a resumed run ends at the same epoch.
 * A best epoch that is unknown, as that of another val split, ends no run. */
static inline bool adl_train_stops_early(const struct adl_train_run *run)
{
    int patience = run->settings->early_stop;
    return patience > 0 && run->best >= 0 && run->batch == 0 && run->best_epoch > 0 &&
           run->epoch - run->best_epoch >= patience;
}

#endif
