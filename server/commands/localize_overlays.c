/* Names and writes overlays, see localize_overlays.h. */

#include "server/commands/localize_overlays.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/file.h"
#include "server/tasks/directory.h"

int adl_localize_overlays_open(struct adl_localize_overlays *out, const char *dir,
                               struct adl_error *err)
{
    if (adl_make_directory(dir, err) < 0)
        return -1;
    *out = (struct adl_localize_overlays){.dir = dir, .names = json_object()};
    return out->names ? 0 : adl_fail_nomem(err, "the overlays");
}

void adl_localize_overlays_close(struct adl_localize_overlays *out)
{
    json_decref(out->names);
    *out = (struct adl_localize_overlays){0};
}

/* Appends a name that no image had before to `place`. Fails with ADL_ERR_NOMEM. */
static int find_place(struct adl_localize_overlays *out, const char *path, struct adl_str *place,
                      struct adl_error *err)
{
    const char *name = strrchr(path, '/');
    name = !strcmp(path, "-") ? "stdin" : name ? name + 1 : path;
    const char *dot = strrchr(name, '.');
    int stem = (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name));
    struct adl_str key = {0};

    for (int n = 1;; n++) {
        key.length = 0;
        if (n == 1)
            adl_str_printf(&key, "%.*s.jpg", stem, name);
        else
            adl_str_printf(&key, "%.*s-%d.jpg", stem, name, n);
        if (key.failed || !json_object_getn(out->names, key.data, key.length))
            break;
    }
    adl_str_printf(place, "%s/%s", out->dir, key.data ? key.data : "");
    bool failed = key.failed || place->failed ||
                  json_object_setn_new_nocheck(out->names, key.data, key.length, json_true()) < 0;
    adl_str_release(&key);
    return failed ? adl_fail_nomem(err, "an overlay's name") : 0;
}

int adl_localize_overlays_write(struct adl_localize_overlays *out,
                                const struct adl_image_list *images, const char *path,
                                const void *bytes, size_t length, struct adl_error *err)
{
    const struct adl_file_piece piece = {bytes, length};
    struct adl_str place = {0};
    int result = find_place(out, path, &place, err);

    if (result == 0 && adl_image_list_holds(images, place.data))
        result = adl_fail(err, ADL_ERR_ARG,
                          "%s: is one of the input images and will not be overwritten; choose "
                          "another directory for --overlay",
                          place.data);
    if (result == 0)
        result = adl_file_write(place.data, &piece, 1, err);
    adl_str_release(&place);
    return result;
}
