/* Reads weight files of any known format, which is recognized by the first bytes of the file,
 * since names do not tell (".pth" may be a zip archive, a pickle or a tar archive). */

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "io/torch.h"

#define HEAD_BYTES 512
#define TAR_MAGIC_OFFSET 257

/* Sets *torch to whether this is the head of a PyTorch file, otherwise of safetensors. Fails
 * if it is the head of neither. */
static int check_head(const unsigned char *head, size_t length, bool *torch, struct adl_error *err)
{
    *torch = adl_torch_sniff(head, length);
    if (*torch)
        return 0;
    if (length >= TAR_MAGIC_OFFSET + 5 && !memcmp(head + TAR_MAGIC_OFFSET, "ustar", 5))
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "a tar archive as PyTorch wrote in 2016: load it in Python and save the "
                        "state_dict again with torch >= 1.6");
    if (length > 8 && head[8] == '{')
        return 0;
    return adl_fail(err, ADL_ERR_FORMAT, "neither a safetensors nor a PyTorch file");
}

/* Reads the first bytes of a regular file. Returns -1 for standard input and pipes, which can
 * be read only once, and for files that cannot be opened, for which adl_file_read then sets
 * the error. */
static ssize_t read_head(const char *path, unsigned char *head)
{
    if (!strcmp(path, "-") || !adl_file_is_regular(path))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = pread(fd, head, HEAD_BYTES, 0);
    close(fd);
    return got;
}

/* Moves the tensors whose names begin with `key` and a dot, and all metadata, into a new set,
 * which replaces `tensors`; nothing changes where there are none. */
static struct adl_tensors *select_below(struct adl_tensors *tensors, const char *key,
                                        struct adl_error *err)
{
    size_t length = strlen(key), count = adl_tensors_count(tensors), moved = 0;
    struct adl_tensors *chosen = adl_tensors_create(err);
    for (size_t i = 0; chosen && i < adl_tensors_meta_count(tensors); i++) {
        const char *name, *text;
        adl_tensors_meta_at(tensors, i, &name, &text);
        ADL_TRY(adl_tensors_set_meta(chosen, name, text, err));
    }
    for (size_t i = 0; chosen && i < count; i++) {
        const struct adl_tensor *t = adl_tensors_at(tensors, i);
        if (strncmp(t->name, key, length) != 0 || t->name[length] != '.' || !t->name[length + 1])
            continue;
        void *data = adl_tensors_take_data(tensors, t->name);
        if (!adl_tensors_add_data(chosen, t->name + length + 1, t->dtype, t->rank, t->shape, data,
                                  err)) {
            adl_free(data);
            goto out;
        }
        moved++;
    }
out:
    if (err->kind) {
        adl_tensors_free(chosen);
        chosen = NULL;
    }
    if (!err->kind && moved == 0) {
        adl_tensors_free(chosen);
        return tensors;
    }
    adl_tensors_free(tensors);
    return chosen;
}

struct adl_tensors *adl_weights_read(const char *path, const char *key, struct adl_error *err)
{
    unsigned char head[HEAD_BYTES];
    ssize_t peeked = read_head(path, head);
    struct adl_tensors *tensors = NULL;
    void *bytes = NULL;
    bool torch = false;
    size_t length;

    if (peeked >= 0) {
        if (check_head(head, (size_t)peeked, &torch, err) < 0)
            goto named;
        if (!torch) {
            tensors = adl_safetensors_read(path, err);
            return tensors && key ? select_below(tensors, key, err) : tensors;
        }
    }
    bytes = adl_file_read(path, ADL_LIMIT_WEIGHTS_BYTES, &length, err);
    if (!bytes)
        return NULL;
    if (check_head(bytes, length, &torch, err) == 0)
        tensors = torch ? adl_torch_parse(bytes, length, key, err)
                        : adl_safetensors_parse(bytes, length, err);
    if (tensors && !torch && key)
        tensors = select_below(tensors, key, err);
named:
    if (!tensors)
        adl_error_context(err, "%s", strcmp(path, "-") ? path : "standard input");
    adl_free(bytes);
    return tensors;
}
