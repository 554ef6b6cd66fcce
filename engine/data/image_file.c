/* Reads image files whole and decodes them; every error names the file. */

#include "data/image_file.h"

#include <sys/stat.h>

#include "base/limits.h"
#include "base/mem.h"
#include "io/file.h"

int adl_image_read(const char *path, const struct adl_decode_options *options,
                   struct adl_image *image, struct adl_image_info *info, struct adl_error *err)
{
    size_t length;
    void *bytes = adl_file_read(path, ADL_LIMIT_IMAGE_FILE_BYTES, &length, err);

    if (!bytes)
        return -1;
    int result = adl_image_decode(bytes, length, options, image, info, err);
    adl_free(bytes);
    return result < 0 ? adl_error_context(err, "%s", path) : 0;
}

int adl_dataset_image_reduced(const struct adl_dataset *dataset, size_t index,
                              const struct adl_decode_options *how, struct adl_str *path,
                              struct adl_image *image, struct adl_image_info *info,
                              struct adl_error *err)
{
    struct adl_decode_options options = *how;
    const char *text = adl_dataset_path(dataset, index, path, err);
    struct stat file;

    if (!text)
        return -1;
    options.ignore_orientation = !dataset->upright;
    /* A FIFO would wait for a writer, for ever. adl_image_read() reports a missing file. */
    if (stat(text, &file) == 0 && !S_ISREG(file.st_mode))
        return adl_fail(err, ADL_ERR_IO, "%s: is not a regular file", text);
    return adl_image_read(text, &options, image, info, err);
}

int adl_dataset_image_read(const struct adl_dataset *dataset, size_t index, struct adl_str *path,
                           struct adl_image *image, struct adl_error *err)
{
    return adl_dataset_image_reduced(dataset, index, &(struct adl_decode_options){0}, path, image,
                                     NULL, err);
}
