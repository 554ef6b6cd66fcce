#ifndef ADL_IO_TORCH_PARTS_H
#define ADL_IO_TORCH_PARTS_H

/* Types and functions that the files of the PyTorch reader share: the two containers, the
 * storages in them, and the tensors that are views of storages. Private to io/torch*.c. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/name.h"
#include "io/pickle.h"
#include "io/tensor.h"

/* The longest key of a storage, in bytes; PyTorch numbers its storages. Keys are compared
 * with each other, and a pickle may repeat a long key a million times. */
#define ADL_TORCH_KEY_BYTES 255

/* A flat array of elements, of which tensors are views. */
struct adl_torch_storage {
    const struct adl_pickle_value *key;
    size_t element_size; /* bytes; 0 when the class is unknown */
    bool typed;          /* `dtype` is the type of the elements */
    bool readable;       /* false for complex, quantized and unknown classes */
    enum adl_dtype dtype;
    size_t count;              /* elements, as the pickle says */
    const unsigned char *data; /* within the file; NULL until it was found there */
};

/* All storages that the pickle mentions, each key once, sorted by key, except those whose key
 * is longer than ADL_TORCH_KEY_BYTES. */
struct adl_torch_storages {
    struct adl_torch_storage *items; /* owned */
    size_t count;
};

/* Collects the storages of a pickle. Fails with ADL_ERR_FORMAT when two mentions of a key
 * differ, and with ADL_ERR_NOMEM. The caller frees `items` in either case. */
int adl_torch_storages_collect(struct adl_torch_storages *storages, const struct adl_pickle *pickle,
                               struct adl_error *err) ADL_MUST_CHECK;
/* Returns the storage of that key; NULL if the pickle does not mention it. */
struct adl_torch_storage *adl_torch_storages_find(const struct adl_torch_storages *storages,
                                                  const struct adl_pickle_value *key);

/* --- zip container (torch_zip.c) ------------------------------------------- */

struct adl_torch_zip_entry {
    const char *name; /* without the top directory; not terminated */
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

/* Reads the central directory of an archive, whose bytes are borrowed. Fails with ADL_ERR_FORMAT,
 * ADL_ERR_UNSUPPORTED (not of PyTorch, or a TorchScript program), ADL_ERR_LIMIT or ADL_ERR_NOMEM;
 * then nothing has to be closed. */
int adl_torch_zip_open(struct adl_torch_zip *zip, const void *bytes, size_t length,
                       struct adl_error *err) ADL_MUST_CHECK;
void adl_torch_zip_close(struct adl_torch_zip *zip);
/* Finds the content of an entry of the top directory and verifies its checksum. Returns 1
 * when it was found, 0 when there is no such entry, -1 on failure. */
int adl_torch_zip_find(const struct adl_torch_zip *zip, const char *name, size_t name_length,
                       const unsigned char **data, size_t *size,
                       struct adl_error *err) ADL_MUST_CHECK;

/* --- legacy stream (torch_legacy.c) ---------------------------------------- */

/* Reads the object's pickle and finds every storage's data. The caller releases the pickle
 * and frees the list of storages in either case. */
int adl_torch_legacy_open(struct adl_pickle *pickle, struct adl_torch_storages *storages,
                          const void *bytes, size_t length, struct adl_error *err) ADL_MUST_CHECK;

/* --- the state_dict in a checkpoint (torch_dict.c) ------------------------- */

/* Bytes of a path of entries, "ckpt.model", with its NUL. */
#define ADL_TORCH_PATH_BYTES 256

struct adl_torch_dict {
    const struct adl_pickle_value *dict;
    char prefix[ADL_TORCH_PATH_BYTES]; /* only tensors whose names begin with it are read */
    char note[800]; /* a clause on the entry that was chosen and the others; empty: no note */
};

/* Finds the dict that `key` names, or if that is NULL the one that looks like a state_dict; see
 * io/torch.h. Fails with ADL_ERR_UNSUPPORTED or ADL_ERR_NOT_FOUND. */
int adl_torch_dict_find(struct adl_torch_dict *found, const struct adl_pickle_value *root,
                        const char *key, struct adl_error *err) ADL_MUST_CHECK;
/* Returns the function that a value is a call of, or the class or function that it names, as
 * "module.name"; "an object" for other values. */
struct adl_name_quoted adl_torch_callable(const struct adl_pickle_value *value);

/* --- tensors (torch_tensor.c) ---------------------------------------------- */

/* Where the elements of a tensor lie in its storage: element (i0, i1, ...) of the tensor is
 * element first + i0 * stride[0] + i1 * stride[1] + ... of the storage. */
struct adl_torch_view {
    struct adl_torch_storage *storage;
    enum adl_dtype dtype;
    size_t first, last; /* the lowest and highest element used; unset for an empty tensor */
    int rank;
    size_t shape[ADL_LIMIT_RANK];
    size_t stride[ADL_LIMIT_RANK];
    size_t count;
};

/* Returns whether the value is a call of one of the functions that rebuild tensors. */
bool adl_torch_is_tensor(const struct adl_pickle_value *value);
/* Returns whether the values are one, or both are rebuild calls with equal storage and offset. */
bool adl_torch_same_view(const struct adl_pickle_value *a, const struct adl_pickle_value *b);
/* Reads the view that a rebuild call describes, and checks it against the size that the pickle
 * gives for the storage. `name` is for messages. Fails with ADL_ERR_FORMAT or
 * ADL_ERR_UNSUPPORTED. */
int adl_torch_view_read(struct adl_torch_view *view, const struct adl_pickle_value *value,
                        const struct adl_torch_storages *storages, const char *name,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Copies the elements to `to` in row-major order; the storage's data must be known. */
void adl_torch_view_copy(const struct adl_torch_view *view, void *to);

#endif
