#ifndef ADL_SERVER_EXPERIMENT_FIGURES_H
#define ADL_SERVER_EXPERIMENT_FIGURES_H

/* The figures of the runs that are finished, and what the table makes of them. */

#include "server/experiment/experiment.h"

/* Of one run; NaN where something is not known. */
struct adl_run_figures {
    bool complete;                    /* all measures have their results */
    double *values;                   /* by column */
    double parameters, multiply_adds; /* of the network at inference */
    double seconds;                   /* of its epochs */
};

struct adl_figures {
    const struct adl_experiment *experiment;
    struct adl_run_figures *runs; /* [row][seed] */
    double *baselines;            /* by column, of the first complete run */
    double *values;               /* the memory behind the pointers */
    double seconds;               /* spent on all runs, measuring included */
    char *machines;               /* lines of text, each once; owned */
    char *left_out;               /* a line for each run of other settings; owned */
};

/* A mean over runs. With n values x: deviation = sqrt(sum (x - mean)^2 / (n - 1)), the standard
 * error of the mean is deviation / sqrt(n). */
struct adl_mean {
    size_t count;
    double mean;      /* NaN: no value */
    double deviation; /* NaN: fewer than two values */
};

/* Reads the results of all runs. A run that is not complete is left out, and
 * so is one of other settings than those that are asked for. Fails with ADL_ERR_FORMAT
 * if a result is malformed or a column names a figure that its measure does not have, with
 * ADL_ERR_IO and ADL_ERR_NOMEM. The figures have to be released in any case. */
int adl_figures_read(struct adl_figures *figures, const struct adl_experiment *experiment,
                     struct adl_error *err) ADL_MUST_CHECK;
void adl_figures_release(struct adl_figures *figures);

/* Returns a run. */
const struct adl_run_figures *adl_figures_at(const struct adl_figures *figures, size_t row,
                                             size_t seed);

/* Returns how many runs of the row are complete. */
size_t adl_figures_count(const struct adl_figures *figures, size_t row);

/* Returns the mean of a column over the runs of a row. */
struct adl_mean adl_figures_mean(const struct adl_figures *figures, size_t row, size_t column);

/* Returns the mean, over the seeds and folds that both rows have, of the difference between the row
 * and the reference in a column: runs of one seed share the order of images and the draws of their
 * augmentation, and those of one fold its images, so such differences scatter less than the runs
 * do. */
struct adl_mean adl_figures_difference(const struct adl_figures *figures, size_t row,
                                       size_t column);

/* Returns the most seeds of which a difference has a pair, over the columns; 0 for the reference
 * itself. */
size_t adl_figures_pairs(const struct adl_figures *figures, size_t row);

/* Returns the mean over the complete runs of a row of parameters, multiply_adds or seconds. */
enum adl_cost { ADL_COST_PARAMETERS, ADL_COST_MULTIPLY_ADDS, ADL_COST_SECONDS };
struct adl_mean adl_figures_cost(const struct adl_figures *figures, size_t row, enum adl_cost cost);

#endif
