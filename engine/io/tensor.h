#ifndef ADL_IO_TENSOR_H
#define ADL_IO_TENSOR_H

/* Named tensors as files hold them: a state_dict, the weights of a network,
 * the input and output of `forward`. Row-major, PyTorch's names and layouts
 * (convolutions O x I/groups x R x S, linear layers O x I). */

#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"
#include "io/dtype.h"

struct adl_tensor {
    const char *name; /* unique within its set */
    enum adl_dtype dtype;
    int rank;                     /* 0 is a scalar */
    size_t shape[ADL_LIMIT_RANK]; /* `rank` of them; any may be 0 */
    size_t count;                 /* elements: the product of the shape */
    void *data; /* count elements, aligned to 64 bytes, little-endian; NULL: taken away */
};

/* An ordered set of tensors and text metadata. Owns names and data. One thread
 * while it is being filled, immutable and shared afterwards. */
struct adl_tensors;

struct adl_tensors *adl_tensors_create(struct adl_error *err) ADL_MUST_CHECK;
void adl_tensors_free(struct adl_tensors *tensors);

size_t adl_tensors_count(const struct adl_tensors *tensors);
/* In the order they were added; index below the count. */
const struct adl_tensor *adl_tensors_at(const struct adl_tensors *tensors, size_t index);
/* NULL when there is none of that name. A hash look-up. */
const struct adl_tensor *adl_tensors_find(const struct adl_tensors *tensors, const char *name);

/* Adds a tensor with zeroed data for the caller to fill through the result,
 * which stays where it is until the set is freed. `shape` may be NULL when the
 * rank is 0. Fails with FORMAT when the name is taken, with LIMIT over the
 * limits. */
struct adl_tensor *adl_tensors_add(struct adl_tensors *tensors, const char *name,
                                   enum adl_dtype dtype, int rank, const size_t *shape,
                                   struct adl_error *err) ADL_MUST_CHECK;

/* The same with data left uninitialised, for readers that write every byte. */
struct adl_tensor *adl_tensors_add_unset(struct adl_tensors *tensors, const char *name,
                                         enum adl_dtype dtype, int rank, const size_t *shape,
                                         struct adl_error *err) ADL_MUST_CHECK;

/* The same with data that the caller has: a block of adl_malloc, which the set owns
 * from then on; on failure it stays the caller's. */
struct adl_tensor *adl_tensors_add_data(struct adl_tensors *tensors, const char *name,
                                        enum adl_dtype dtype, int rank, const size_t *shape,
                                        void *data, struct adl_error *err) ADL_MUST_CHECK;

/* Gives the data of the tensor of that name, which there has to be, to the caller,
 * who frees it by adl_free; the tensor has none from then on. */
void *adl_tensors_take_data(struct adl_tensors *tensors, const char *name);

/* Renames tensor `index`; the new name may be a part of the old one. Fails as
 * adl_tensors_add does. */
int adl_tensors_rename(struct adl_tensors *tensors, size_t index, const char *name,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Metadata: text by key (the safetensors `__metadata__`). get: NULL when unset. */
int adl_tensors_set_meta(struct adl_tensors *tensors, const char *key, const char *value,
                         struct adl_error *err) ADL_MUST_CHECK;
const char *adl_tensors_meta(const struct adl_tensors *tensors, const char *key);
size_t adl_tensors_meta_count(const struct adl_tensors *tensors);
void adl_tensors_meta_at(const struct adl_tensors *tensors, size_t index, const char **key,
                         const char **value);

/* All elements as float32, rounded to nearest even where the type is wider.
 * `out` has room for tensor->count. */
void adl_tensor_to_f32(const struct adl_tensor *tensor, float *out);

/* Bytes of the tensor's data. */
size_t adl_tensor_bytes(const struct adl_tensor *tensor);

/* "[64, 3, 7, 7]" into `text`; returns `text`. */
char *adl_tensor_shape_text(const struct adl_tensor *tensor, char *text, size_t size);

#endif
