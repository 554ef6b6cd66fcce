#ifndef ADL_MODELS_MODEL_H
#define ADL_MODELS_MODEL_H

/* A model: architecture, weights and what the model file says about classes,
 * preprocessing and the CAM threshold. Turns files into models and back. */

#include "base/str.h"
#include "io/tensor.h"
#include "models/arch.h"
#include "plan/plan.h"

struct adl_model {
    struct adl_arch arch;
    struct adl_graph *graph;     /* built at the model's input size */
    struct adl_tensors *weights; /* float32, one per parameter, in the graph's names; NULL once
                                    they were dropped */
    const float **params;        /* the weights by parameter id */

    char **classes;     /* class_count names; NULL when the file has none */
    size_t class_count; /* = arch.num_classes */

    int input_h, input_w; /* what images are resized to */
    float mean[3], std[3];
    double cam_threshold; /* 0..1, of the normalised map */

    json_t *training; /* provenance and metrics as in the file; NULL: none */
    json_t *metrics;
    /* SHA-256 in hex of each parameter's name, a NUL, and its float32 bytes, in
     * the graph's order; empty for a model that was not loaded. */
    char digest[65];
};

/* What a caller knows about a file that does not say it (--arch and friends). */
struct adl_model_options {
    /* NULL: the file has to say. Where the file says it too, the file's counts;
     * what differs here from the backbone's defaults must not contradict it
     * (ARG), except `adl`: true asks for the ADL variant of what is there. */
    const struct adl_arch *arch;
    const char *key;    /* entry of a PyTorch checkpoint; NULL: found */
    bool allow_missing; /* initialise what does not fit, see adl_model_create */
    /* When the names do not fit: a table of what is missing, unexpected or
     * misshapen, with the nearest names, is written here (may be NULL). */
    struct adl_str *report;
};

/* Reads safetensors or PyTorch weights. Parameter numbers that layers of another
 * variant (ADL or not, 14x14 or 28x28) shift are mapped; num_batches_tracked is
 * ignored; other types are converted to float32. Fails with FORMAT when tensors
 * are missing, unexpected or misshapen, unless that is allowed and at least one
 * fits. `options` may be NULL. What a file does not say: 224x224, ImageNet's
 * mean and std, threshold 0.35, no class names. */
struct adl_model *adl_model_load(const char *path, const struct adl_model_options *options,
                                 struct adl_error *err) ADL_MUST_CHECK;
void adl_model_free(struct adl_model *model);

/* A model without a file, to measure speed (`bench --arch`) or to be filled:
 * batch norm neutral (scale and variance 1), everything else zero. */
struct adl_model *adl_model_create(const struct adl_arch *arch, int input_h, int input_w,
                                   struct adl_error *err) ADL_MUST_CHECK;

/* For `train --init`: a weight file, of which both the next take what they want;
 * adl_tensors_free(). `key` as in the options. */
struct adl_tensors *adl_model_read_weights(const char *path, const char *key,
                                           struct adl_error *err) ADL_MUST_CHECK;
/* What the file says of its network, as a model without graph and weights; NULL where
 * it says nothing, as other frameworks' files. */
struct adl_model *adl_model_described(const struct adl_tensors *tensors);
/* Takes whatever fits by name and shape and leaves the rest of the weights as they
 * are. taken[id] says which parameters were (may be NULL), `report` as in the
 * options. Fails with FORMAT when nothing fits. */
int adl_model_take(struct adl_model *model, struct adl_tensors *tensors, bool *taken,
                   struct adl_str *report, struct adl_error *err) ADL_MUST_CHECK;

/* Writes the model file of the contract. Not while others read model->weights:
 * the description becomes its metadata first. */
int adl_model_save(const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Turns the model into its variant with or without ADL: the graph is built anew
 * and the weights get that variant's names. On failure nothing has changed. */
int adl_model_set_adl(struct adl_model *model, bool adl, struct adl_error *err) ADL_MUST_CHECK;

/* A plan of the model, which loses its weights on the way, each as soon as it is
 * packed, so that they are never in memory twice. Also where that fails. The
 * model has to outlive the plan; `release` of the options is not used. */
struct adl_plan *adl_model_into_plan(struct adl_model *model,
                                     const struct adl_plan_options *options,
                                     struct adl_error *err) ADL_MUST_CHECK;

/* Frees the weights; a plan that was made of them has its own. */
void adl_model_drop_weights(struct adl_model *model);

/* Computes model->digest anew, after the weights were changed in place. */
void adl_model_update_digest(struct adl_model *model);

/* Class by its exact label, also where that is a number; else by id ("3"); else by
 * label without case, then by the first of comma-separated synonyms; -1 when
 * there is none. */
int adl_model_find_class(const struct adl_model *model, const char *text);
/* The label, or "class 3" into `text` where the model has no names. */
const char *adl_model_label(const struct adl_model *model, int class_id, char *text, size_t size);

/* Replaces the names (copied); fails with ARG when the count differs or a name
 * is not UTF-8, with LIMIT when one is too long. */
int adl_model_set_classes(struct adl_model *model, const char *const *names, size_t count,
                          struct adl_error *err) ADL_MUST_CHECK;

/* The `adl` object of the model file (contract.md); the caller owns it. NULL is
 * out of memory. */
json_t *adl_model_to_json(const struct adl_model *model) ADL_MUST_CHECK;

#endif
