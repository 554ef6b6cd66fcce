#ifndef ADL_IO_TORCH_H
#define ADL_IO_TORCH_H

/* Reads PyTorch checkpoint files (.pth, .pt, .pth.tar) without executing any code in them: the
 * zip container that torch.save writes since version 1.6, and the stream of pickles that it
 * wrote before. */

#include <stdbool.h>

#include "io/tensor.h"

/* Returns whether the bytes begin like one of the two containers. */
bool adl_torch_sniff(const void *bytes, size_t length);

/* Returns the tensors of the state_dict in the file, contiguous, in the order of the state_dict;
 * the caller owns them. The prefixes of wrapper modules are removed from the names
 * (adl_torch_unwrap). Views and tensors that share a storage are copied into separate tensors;
 * element types are kept. Python scalars, strings and dicts among the tensors are skipped; any
 * other object is an error that names it.
 *
 * `key` names the entry of the checkpoint that is the state_dict: "model", an entry of an entry
 * ("ckpt.model", "models.0"), or a prefix of the names of the wanted tensors, which ends before
 * a dot. If it is NULL, or if the entry holds no tensors directly, all dicts below are
 * searched. Dicts of optimizers and those with at most half as many tensors as the largest do
 * not count, and averages of the weights ("ema", "swa", "averaged") only if there is no other dict.
 * If several are left, the one with a usual name (state_dict, model_state_dict, model, net,
 * weights, params, ...) is taken; otherwise the call fails and lists them. If an entry below the
 * top object was chosen, the note of the result says so (adl_tensors_note). Scalars and strings at
 * the top level (epoch, architecture) become metadata "torch.KEY".
 *
 * Fails with ADL_ERR_FORMAT (corrupt), ADL_ERR_UNSUPPORTED (a TorchScript program, a whole
 * module, an object or an element type that is not read, several state_dicts),
 * ADL_ERR_NOT_FOUND (`key`), ADL_ERR_LIMIT or ADL_ERR_NOMEM. */
struct adl_tensors *adl_torch_parse(const void *bytes, size_t length, const char *key,
                                    struct adl_error *err) ADL_MUST_CHECK;

/* Copies a parameter's name without the prefixes of DataParallel, torch.compile and the like, which
 * may stand before any component of the name, since they may wrap only a part of a network. `bare`
 * has room for length + 1 bytes. */
void adl_torch_unwrap(const char *name, size_t length, char *bare);

/* Reads a weight file ("-" is stdin), safetensors or PyTorch, as its first bytes tell. `key` is as
 * for adl_torch_parse(); in safetensors it selects the tensors whose names begin with it and a
 * dot, if there are any. Error messages begin with the path. */
struct adl_tensors *adl_weights_read(const char *path, const char *key,
                                     struct adl_error *err) ADL_MUST_CHECK;

#endif
