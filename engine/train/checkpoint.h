#ifndef ADL_TRAIN_CHECKPOINT_H
#define ADL_TRAIN_CHECKPOINT_H

/* The state of a training run as a safetensors file: the tensors "param.NAME" and
 * "velocity.NAME" (running statistics have no velocity), "average.NAME" and "square.NAME" if the
 * optimizer keeps them, and everything else that the run has to remember as text, in the metadata
 * under "adl_state". Files are written atomically: a process killed at any moment leaves either the
 * old file or the new one. */

#include "io/tensor.h"
#include "train/optimizer.h"

/* Returns whether all parameters, running statistics, velocities, averages and squares are finite.
 * If not, *name
 * (`name` may be NULL) is set to the name of the first parameter that is not, owned by the
 * graph. */
bool adl_checkpoint_is_finite(const struct adl_graph *graph, const struct adl_optimizer *optimizer,
                              const char **name);

/* Writes all of them. `text` is stored unchanged. Fails with ADL_ERR_IO or
 * ADL_ERR_NOMEM, and with ADL_ERR_LIMIT if a value is not finite, since nothing can be
 * resumed from that; a file that was at `path` is then still there. */
int adl_checkpoint_save(const char *path, const struct adl_graph *graph,
                        const struct adl_optimizer *optimizer, const char *text,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Returns the text alone, without a network to read the tensors into; to be freed by
 * adl_free. Fails with ADL_ERR_FORMAT if the file is not a training state, and as
 * adl_safetensors_read does. */
char *adl_checkpoint_text(const char *path, struct adl_error *err) ADL_MUST_CHECK;

/* Reads them back into an optimizer of an equal graph that keeps the same as the saved one. The
 * caller owns
 * `*text` (adl_free). Fails with ADL_ERR_FORMAT when a tensor is missing, superfluous or has
 * another shape, or a value is not finite, and as adl_safetensors_read does; the optimizer
 * and `*text` are then unchanged. */
int adl_checkpoint_load(const char *path, const struct adl_graph *graph,
                        struct adl_optimizer *optimizer, char **text,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
