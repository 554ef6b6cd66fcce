/* The files of `localize --yolo`, `--voc`, `--label-studio` and `--csv`. */

#include "server/commands/localize_exports.h"

#include <string.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/tasks/directory.h"
#include "server/tasks/export_text.h"

static int fail_nomem(struct adl_error *err)
{
    return adl_fail_nomem(err, "the boxes to be exported");
}

bool adl_localize_exports_wanted(const struct adl_export_places *places)
{
    return places->yolo || places->voc || places->label_studio || places->csv;
}

/* Writes `text` to the file DIR/NAME and empties it. */
static int write_below(const struct adl_image_list *images, const char *option, const char *dir,
                       const char *name, struct adl_str *text, struct adl_error *err)
{
    const struct adl_file_piece piece = {text->data ? text->data : "", text->length};
    struct adl_str path = {0};
    int result = -1;

    adl_str_printf(&path, "%s/%s", dir, name);
    if (path.failed || text->failed)
        fail_nomem(err);
    else if (adl_image_list_holds(images, path.data))
        adl_fail(err, ADL_ERR_ARG,
                 "%s: is one of the input images and will not be overwritten; choose another "
                 "directory for --%s",
                 path.data, option);
    else
        result = adl_file_write(path.data, &piece, 1, err);
    adl_str_release(&path);
    adl_str_release(text);
    return result;
}

/* Makes `dir` and its subdirectory `name`, and checks that files can be written there. */
static int make_place(const char *dir, const char *name, struct adl_error *err)
{
    struct adl_str path = {0};
    int result = adl_make_directory(dir, err);

    adl_str_printf(&path, "%s/%s", dir, name);
    if (result == 0 && path.failed)
        result = fail_nomem(err);
    if (result == 0)
        result = adl_make_directory(path.data, err);
    adl_str_puts(&path, "/x");
    if (result == 0)
        result = path.failed ? fail_nomem(err) : adl_file_check_place(path.data, err);
    adl_str_release(&path);
    return result;
}

/* Adds a key to a set; *known says whether it was there. */
static int remember(json_t *set, const struct adl_str *key, bool *known, struct adl_error *err)
{
    if (key->failed)
        return fail_nomem(err);
    *known = json_object_getn(set, key->data, key->length) != NULL;
    if (!*known && json_object_setn_new_nocheck(set, key->data, key->length, json_true()) < 0)
        return fail_nomem(err);
    return 0;
}

/* Notes the stems that the images have by their own names. */
static int collect_stems(struct adl_localize_exports *out, const struct adl_image_list *images,
                         struct adl_error *err)
{
    int result = 0;

    for (size_t i = 0; i < images->count && result == 0; i++) {
        struct adl_str name = {0}, stem = {0};
        bool known;
        result = adl_image_list_relative(images, images->paths[i], &name, err);
        if (result == 0) {
            adl_export_put_stem(&stem, name.data);
            result = remember(out->own, &stem, &known, err);
        }
        adl_str_release(&name);
        adl_str_release(&stem);
    }
    return result;
}

int adl_localize_exports_open(struct adl_localize_exports *out, const struct adl_image_list *images,
                              struct adl_error *err)
{
    const struct adl_export_places *to = out->places;
    struct adl_str text = {0};

    out->names = json_object();
    out->stems = json_object();
    out->own = json_object();
    if (!out->names || !out->stems || !out->own)
        return fail_nomem(err);
    if (collect_stems(out, images, err) < 0)
        return -1;
    adl_str_puts(&out->tasks, "[");
    adl_boxes_csv_put_header(&out->rows);
    if (to->voc && make_place(to->voc, "Annotations", err) < 0)
        return -1;
    if (!to->yolo)
        return 0;
    if (make_place(to->yolo, "labels", err) < 0)
        return -1;
    adl_yolo_put_yaml(&text, out->model);
    if (write_below(images, "yolo", to->yolo, "data.yaml", &text, err) < 0)
        return -1;
    adl_yolo_put_classes(&text, out->model);
    return write_below(images, "yolo", to->yolo, "classes.txt", &text, err);
}

void adl_localize_exports_close(struct adl_localize_exports *out)
{
    json_decref(out->names);
    json_decref(out->stems);
    json_decref(out->own);
    adl_str_release(&out->tasks);
    adl_str_release(&out->rows);
    *out = (struct adl_localize_exports){0};
}

/* Writes the first stem of this name that no other image has or would have by its own name. */
static int choose_stem(struct adl_localize_exports *out, const char *name, struct adl_str *stem,
                       struct adl_error *err)
{
    bool known = true;

    adl_export_put_stem(stem, name);
    size_t length = stem->length;
    for (int n = 1; known; n++) {
        stem->length = length;
        if (n > 1)
            adl_str_printf(stem, "-%d", n);
        if (n > 1 && !stem->failed && json_object_getn(out->own, stem->data, stem->length))
            continue;
        if (remember(out->stems, stem, &known, err) < 0)
            return -1;
    }
    return 0;
}

/* Writes DIR/FOLDER/STEM.EXTENSION. */
static int write_image(const struct adl_image_list *images, const char *option, const char *dir,
                       const char *folder, const char *stem, const char *extension,
                       struct adl_str *text, struct adl_error *err)
{
    struct adl_str name = {0}, parent = {0};
    int result = -1;

    adl_str_printf(&name, "%s/%s%s", folder, stem, extension);
    adl_str_printf(&parent, "%s/%s", dir, name.data ? name.data : "");
    if (name.failed || parent.failed) {
        fail_nomem(err);
        goto out;
    }
    *strrchr(parent.data, '/') = '\0';
    if (strchr(stem, '/'))
        ADL_TRY(adl_make_directories(parent.data, err));
    result = write_below(images, option, dir, name.data, text, err);
out:
    adl_str_release(&name);
    adl_str_release(&parent);
    adl_str_release(text);
    return result;
}

static int write_image_files(struct adl_localize_exports *out, const struct adl_image_list *images,
                             const struct adl_box_picture *picture, struct adl_error *err)
{
    const struct adl_export_places *to = out->places;
    struct adl_str stem = {0}, text = {0};
    int result = -1;

    ADL_TRY(choose_stem(out, picture->name, &stem, err));
    if (to->yolo) {
        adl_yolo_put_boxes(&text, picture);
        ADL_TRY(write_image(images, "yolo", to->yolo, "labels", stem.data, ".txt", &text, err));
    }
    if (to->voc) {
        adl_voc_put_xml(&text, picture);
        ADL_TRY(write_image(images, "voc", to->voc, "Annotations", stem.data, ".xml", &text, err));
    }
    result = 0;
out:
    adl_str_release(&stem);
    return result;
}

int adl_localize_exports_add(struct adl_localize_exports *out, const struct adl_image_list *images,
                             const char *path, struct adl_box_picture picture,
                             struct adl_error *err)
{
    const struct adl_export_places *to = out->places;
    struct adl_str relative = {0};
    json_t *name = NULL;
    bool known = false;
    int result = -1;

    if (!strcmp(path, "-"))
        adl_str_puts(&relative, "stdin");
    else
        ADL_TRY(adl_image_list_relative(images, path, &relative, err));
    ADL_TRY(remember(out->names, &relative, &known, err));
    if (known) {
        result = 0;
        goto out;
    }
    name = adl_json_from_text(relative.data); /* valid UTF-8 in any case */
    if (!name) {
        fail_nomem(err);
        goto out;
    }
    picture.name = json_string_value(name);
    picture.model = out->model;
    picture.model_name = out->model_name;
    if (to->yolo || to->voc)
        ADL_TRY(write_image_files(out, images, &picture, err));
    if (to->label_studio) {
        if (out->tasks.length > 1)
            adl_str_puts(&out->tasks, ",");
        adl_label_studio_put_task(&out->tasks, &picture);
    }
    if (to->csv)
        adl_boxes_csv_put(&out->rows, &picture);
    result = out->tasks.failed || out->rows.failed ? fail_nomem(err) : 0;
out:
    adl_str_release(&relative);
    json_decref(name);
    return result;
}

static int write_all(const char *path, const struct adl_str *text, struct adl_error *err)
{
    const struct adl_file_piece piece = {text->data, text->length};
    return text->failed ? fail_nomem(err) : adl_file_write(path, &piece, 1, err);
}

int adl_localize_exports_finish(struct adl_localize_exports *out, struct adl_error *err)
{
    const struct adl_export_places *to = out->places;

    adl_str_puts(&out->tasks, "]\n");
    if (to->label_studio && write_all(to->label_studio, &out->tasks, err) < 0)
        return -1;
    return to->csv ? write_all(to->csv, &out->rows, err) : 0;
}
