#ifndef ADL_IO_TORCH_H
#define ADL_IO_TORCH_H

/* PyTorch checkpoint files (.pth, .pt, .pth.tar), read without executing anything: the zip
 * container that torch.save writes since version 1.6, and the stream of pickles that it wrote
 * before. */

#include <stdbool.h>

#include "io/tensor.h"

/* Returns whether the bytes begin like one of the two containers. */
bool adl_torch_sniff(const void *bytes, size_t length);

/* The tensors of the state_dict in the file, contiguous, in its order; the caller owns
 * them. Names are without what wrappers of modules put in (adl_torch_unwrap). Views and shared
 * storages become tensors of their own; element types are kept. Python scalars and dicts among the
 * tensors are skipped; any other object fails with UNSUPPORTED and its name.
 *
 * `key` names the entry of the checkpoint that is the state_dict: "model", an entry of an
 * entry ("ckpt.model", "models.0"), or what the names of the tensors that are meant begin with.
 * Where it is NULL, or where that entry has no tensors itself, all dicts below are searched.
 * Dicts of optimizers and those with at most half as many tensors as the largest do not count,
 * and averages of the weights ("ema") only where there is nothing else. If several are left,
 * the one with a usual name (state_dict, model_state_dict, model, net, weights, params, ...) is
 * taken; otherwise it fails and lists them. What was chosen below the top object is the note of
 * the result (adl_tensors_note). Scalars and strings at the top level (epoch, architecture)
 * become metadata "torch.KEY".
 *
 * Fails with ADL_ERR_FORMAT (corrupt), ADL_ERR_UNSUPPORTED (a TorchScript program, a whole
 * module, another type), ADL_ERR_NOT_FOUND (`key`), ADL_ERR_LIMIT or ADL_ERR_NOMEM. */
struct adl_tensors *adl_torch_parse(const void *bytes, size_t length, const char *key,
                                    struct adl_error *err) ADL_MUST_CHECK;

/* Copies a parameter's name without what DataParallel, torch.compile and the like put into it, at
 * the beginning of any of its components: they may wrap only a part of a network. `bare` has room
 * for length + 1 bytes. */
void adl_torch_unwrap(const char *name, size_t length, char *bare);

/* Reads a weight file ("-" is stdin), safetensors or PyTorch, which its first bytes tell.
 * `key` as above; in safetensors it selects the tensors whose names begin with it and a dot, if
 * there are any. Messages begin with the path. */
struct adl_tensors *adl_weights_read(const char *path, const char *key,
                                     struct adl_error *err) ADL_MUST_CHECK;

#endif
