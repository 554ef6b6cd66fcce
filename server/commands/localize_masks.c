/* The files of `localize --masks`. */

#include "server/commands/localize_masks.h"

#include <string.h>

#include "base/mem.h"

#include "data/dataset.h"
#include "io/file.h"
#include "server/tasks/directory.h"

int adl_localize_masks_open(struct adl_localize_masks *out, const char *dir, struct adl_error *err)
{
    *out = (struct adl_localize_masks){.dir = dir};
    if (adl_make_directory(dir, err) < 0)
        return -1;
    out->names = json_object();
    return out->names ? 0 : adl_fail_nomem(err, "the names of masks");
}

void adl_localize_masks_close(struct adl_localize_masks *out)
{
    json_decref(out->names);
    *out = (struct adl_localize_masks){0};
}

/* Writes the image's name below the directory to `stem`, without its extension. An image outside of
 * the operands' directory, as standard input, has no subdirectory. */
static int find_stem(const struct adl_image_list *images, const char *path, struct adl_str *stem,
                     struct adl_error *err)
{
    if (!strcmp(path, "-")) {
        adl_str_puts(stem, "stdin");
        return stem->failed ? adl_fail_nomem(err, "the name of a mask") : 0;
    }
    if (adl_image_list_relative(images, path, stem, err) < 0)
        return -1;
    if (!adl_dataset_id_valid(stem->data)) {
        const char *slash = strrchr(path, '/');
        stem->length = 0;
        adl_str_puts(stem, slash ? slash + 1 : path);
    }
    char *name = strrchr(stem->data, '/'), *dot = strrchr(stem->data, '.');
    name = name ? name + 1 : stem->data;
    if (dot && dot > name) {
        *dot = '\0';
        stem->length = (size_t)(dot - stem->data);
    }
    return stem->failed ? adl_fail_nomem(err, "the name of a mask") : 0;
}

/* Makes the subdirectories of a path below `dir`. */
static int make_parents(const char *dir, char *path, struct adl_error *err)
{
    for (char *slash = path + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        int result = adl_make_directory(path, err);
        *slash = '/';
        if (result < 0)
            return -1;
    }
    return 0;
}

static int print_path(struct adl_str *path, const char *dir, const char *stem, int number,
                      const char *kind, struct adl_error *err)
{
    path->length = 0;
    adl_str_printf(path, "%s/%s", dir, stem);
    if (number > 1)
        adl_str_printf(path, "-%d", number);
    adl_str_printf(path, "%s.png", kind);
    return path->failed ? adl_fail_nomem(err, "the name of a mask") : 0;
}

/* Writes the first paths of this name to `map` and `cut` that no other image has. */
static int choose_paths(struct adl_localize_masks *out, const char *stem, struct adl_str *map,
                        struct adl_str *cut, struct adl_error *err)
{
    for (int n = 1;; n++) {
        if (print_path(map, out->dir, stem, n, "_map", err) < 0 ||
            print_path(cut, out->dir, stem, n, "", err) < 0)
            return -1;
        if (!json_object_getn(out->names, map->data, map->length) &&
            !json_object_getn(out->names, cut->data, cut->length))
            break;
    }
    if (json_object_setn_new_nocheck(out->names, map->data, map->length, json_true()) < 0 ||
        json_object_setn_new_nocheck(out->names, cut->data, cut->length, json_true()) < 0)
        return adl_fail_nomem(err, "the name of a mask");
    return 0;
}

static int write_png(const struct adl_image_list *images, const char *path, const void *bytes,
                     size_t length, struct adl_error *err)
{
    if (adl_image_list_holds(images, path))
        return adl_fail(err, ADL_ERR_ARG,
                        "%s: is one of the input images and will not be overwritten; choose "
                        "another directory for --masks",
                        path);
    return adl_file_write(path, &(struct adl_file_piece){bytes, length}, 1, err);
}

int adl_localize_masks_write(struct adl_localize_masks *out, const struct adl_image_list *images,
                             const char *path, const struct adl_grey_masks *masks,
                             struct adl_error *err)
{
    struct adl_str stem = {0}, map = {0}, cut = {0};
    int result = -1;

    ADL_TRY(find_stem(images, path, &stem, err));
    ADL_TRY(choose_paths(out, stem.data, &map, &cut, err));
    ADL_TRY(make_parents(out->dir, cut.data, err));
    ADL_TRY(write_png(images, map.data, masks->map, masks->map_bytes, err));
    result = write_png(images, cut.data, masks->cut, masks->cut_bytes, err);
out:
    adl_str_release(&stem);
    adl_str_release(&map);
    adl_str_release(&cut);
    return result;
}
