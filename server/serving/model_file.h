#ifndef ADL_SERVER_SERVING_MODEL_FILE_H
#define ADL_SERVER_SERVING_MODEL_FILE_H

/* Opens model files: those of --model by their path, and those of --models-dir by a name that a
 * request may give, which cannot lead out of the folder. Also tells one state of a file from
 * another. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Hexadecimal digits of a version: the beginning of the SHA-256 of the model's file. */
#define ADL_MODEL_VERSION_DIGITS 12

/* A state of a file; all 0: there is none. */
struct adl_file_stamp {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
};

bool adl_file_stamp_equal(const struct adl_file_stamp *a, const struct adl_file_stamp *b);

/* Returns whether a text may name a model file in a folder: at most ADL_LIMIT_MODEL_FILE_BYTES of
 * printable characters that end in ".safetensors", relative, and without a part that is empty or
 * begins with a dot. */
bool adl_model_file_name_valid(const char *name);

/* Opens a folder, for the descriptor that the functions below take. Fails with ADL_ERR_NOT_FOUND or
 * ADL_ERR_IO. */
int adl_model_folder_open(const char *path, int *folder, struct adl_error *err) ADL_MUST_CHECK;

/* Opens a regular file for reading, without waiting for the writer of a pipe. `folder` is -1 for a
 * path as the user gave it; otherwise `path` is a valid name, and the file has to lie in the
 * folder. Symbolic links that stay in the folder are followed where the kernel can tell (Linux
 * 5.6); before that, none is. Fails with ADL_ERR_NOT_FOUND if there is no such file in the folder,
 * with ADL_ERR_FORMAT if it is no regular file, and with ADL_ERR_IO. */
int adl_model_file_open(int folder, const char *path, int *fd, struct adl_file_stamp *stamp,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Sets *stamp to the present state of an open file. Fails with ADL_ERR_IO. */
int adl_model_file_stamp(int fd, struct adl_file_stamp *stamp,
                         struct adl_error *err) ADL_MUST_CHECK;
/* Returns the present state of a file without opening it; all 0 if there is no such regular
 * file. */
struct adl_file_stamp adl_model_file_look(int folder, const char *path);

/* Writes the version of an open file, with a NUL. Gives up with ADL_ERR_BUSY when *stop becomes
 * true. Fails with ADL_ERR_IO, and with ADL_ERR_LIMIT if the file is too large for a model. */
int adl_model_file_version(int fd, const atomic_bool *stop,
                           char version[ADL_MODEL_VERSION_DIGITS + 1],
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
