#ifndef ADL_IO_TORCH_H
#define ADL_IO_TORCH_H

/* PyTorch checkpoint files (.pth, .pt, .pth.tar), read without executing
 * anything: the zip container since 1.6 and the legacy stream before it. */

#include <stdbool.h>

#include "io/tensor.h"

/* True when the bytes begin like one of the two containers. */
bool adl_torch_sniff(const void *bytes, size_t length);

/* The tensors of the state_dict in the file, contiguous, in its order, with
 * `module.` and `_orig_mod.` stripped wherever a component of the name begins
 * (DataParallel may wrap a part of a network). Views and shared storages become
 * tensors of their own; dtypes stay as they are. Python scalars in it are
 * skipped, anything else in it that is no tensor is refused by name.
 *
 * `key` (may be NULL) names the entry of the checkpoint that holds it; without
 * one the first of state_dict, model_state_dict, model, net, weights, ema that
 * holds tensors is taken, else the top object. Scalars and strings at the top
 * level (epoch, architecture) become metadata "torch.KEY". The caller owns the
 * result. */
struct adl_tensors *adl_torch_parse(const void *bytes, size_t length, const char *key,
                                    struct adl_error *err) ADL_MUST_CHECK;

/* Reads a weight file ("-" is stdin) of any kind we know, told apart by its first
 * bytes: safetensors or PyTorch. `key` as above; safetensors has no use for it.
 * Messages begin with the path. */
struct adl_tensors *adl_weights_read(const char *path, const char *key,
                                     struct adl_error *err) ADL_MUST_CHECK;

#endif
