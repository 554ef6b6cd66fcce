#ifndef ADL_MODELS_FILE_LOAD_H
#define ADL_MODELS_FILE_LOAD_H

/* Loads a model from a weight file, safetensors or PyTorch. */

#include "base/str.h"
#include "models/model.h"

/* What a caller knows about a file that does not describe itself (--arch and its options). */
struct adl_model_options {
    /* The architecture; NULL: the file has to describe it. If the file describes it too, its
     * description is used, and a field here that differs from the backbone's default must
     * not contradict it (ADL_ERR_ARG). `method` is taken from here if the file's network has no
     * layers of a method. */
    const struct adl_arch *arch;
    const char *key;    /* entry of a PyTorch checkpoint; NULL: searched for, see io/torch.h */
    const char *prefix; /* only tensors whose names begin with it and a dot; NULL: all */
    bool infer_classes; /* arch->num_classes is only a guess: if the file does not describe
                         * itself, the shape of the classifier decides */
    bool allow_missing; /* parameters without a fitting tensor get adl_model_create's values */
    /* Gets a table of missing, unexpected and misshapen tensors with the nearest names if the
     * weights do not all fit. May be NULL. */
    struct adl_str *report;
};

/* Reads a model; `options` may be NULL. Numbers in parameter names that differ in another variant
 * of the network (with or without ADL, 14x14 or 28x28) are mapped, num_batches_tracked is ignored,
 * and other element types are converted to float32. Properties that the file does not give have
 * the defaults of adl_model_new(). A prefix that all names share ("net.") is removed. Fails with
 * ADL_ERR_FORMAT if tensors are missing, unexpected or misshapen, unless that is allowed and at
 * least one fits, and if a value is not finite as float32; also as adl_weights_read() and
 * adl_model_read_description() do. */
struct adl_model *adl_model_load(const char *path, const struct adl_model_options *options,
                                 struct adl_error *err) ADL_MUST_CHECK;

/* The same from tensors that were read already; the weights move out of the set. */
struct adl_model *adl_model_from_tensors(struct adl_tensors *tensors,
                                         const struct adl_model_options *options,
                                         struct adl_error *err) ADL_MUST_CHECK;

/* --- in steps, for `train --init` -------------------------------------------------- */

/* Returns the tensors of a weight file, without the name prefixes of PyTorch's wrappers; the caller
 * frees them with adl_tensors_free(). `key` and `prefix` are as in the options. */
struct adl_tensors *adl_model_read_weights(const char *path, const char *key, const char *prefix,
                                           struct adl_error *err) ADL_MUST_CHECK;
/* Returns the description of a file as a model without graph and weights; NULL if it has none, as
 * files of other programs, or none that can be read. */
struct adl_model *adl_model_described(const struct adl_tensors *tensors);
/* Copies into the model every tensor whose name, without the prefix that all names share, and shape
 * fit, and leaves the other weights as they are. Sets taken[id] (`taken` may be NULL) to whether
 * parameter `id` was copied; `report` is as in the options. Fails with ADL_ERR_FORMAT if no tensor
 * fits or a value is not finite as float32, and with ADL_ERR_NOMEM. */
int adl_model_take(struct adl_model *model, struct adl_tensors *tensors, bool *taken,
                   struct adl_str *report, struct adl_error *err) ADL_MUST_CHECK;

#endif
