/* Reads the files beside an ONNX file; see onnx_files.h. */

#include "models/onnx_in/onnx_files.h"

#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"
#include "io/file.h"

struct adl_onnx_file {
    struct adl_onnx_file *next;
    char *name;
    void *bytes;
    size_t length;
};

/* Writes the path of a file beside the ONNX file. Never "-", which would be stdin. */
static void put_path(struct adl_str *path, const struct adl_onnx_files *files, const char *name)
{
    const char *slash = strrchr(files->path, '/');
    if (slash)
        adl_str_printf(path, "%.*s/%s", (int)(slash - files->path), files->path, name);
    else
        adl_str_printf(path, "./%s", name);
}

static struct adl_onnx_file *read_file(struct adl_onnx_files *files, const char *name,
                                       const char *path, struct adl_error *err)
{
    struct adl_onnx_file *file = adl_calloc(1, sizeof *file);
    if (!file || !(file->name = adl_strdup(name))) {
        adl_free(file);
        adl_fail_nomem(err, "the ONNX file");
        return NULL;
    }
    file->bytes = adl_file_read(path, ADL_LIMIT_PROTOBUF_BYTES - files->bytes, &file->length, err);
    if (!file->bytes) {
        adl_error_context(err, "%s, which has the data of tensors", path);
        adl_free(file->name);
        adl_free(file);
        return NULL;
    }
    file->next = files->first;
    files->first = file;
    files->count++;
    files->bytes += file->length;
    return file;
}

int adl_onnx_files_find(struct adl_onnx_files *files, const char *name, const unsigned char **bytes,
                        size_t *length, struct adl_error *err)
{
    struct adl_onnx_file *file = files->first;
    struct adl_str path = {0};

    while (file && strcmp(file->name, name) != 0)
        file = file->next;
    if (!file) {
        if (!files->path || strcmp(files->path, "-") == 0)
            return adl_fail(err, ADL_ERR_UNSUPPORTED,
                            "its data are in another file, and only this one was given; save the "
                            "model in one file (torch.onnx.export with external_data=False, or "
                            "onnx.save_model with save_as_external_data=False)");
        if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            return adl_fail(err, ADL_ERR_UNSUPPORTED,
                            "its data are in %s; only files beside the ONNX file are read",
                            adl_name_quote(name, strlen(name)).text);
        if (files->count == ADL_LIMIT_ONNX_FILES)
            return adl_fail(err, ADL_ERR_LIMIT, "the data of tensors are in more than %d files",
                            ADL_LIMIT_ONNX_FILES);
        put_path(&path, files, name);
        if (path.failed)
            adl_fail_nomem(err, "the ONNX file");
        else if (adl_file_is_folder(path.data) ||
                 (access(path.data, F_OK) == 0 && !adl_file_is_regular(path.data)))
            adl_fail(err, ADL_ERR_UNSUPPORTED, "its data are in %s, which is not a regular file",
                     adl_name_quote(name, strlen(name)).text);
        else
            file = read_file(files, name, path.data, err);
        adl_str_release(&path);
        if (!file)
            return -1;
    }
    *bytes = file->bytes;
    *length = file->length;
    return 0;
}

void adl_onnx_files_release(struct adl_onnx_files *files)
{
    while (files->first) {
        struct adl_onnx_file *file = files->first;
        files->first = file->next;
        adl_free(file->name);
        adl_free(file->bytes);
        adl_free(file);
    }
}
