#ifndef ADL_SERVER_TRAINING_RUN_RECORD_H
#define ADL_SERVER_TRAINING_RUN_RECORD_H

/* The files in the directory of a training run, and the content of run.json, in which the run
 * records its settings, its data, and the machine. Apart from run.json, a report about the run
 * needs only metrics.jsonl and the models. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define ADL_RUN_RECORD "run.json"             /* written when the run starts or resumes */
#define ADL_RUN_METRICS "metrics.jsonl"       /* one line for each epoch */
#define ADL_RUN_STEPS "steps.jsonl"           /* one line for each N steps, with --log-steps */
#define ADL_RUN_LAST "last.safetensors"       /* the model after the last step that was saved */
#define ADL_RUN_BEST "best.safetensors"       /* the model after the best epoch */
#define ADL_RUN_PREDICTIONS "predictions.csv" /* of the images of val after the best epoch */
#define ADL_RUN_STATE "state.safetensors"     /* the state that --resume continues from */
#define ADL_RUN_REPORT "report.html"

/* The content of run.json. The texts belong to `json`, or to the caller who fills in the
 * struct. */
struct adl_run_record {
    const char *program; /* name and version */
    const char *command; /* the command line */
    const char *network; /* the architecture in words */
    const char *data;    /* the data set as the command line names it */
    /* Paths to open the data set again, absolute if they could be resolved; NULL as in struct
     * adl_dataset_options. */
    const char *data_dir, *image_dir, *metadata_dir, *mask_dir;
    int epochs; /* number of epochs that the run is to train */
    size_t train_images, val_images, classes;
    bool val_boxes; /* val has true boxes, so localization is measured */
    double curve_interval;
    int threads;
    const char *cpu_path, *processor, *blas_version, *blas_threading;
    json_t *config; /* an object: every setting that affects the resulting bits */
    json_t *labels; /* an array with the name of each class; or NULL */
    json_t *json;   /* owns everything above if the record was read; otherwise NULL */
};

/* Returns DIR/NAME, which the caller frees with adl_free(). */
char *adl_run_path(const char *dir, const char *name, struct adl_error *err) ADL_MUST_CHECK;

/* Replaces DIR/run.json. */
int adl_run_record_write(const char *dir, const struct adl_run_record *record,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Reads DIR/run.json. Fails with ADL_ERR_NOT_FOUND if DIR is not a directory or does not contain
 * the file, with ADL_ERR_FORMAT if the file is malformed, and as adl_file_read() does. The record
 * has to be released in any case. */
int adl_run_record_read(const char *dir, struct adl_run_record *record,
                        struct adl_error *err) ADL_MUST_CHECK;
void adl_run_record_release(struct adl_run_record *record);

#endif
