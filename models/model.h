#ifndef ADL_MODELS_MODEL_H
#define ADL_MODELS_MODEL_H

/* A model in memory: architecture, graph, weights, class names, preprocessing and the
 * threshold of its class activation maps. Nothing here knows a file format: models/file/
 * reads and writes model files, models/onnx/ writes ONNX.
 *
 * One thread may use a model while it is filled or changed; afterwards it is immutable and
 * shared. */

#include "io/tensor.h"
#include "models/arch.h"
#include "plan/plan.h"
#include "wsol/certainty.h"
#include "wsol/map_rule.h"
#include "wsol/views.h"

/* The threshold of a model whose file has none. */
#define ADL_MODEL_THRESHOLD 0.35

struct adl_model {
    struct adl_arch arch;
    struct adl_stored *stored; /* owned; the description of the network that `arch` points to; NULL:
                                  it is a backbone */
    struct adl_graph *graph;   /* owned; built at the model's input size */
    struct adl_graph *stride1; /* owned; the graph with a last stride of 1, for maps of more
                                  positions; NULL: not needed yet, or that of `graph` is 1 */
    struct adl_layer_net *layer; /* owned; what maps of another layer need (wsol/layer_net.h); NULL:
                                    nothing needs them */
    struct adl_tensors *weights; /* owned; float32, tensor i holds parameter i of the graph and
                                    has its name; NULL once they were dropped */
    const float **params;        /* params[id]: the data of that tensor */

    char **classes;     /* class_count names, owned; NULL when the model has none */
    size_t class_count; /* = arch.num_classes */

    int input_h, input_w;    /* pixels that images are resized to */
    float mean[3], std[3];   /* of R, G, B in 0..1: the network sees (x - mean) / std */
    struct adl_map_rule map; /* how class maps are formed and cut into boxes */
    float *class_thresholds; /* class_count, owned, as in the map rule; NULL: none */

    struct adl_foreground_head *foreground; /* the few-box head; owned; NULL: none */
    bool foreground_off; /* the file says that its map rule does without the head */

    struct adl_label_rule labels;   /* whether an image may have several classes */
    struct adl_certainty certainty; /* its confidence is for boxes cut by `map` as in the file */

    /* How plans of the model run. */
    enum adl_precision precision;
    /* The weights that adl_quantisation_takes_bf16() names are bfloat16 numbers, in float32, and
     * are written as such. */
    bool bf16;
    /* The scales of a model in 8 bits, whose weights are whole multiples of them; owned. NULL: the
     * model is float32. */
    struct adl_quantisation *quantisation;
    json_t *activations; /* its ranges as in the file, while it is loaded; owned */

    json_t *training; /* provenance and metrics as in the file; NULL: none */
    json_t *metrics;
    char *note; /* for the user: how what the file left open was decided; owned, may be NULL */
    json_t *calibration; /* how the map rule was chosen, and what it is worth; NULL: it was not */
    /* SHA-256 in hex over each parameter's name, a NUL, and its float32 bytes, in
     * the graph's order; empty for a model that was not loaded. */
    char digest[65];
};

/* Returns a model without architecture, graph and weights, with the defaults of what a file
 * need not say: 224x224 pixels, the mean and standard deviation of ImageNet, threshold 0.35,
 * no class names. Returns NULL with ADL_ERR_NOMEM when out of memory. */
struct adl_model *adl_model_new(struct adl_error *err) ADL_MUST_CHECK;

/* Returns a model without a file, to measure speed (`bench --arch`) or to be filled, for
 * images of input_h x input_w pixels: in every batch norm scale and variance are 1, all other
 * parameters 0. Fails as adl_arch_build does. */
struct adl_model *adl_model_create(const struct adl_arch *arch, int input_h, int input_w,
                                   struct adl_error *err) ADL_MUST_CHECK;
void adl_model_free(struct adl_model *model);

/* --- weights ------------------------------------------------------------------- */

/* Makes a tensor for each parameter of the graph, in its order; (*params)[id] points to their
 * data. `found` (may be NULL) has for each parameter the tensor of `from` that holds its
 * values, of the parameter's shape, or NULL: float32 data move from there into the new set,
 * so that no weight is in memory twice; other types are converted. A parameter without a
 * tensor has the values of adl_model_create. The caller owns the set and the list. Fails with
 * ADL_ERR_NOMEM. */
int adl_model_make_weights(const struct adl_graph *graph, const struct adl_tensor *const *found,
                           struct adl_tensors *from, struct adl_tensors **weights,
                           const float ***params, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the values of a parameter, which the caller may change. */
float *adl_model_param(struct adl_model *model, int id);

/* Gives the model a few-box head, of which it takes a copy, or takes it away (NULL); the map rule
 * uses it then. Fails with ADL_ERR_ARG if it does not fit the network (models/head.h), and with
 * ADL_ERR_NOMEM. */
int adl_model_set_foreground(struct adl_model *model, const struct adl_foreground_head *head,
                             struct adl_error *err) ADL_MUST_CHECK;

/* Gives the model thresholds of single classes, class_count of which it takes a copy, or takes them
 * away (NULL); the map rule uses them then. Fails with ADL_ERR_NOMEM. */
int adl_model_set_class_thresholds(struct adl_model *model, const float *thresholds,
                                   struct adl_error *err) ADL_MUST_CHECK;

/* Changes the map rule as a user asks for it. Another rule gives other boxes, for which the model's
 * confidence does not hold: the model then has none. Fails as adl_map_rule_change(). */
int adl_model_change_map(struct adl_model *model, const struct adl_map_changes *changes,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Returns the confidence of boxes that are cut by a rule; NULL if it is not known, because the
 * model has none or has another rule. It belongs to the model. */
const struct adl_confidence *adl_model_confidence(const struct adl_model *model,
                                                  const struct adl_map_rule *rule);

/* Computes model->digest from the weights and the few-box head. */
void adl_model_update_digest(struct adl_model *model);

/* Turns the model into its variant for these training methods, with or without their layers: a
 * new graph is built, and the weights get that variant's names. On failure nothing has changed;
 * ADL_ERR_ARG if only one of the two has the branches or rounds of a method, and so other
 * parameters, and for a model in 8 bits. */
int adl_model_set_methods(struct adl_model *model, struct adl_method_set methods,
                          struct adl_error *err) ADL_MUST_CHECK;

/* The names of adl_model_choose_precision(), terminated by NULL: "auto" (as the file says), "fp32",
 * "bf16" and "int8". */
extern const char *const adl_model_precision_names[];
/* Chooses how plans of the model that are made from now on run: one of these names by its index. A
 * model in 8 bits or bfloat16 runs in float32 as well, with the same rounded weights. Fails with
 * ADL_ERR_ARG for "int8" and a model in float32, whose `path` is for the message, and for "bf16" as
 * adl_model_round_bf16(). */
int adl_model_choose_precision(struct adl_model *model, int choice, const char *path,
                               struct adl_error *err) ADL_MUST_CHECK;
/* Rounds the weights of convolutions and linear layers to bfloat16, to nearest even, but for small
 * ones (adl_quantisation_takes_bf16); plans that are
 * made from now on hold them in bfloat16. All else stays float32. The digest stays that of the
 * file. Fails with ADL_ERR_UNSUPPORTED if a weight is beyond the largest bfloat16. */
int adl_model_round_bf16(struct adl_model *model, struct adl_error *err) ADL_MUST_CHECK;
/* Sets precision and quantisation of the options as the model has them. */
void adl_model_plan_precision(const struct adl_model *model, struct adl_plan_options *options);

/* Keeps what the map of another layer needs, if these views have one, from the weights: a plan that
 * is made afterwards can have such maps. Fails as adl_layer_net_create(). */
int adl_model_keep_layer(struct adl_model *model, const struct adl_map_views *views,
                         struct adl_error *err) ADL_MUST_CHECK;
/* The same from other weights than the model's, by parameter id, which replace those that were kept
 * before: of a network that is being trained. */
int adl_model_keep_layer_of(struct adl_model *model, const float *const *params,
                            const struct adl_map_views *views,
                            struct adl_error *err) ADL_MUST_CHECK;
/* Sets what a plan of the model, made directly, needs from it: precision and quantisation, and the
 * maps that its map rules read beside the last one, of the layer that was kept above and of the
 * few-box head. */
void adl_model_plan_options(const struct adl_model *model, struct adl_plan_options *options);

/* Returns a plan of the model, with the layer that was kept, or else that of its map rule. The
 * model loses each weight as soon as it is packed, so that no weight is in memory twice; on failure
 * the weights are lost as well. The model has to outlive the plan; `release`, `precision` and
 * `quantisation` of the options are not used. */
struct adl_plan *adl_model_into_plan(struct adl_model *model,
                                     const struct adl_plan_options *options,
                                     struct adl_error *err) ADL_MUST_CHECK;

/* Returns the views (wsol/views.h) of a plan of the model for up to `batch` images. The model has
 * to outlive them. Fails as adl_views_create() does. */
struct adl_views *adl_model_open_views(struct adl_model *model, struct adl_plan *plan,
                                       struct adl_pool *pool, int batch,
                                       struct adl_error *err) ADL_MUST_CHECK;

/* Returns the views of a plan that is made as by adl_model_into_plan() for the model's input size:
 * the model loses its weights. Fails as that and adl_model_open_views() do. */
struct adl_views *adl_model_into_views(struct adl_model *model, struct adl_pool *pool, int batch,
                                       struct adl_error *err) ADL_MUST_CHECK;

/* Frees the weights; a plan that was made from them has its own copy. */
void adl_model_drop_weights(struct adl_model *model);

/* --- classes ------------------------------------------------------------------- */

/* Returns the id of the class that `text` names, or -1. These are tried in turn: the exact
 * label (which may itself be a number), the id in decimal ("3"), the label in upper or lower
 * case, the first of the label's comma-separated synonyms in upper or lower case. */
int adl_model_find_class(const struct adl_model *model, const char *text);
/* Returns the label of a class; if the model has no names, "class 3", written to `text`. */
const char *adl_model_label(const struct adl_model *model, int class_id, char *text, size_t size);

/* Replaces the class names by copies of `names`; fails with ADL_ERR_ARG when the count
 * differs or a name is not UTF-8, with ADL_ERR_LIMIT when one is too long. */
int adl_model_set_classes(struct adl_model *model, const char *const *names, size_t count,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
