#ifndef ADL_TRAIN_CHECKPOINT_H
#define ADL_TRAIN_CHECKPOINT_H

/* Training state in a safetensors file: "param.NAME", "velocity.NAME", and what
 * else a run has to remember as text metadata "adl_state". Written atomically,
 * so that SIGKILL at any moment leaves the state before or the state after. */

#include "io/tensor.h"
#include "train/optimizer.h"

/* `text` is stored as it is. */
int adl_checkpoint_save(const char *path, const struct adl_graph *graph,
                        const struct adl_optimizer *optimizer, const char *text,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Fills the optimizer; `*text` is the caller's (adl_free). Fails with FORMAT when
 * a tensor is missing, too many or misshapen. On failure the optimizer and `*text`
 * are unchanged. */
int adl_checkpoint_load(const char *path, const struct adl_graph *graph,
                        struct adl_optimizer *optimizer, char **text,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
