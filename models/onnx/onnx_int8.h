#ifndef ADL_MODELS_ONNX_ONNX_INT8_H
#define ADL_MODELS_ONNX_ONNX_INT8_H

/* Writes a model in 8 bits as ONNX has it: a graph of floats, with a QuantizeLinear and a
 * DequantizeLinear at each map that is bytes ("QDQ"), which runtimes replace by operators on bytes.
 */

#include "models/model.h"
#include "models/onnx/onnx_parts.h"

/* Decides which nodes read bytes. Borrows the model and the shapes of its values. NULL with
 * ADL_ERR_NOMEM. */
struct adl_onnx_int8 *adl_onnx_int8_create(const struct adl_model *model,
                                           const struct adl_shape *shapes,
                                           struct adl_error *err) ADL_MUST_CHECK;
void adl_onnx_int8_free(struct adl_onnx_int8 *int8); /* NULL is fine */

/* Returns the name of the rounded map that a node reads; NULL if it reads floats. `int8` may be
 * NULL. */
const char *adl_onnx_int8_input(const struct adl_onnx_int8 *int8, const struct adl_node *node,
                                int input);
/* Returns whether a node's parameters are in the file as they are; for others,
 * adl_onnx_int8_write() writes them. `int8` may be NULL. */
bool adl_onnx_int8_leaves(const struct adl_onnx_int8 *int8, const struct adl_node *node);

/* Writes a convolution that reads bytes, together with the batch norm behind it. Returns 1 if the
 * node is written, or was with an earlier one; 0 if it is not one of these; -1 with
 * ADL_ERR_NOMEM. */
int adl_onnx_int8_write(struct adl_onnx_writer *w, const struct adl_node *node,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Rounds a value that was just written, if a later node reads it as bytes. Fails with
 * ADL_ERR_NOMEM. */
int adl_onnx_int8_round(struct adl_onnx_writer *w, int value, struct adl_error *err) ADL_MUST_CHECK;

#endif
