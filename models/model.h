#ifndef ADL_MODELS_MODEL_H
#define ADL_MODELS_MODEL_H

/* A model: architecture, weights and what the model file says about classes,
 * preprocessing and the CAM threshold. Turns files into models and back. */

#include "base/str.h"
#include "io/tensor.h"
#include "models/models.h"

struct adl_model {
    struct adl_arch arch;
    struct adl_graph *graph;     /* built at the model's input size */
    struct adl_tensors *weights; /* float32, one per parameter, in the graph's names; NULL after
                                    adl_model_drop_weights */
    const float **params;        /* the weights by parameter id */

    char **classes;     /* class_count names; NULL when the file has none */
    size_t class_count; /* = arch.num_classes */

    int input_h, input_w; /* what images are resized to */
    float mean[3], std[3];
    double cam_threshold; /* 0..1, of the normalised map */

    json_t *training; /* provenance and metrics as in the file; NULL: none */
    json_t *metrics;
    char digest[65]; /* SHA-256 of the weights' names and bytes, hex */
};

/* What a caller knows about a file that does not say it (--arch and friends). */
struct adl_model_options {
    const struct adl_arch *arch; /* NULL: the file has to say */
    const char *key;             /* entry of a PyTorch checkpoint; NULL: found */
    bool allow_missing;          /* initialise what is missing with zeros */
    /* When the names do not fit: a table of what is missing, unexpected or
     * misshapen, with the nearest names, is written here (may be NULL). */
    struct adl_str *report;
};

/* Reads safetensors or PyTorch weights. Parameter numbers shifted by ADL layers
 * are mapped in both directions; num_batches_tracked is ignored; other types
 * are converted to float32. Fails with FORMAT when tensors are missing,
 * unexpected or misshapen. */
struct adl_model *adl_model_load(const char *path, const struct adl_model_options *options,
                                 struct adl_error *err) ADL_MUST_CHECK;
void adl_model_free(struct adl_model *model);

/* A model with zero weights, to measure speed (`bench --arch`). */
struct adl_model *adl_model_create(const struct adl_arch *arch, int input_h, int input_w,
                                   struct adl_error *err) ADL_MUST_CHECK;

/* Writes the model file of the contract. */
int adl_model_save(const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Frees the weights once a plan has packed them; the classifier's rows stay,
 * for the plan owns its own copy. */
void adl_model_drop_weights(struct adl_model *model);

/* Class by id ("3") or by label, exact first, then without case, then the first
 * of comma-separated synonyms; -1 when there is none. */
int adl_model_find_class(const struct adl_model *model, const char *text);
/* The label, or "class 3" into `text` where the model has no names. */
const char *adl_model_label(const struct adl_model *model, int class_id, char *text, size_t size);

/* Replaces the names; fails with ARG when the count differs. */
int adl_model_set_classes(struct adl_model *model, const char *const *names, size_t count,
                          struct adl_error *err) ADL_MUST_CHECK;

/* The `adl` object of the model file (contract.md); the caller owns it. */
json_t *adl_model_to_json(const struct adl_model *model) ADL_MUST_CHECK;

#endif
