#ifndef ADL_IO_TORCH_H
#define ADL_IO_TORCH_H

/* PyTorch checkpoint files (.pth, .pt, .pth.tar), read without executing anything: the zip
 * container that torch.save writes since version 1.6, and the stream of pickles before. */

#include <stdbool.h>

#include "io/tensor.h"

/* True when the bytes begin like one of the two containers. */
bool adl_torch_sniff(const void *bytes, size_t length);

/* The tensors of the state_dict in the file, contiguous, in its order; the caller owns
 * them. `module.` and `_orig_mod.` are removed wherever a component of a name begins, since
 * DataParallel and torch.compile may wrap a part of a network. Views and shared storages
 * become tensors of their own; element types are kept. Python scalars among the tensors are
 * skipped; any other object fails with UNSUPPORTED and its name.
 *
 * `key` names the entry of the checkpoint that is the state_dict. Where it is NULL, the
 * first of state_dict, model_state_dict, model, net, weights and ema that has tensors is
 * taken, or else the top object. Scalars and strings at the top level (epoch, architecture)
 * become metadata "torch.KEY".
 *
 * Fails with FORMAT (corrupt), UNSUPPORTED (a TorchScript program, a whole module, another
 * type), NOT_FOUND (`key`), LIMIT or NOMEM. */
struct adl_tensors *adl_torch_parse(const void *bytes, size_t length, const char *key,
                                    struct adl_error *err) ADL_MUST_CHECK;

/* Reads a weight file ("-" is stdin), safetensors or PyTorch, which its first bytes tell.
 * `key` as above; it does not matter for safetensors. Messages begin with the path. */
struct adl_tensors *adl_weights_read(const char *path, const char *key,
                                     struct adl_error *err) ADL_MUST_CHECK;

#endif
