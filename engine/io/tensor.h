#ifndef ADL_IO_TENSOR_H
#define ADL_IO_TENSOR_H

/* Sets of named tensors as files hold them: a state_dict, the weights of a network, the
 * input and output of `forward`. Row-major, with PyTorch's names and layouts: K x C/groups
 * x R x S for a convolution, K x C for a linear layer. */

#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"
#include "io/dtype.h"

struct adl_tensor {
    const char *name; /* unique within its set */
    enum adl_dtype dtype;
    int rank;                     /* dimensions; 0 is a scalar */
    size_t shape[ADL_LIMIT_RANK]; /* only the first `rank` are used; any may be 0 */
    size_t count;                 /* elements: the product of the shape */
    void *data; /* count elements, aligned to 64 bytes, little-endian; NULL once taken */
};

/* An ordered set of tensors, with text metadata. Owns names and data. One thread while it
 * is being filled, immutable and shared afterwards. */
struct adl_tensors;

struct adl_tensors *adl_tensors_create(struct adl_error *err) ADL_MUST_CHECK;
void adl_tensors_free(struct adl_tensors *tensors);

size_t adl_tensors_count(const struct adl_tensors *tensors);
/* Returns the tensor of this index; tensors are numbered in the order in which they were
 * added. */
const struct adl_tensor *adl_tensors_at(const struct adl_tensors *tensors, size_t index);
/* Returns the tensor of that name, by a hash look-up; NULL if there is none. */
const struct adl_tensor *adl_tensors_find(const struct adl_tensors *tensors, const char *name);

/* Adds a tensor with zeroed data, which the caller fills through the result. That pointer
 * stays valid until the set is freed. `shape` may be NULL when the rank is 0. Fails with
 * ADL_ERR_FORMAT when a tensor of that name exists, with ADL_ERR_LIMIT over the limits on
 * names, ranks and sizes, and with ADL_ERR_NOMEM. */
struct adl_tensor *adl_tensors_add(struct adl_tensors *tensors, const char *name,
                                   enum adl_dtype dtype, int rank, const size_t *shape,
                                   struct adl_error *err) ADL_MUST_CHECK;

/* As adl_tensors_add, but with uninitialised data, for readers that write every byte. */
struct adl_tensor *adl_tensors_add_unset(struct adl_tensors *tensors, const char *name,
                                         enum adl_dtype dtype, int rank, const size_t *shape,
                                         struct adl_error *err) ADL_MUST_CHECK;

/* As adl_tensors_add, but with the caller's data, a block of adl_malloc, which the set owns
 * from then on; on failure it remains the caller's. */
struct adl_tensor *adl_tensors_add_data(struct adl_tensors *tensors, const char *name,
                                        enum adl_dtype dtype, int rank, const size_t *shape,
                                        void *data, struct adl_error *err) ADL_MUST_CHECK;

/* Gives the data of the tensor of that name, which must exist, to the caller, who frees it
 * by adl_free. The tensor's `data` is NULL from then on. */
void *adl_tensors_take_data(struct adl_tensors *tensors, const char *name);

/* Renames tensor `index`; `name` may point into the old name. Fails as adl_tensors_add
 * does. */
int adl_tensors_rename(struct adl_tensors *tensors, size_t index, const char *name,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Gives tensor `index` another type, shape and data, a block of adl_malloc that the set owns from
 * then on; the old data are freed. The shape is within the limits of adl_tensors_add(). */
void adl_tensors_replace(struct adl_tensors *tensors, size_t index, enum adl_dtype dtype, int rank,
                         const size_t *shape, void *data);

/* Metadata: a text for each key, as `__metadata__` of safetensors. Setting replaces the old
 * text; adl_tensors_meta returns NULL when the key was not set. */
int adl_tensors_set_meta(struct adl_tensors *tensors, const char *key, const char *value,
                         struct adl_error *err) ADL_MUST_CHECK;
const char *adl_tensors_meta(const struct adl_tensors *tensors, const char *key);
size_t adl_tensors_meta_count(const struct adl_tensors *tensors);
void adl_tensors_meta_at(const struct adl_tensors *tensors, size_t index, const char **key,
                         const char **value);

/* One clause for the user on how a reader chose among what the file has; NULL: there was no
 * choice. It is no part of the file. */
int adl_tensors_set_note(struct adl_tensors *tensors, const char *note,
                         struct adl_error *err) ADL_MUST_CHECK;
const char *adl_tensors_note(const struct adl_tensors *tensors);

/* All elements as float32, rounded to nearest even where the type is wider.
 * `out` has room for tensor->count. */
void adl_tensor_to_f32(const struct adl_tensor *tensor, float *out);

/* Returns the bytes of the tensor's data. */
size_t adl_tensor_bytes(const struct adl_tensor *tensor);

/* Writes the shape, such as "[64, 3, 7, 7]", into `text`, cut at `size` bytes; returns
 * `text`. */
char *adl_tensor_shape_text(const struct adl_tensor *tensor, char *text, size_t size);

#endif
