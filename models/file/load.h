#ifndef ADL_MODELS_FILE_LOAD_H
#define ADL_MODELS_FILE_LOAD_H

/* From a weight file, safetensors or PyTorch, to a model. */

#include "base/str.h"
#include "models/model.h"

/* What a caller knows about a file that does not say it (--arch and friends). */
struct adl_model_options {
    /* The architecture; NULL: the file has to say. Where the file says it too, the
     * file's counts, and a field here that differs from the backbone's default must
     * not contradict it (ARG); except `adl`: true asks for the ADL variant of the
     * file's network. */
    const struct adl_arch *arch;
    const char *key;    /* entry of a PyTorch checkpoint; NULL: searched for, see io/torch.h */
    bool infer_classes; /* where the file does not describe itself, arch->num_classes is only a
                           guess: the classifier's shape decides */
    bool allow_missing; /* parameters without a fitting tensor get adl_model_create's values */
    /* A table of missing, unexpected and misshapen tensors with the nearest names is
     * appended here when the weights do not all fit. May be NULL. */
    struct adl_str *report;
};

/* Reads a model; `options` may be NULL. Parameter numbers that the layers of another
 * variant (with or without ADL, 14x14 or 28x28) shift are mapped, num_batches_tracked
 * is ignored, other types are converted to float32. What the file does not say has the
 * defaults of adl_model_new. A prefix that all names share ("net.") is removed. Fails with
 * ADL_ERR_FORMAT if tensors are missing, unexpected or misshapen, unless that is allowed and at
 * least one fits, and if a value is not finite as float32. */
struct adl_model *adl_model_load(const char *path, const struct adl_model_options *options,
                                 struct adl_error *err) ADL_MUST_CHECK;

/* --- in steps, for `train --init` -------------------------------------------------- */

/* The tensors of a weight file, without the name prefixes of PyTorch's wrappers; freed
 * by adl_tensors_free. `key` as in the options. */
struct adl_tensors *adl_model_read_weights(const char *path, const char *key,
                                           struct adl_error *err) ADL_MUST_CHECK;
/* What the file says of its network, as a model without graph and weights; NULL where
 * it says nothing, as other frameworks' files. */
struct adl_model *adl_model_described(const struct adl_tensors *tensors);
/* Copies into the model every tensor that fits by name, without what is in front of all
 * names, and by shape, and leaves its other
 * weights as they are. taken[id] (may be NULL) says which parameters were copied,
 * `report` is as in the options. Fails with FORMAT when nothing fits or a value is not
 * finite as float32. */
int adl_model_take(struct adl_model *model, struct adl_tensors *tensors, bool *taken,
                   struct adl_str *report, struct adl_error *err) ADL_MUST_CHECK;

#endif
