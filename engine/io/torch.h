#ifndef ADL_IO_TORCH_H
#define ADL_IO_TORCH_H

/* PyTorch checkpoint files (.pth, .pt, .pth.tar), read without executing anything: the zip
 * container that torch.save writes since version 1.6, and the stream of pickles that it wrote
 * before. */

#include <stdbool.h>

#include "io/tensor.h"

/* Returns whether the bytes begin like one of the two containers. */
bool adl_torch_sniff(const void *bytes, size_t length);

/* Returns the tensors of the state_dict in the file, contiguous, in the order of the
 * state_dict; the caller owns them. `module.` and `_orig_mod.` are removed wherever a
 * component of a name begins, since DataParallel and torch.compile may wrap a part of a
 * network. Views and shared storages become separate tensors; element types are kept. Python
 * scalars among the tensors are skipped; any other object fails with ADL_ERR_UNSUPPORTED and
 * its name in the message.
 *
 * `key` names the entry of the checkpoint that is the state_dict. If it is NULL, the first of
 * state_dict, model_state_dict, model, net, weights and ema that has tensors is taken, or
 * else the top object. Scalars and strings at the top level (epoch, architecture) become
 * metadata "torch.KEY".
 *
 * Fails with ADL_ERR_FORMAT (corrupt), ADL_ERR_UNSUPPORTED (a TorchScript program, a whole
 * module, another type), ADL_ERR_NOT_FOUND (`key`), ADL_ERR_LIMIT or ADL_ERR_NOMEM. */
struct adl_tensors *adl_torch_parse(const void *bytes, size_t length, const char *key,
                                    struct adl_error *err) ADL_MUST_CHECK;

/* Reads a weight file ("-" is stdin), safetensors or PyTorch; the first bytes tell which.
 * `key` is as for adl_torch_parse; it is ignored for safetensors. Messages begin with the
 * path. */
struct adl_tensors *adl_weights_read(const char *path, const char *key,
                                     struct adl_error *err) ADL_MUST_CHECK;

#endif
