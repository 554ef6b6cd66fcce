#ifndef ADL_MODELS_ONNX_IN_IMPORT_FOLD_H
#define ADL_MODELS_ONNX_IN_IMPORT_FOLD_H

/* Makes constants while a graph is read. All is in the arena of the import. */

#include "models/onnx_in/import.h"

/* Adds a constant of this shape and makes it the node's output; its elements, all 0, are int64
 * (*ints) or, where `ints` is NULL, float (*reals). NULL with an error. */
struct adl_onnx_tensor *adl_import_make(struct adl_import *im,
                                        const struct adl_onnx_node_proto *node, int rank,
                                        const int64_t *dims, int64_t **ints, float **reals,
                                        struct adl_error *err) ADL_MUST_CHECK;

/* Makes the output a tensor with the elements of another one and this shape: 1, -1 with an error.
 */
int adl_import_view(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    const struct adl_import_value *in, int rank, const int64_t *dims,
                    struct adl_error *err) ADL_MUST_CHECK;

/* A constant that is being made of elements of others: integers, or else floats. */
struct adl_import_list {
    int64_t *ints;
    float *reals;
};

/* Makes the output a constant with elements of the type of `like`; NULL with an error. */
struct adl_onnx_tensor *adl_import_make_list(struct adl_import *im,
                                             const struct adl_onnx_node_proto *node,
                                             const struct adl_onnx_tensor *like, int rank,
                                             const int64_t *dims, struct adl_import_list *list,
                                             struct adl_error *err) ADL_MUST_CHECK;
/* Copies element `at` of a tensor to element i. */
void adl_import_list_set(struct adl_import_list *list, size_t i, const struct adl_onnx_tensor *from,
                         size_t at);

#endif
