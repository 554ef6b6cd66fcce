#ifndef ADL_IO_TORCH_PARTS_H
#define ADL_IO_TORCH_PARTS_H

/* What the PyTorch reader's files share: the two containers, the storages they
 * hold, and the tensors that look into those. Private to io/torch*.c. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/pickle.h"
#include "io/tensor.h"

/* Bytes of a storage's key; PyTorch numbers them. Keys are compared with each
 * other, and a pickle may repeat one a million times. */
#define ADL_TORCH_KEY_BYTES 255

/* A flat array of elements that tensors look into. */
struct adl_torch_storage {
    const struct adl_pickle_value *key;
    size_t element_size; /* bytes; 0 when the class is unknown */
    bool typed;          /* `dtype` says what the elements are */
    bool readable;       /* false for complex, quantized and unknown classes */
    enum adl_dtype dtype;
    size_t count;              /* elements, as the pickle says */
    const unsigned char *data; /* NULL until it was found in the container */
};

/* Every storage the pickle mentions, each key once, sorted by key; those of longer
 * keys than are allowed are not there. */
struct adl_torch_storages {
    struct adl_torch_storage *items; /* owned */
    size_t count;
};

int adl_torch_storages_collect(struct adl_torch_storages *storages, const struct adl_pickle *pickle,
                               struct adl_error *err) ADL_MUST_CHECK;
/* NULL when the pickle mentions no storage of that key. */
struct adl_torch_storage *adl_torch_storages_find(const struct adl_torch_storages *storages,
                                                  const struct adl_pickle_value *key);

/* --- zip container (torch_zip.c) ------------------------------------------- */

struct adl_torch_zip_entry {
    const char *name; /* without the top folder; not terminated */
    size_t name_length;
    size_t size;
    size_t offset; /* of the local header */
    uint32_t crc;
    bool stored; /* neither compressed nor encrypted */
};

struct adl_torch_zip {
    const unsigned char *bytes;
    size_t length;
    size_t data_end;                     /* where the central directory begins */
    struct adl_torch_zip_entry *entries; /* owned; sorted by name */
    size_t count;
};

int adl_torch_zip_open(struct adl_torch_zip *zip, const void *bytes, size_t length,
                       struct adl_error *err) ADL_MUST_CHECK;
void adl_torch_zip_close(struct adl_torch_zip *zip);
/* The content of an entry of the top folder, its checksum verified: 1 found, 0
 * there is none, -1 failed. */
int adl_torch_zip_find(const struct adl_torch_zip *zip, const char *name, size_t name_length,
                       const unsigned char **data, size_t *size,
                       struct adl_error *err) ADL_MUST_CHECK;

/* --- legacy stream (torch_legacy.c) ---------------------------------------- */

/* Reads the object's pickle and finds every storage. The caller releases both,
 * in either case. */
int adl_torch_legacy_open(struct adl_pickle *pickle, struct adl_torch_storages *storages,
                          const void *bytes, size_t length, struct adl_error *err) ADL_MUST_CHECK;

/* --- tensors (torch_tensor.c) ---------------------------------------------- */

/* Where one tensor's elements are, in elements of its storage. */
struct adl_torch_view {
    struct adl_torch_storage *storage;
    enum adl_dtype dtype;
    size_t first, last; /* elements looked at; meaningless when the tensor is empty */
    int rank;
    size_t shape[ADL_LIMIT_RANK];
    size_t stride[ADL_LIMIT_RANK];
    size_t count;
};

/* True for a call of one of the functions that rebuild tensors. */
bool adl_torch_is_tensor(const struct adl_pickle_value *value);
/* What such a call describes, checked against the storage's promised size.
 * `name` is for messages. */
int adl_torch_view_read(struct adl_torch_view *view, const struct adl_pickle_value *value,
                        const struct adl_torch_storages *storages, const char *name,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Copies the elements in row-major order; the storage's data must be there. */
void adl_torch_view_copy(const struct adl_torch_view *view, void *to);

#endif
