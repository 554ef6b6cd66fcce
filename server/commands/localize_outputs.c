/* Prints and writes what `localize` found, see localize_outputs.h. */

#include "server/commands/localize_outputs.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/tasks/json_out.h"

/* Maximum width of the file name column. */
#define FILE_COLUMNS 40

static bool is_stdout(const char *path)
{
    return path && !strcmp(path, "-");
}

/* Returns the option whose file goes to standard output, in place of the table; NULL: none. */
static const char *stdout_option(const struct adl_output_places *places)
{
    return is_stdout(places->annotations)            ? "coco-annotations"
           : is_stdout(places->exports.label_studio) ? "label-studio"
           : is_stdout(places->exports.csv)          ? "csv"
                                                     : NULL;
}

/* --- before the first image ---------------------------------------------------------- */

int adl_localize_outputs_check(const struct adl_output_places *places, struct adl_error *err)
{
    const struct adl_export_places *exports = &places->exports;

    if (is_stdout(places->coco))
        return adl_fail(err, ADL_ERR_ARG,
                        "--coco: has to be a file, because a second one is written next to it");
    if (is_stdout(exports->yolo) || is_stdout(exports->voc))
        return adl_fail(err, ADL_ERR_ARG,
                        "--%s: has to be a directory, because it gets a file "
                        "for each image",
                        is_stdout(exports->yolo) ? "yolo" : "voc");
    if (stdout_option(places) && places->json)
        return adl_fail(err, ADL_ERR_ARG, "--%s -: standard output cannot have --json as well",
                        stdout_option(places));
    if (is_stdout(places->annotations) + is_stdout(exports->label_studio) +
            is_stdout(exports->csv) >
        1)
        return adl_fail(err, ADL_ERR_ARG,
                        "--%s -: standard output takes only one export; give "
                        "the others files",
                        stdout_option(places));
    return 0;
}

static int check_files(const struct adl_localize_outputs *out, struct adl_error *err)
{
    const struct adl_output_places *places = out->places;
    struct adl_str companion = {0};
    int result = -1;

    if (places->coco)
        ADL_TRY(adl_coco_companion(places->coco, &companion, err));
    const struct {
        const char *option, *path;
    } files[] = {{"coco", places->coco},
                 {"coco", companion.data},
                 {"coco-annotations", places->annotations},
                 {"label-studio", places->exports.label_studio},
                 {"csv", places->exports.csv}};
    for (size_t i = 0; i < ADL_COUNT(files); i++) {
        if (!files[i].path || is_stdout(files[i].path))
            continue;
        for (size_t j = 0; j < i; j++)
            if (files[j].path && !strcmp(files[j].path, files[i].path)) {
                adl_fail(err, ADL_ERR_ARG, "--%s %s: --%s writes this file too", files[i].option,
                         files[i].path, files[j].option);
                goto out;
            }
        if (adl_image_list_holds(out->images, files[i].path)) {
            adl_fail(err, ADL_ERR_ARG, "--%s %s: is one of the input images", files[i].option,
                     files[i].path);
            goto out;
        }
        ADL_TRY(adl_file_check_place(files[i].path, err));
    }
    result = 0;
out:
    adl_str_release(&companion);
    return result;
}

int adl_localize_outputs_open(struct adl_localize_outputs *out, struct adl_image_list *images,
                              struct adl_error *err)
{
    const struct adl_output_places *places = out->places;
    const bool coco = places->coco || places->annotations;
    const bool exports = adl_localize_exports_wanted(&places->exports);

    out->images = images;
    if ((places->overlay || places->masks || coco || exports) &&
        adl_image_list_identify(images, err) < 0)
        return -1;
    if (check_files(out, err) < 0)
        return -1;
    if (places->overlay && adl_localize_overlays_open(&out->overlays, places->overlay, err) < 0)
        return -1;
    if (places->masks && adl_localize_masks_open(&out->masks, places->masks, err) < 0)
        return -1;
    if (coco && adl_coco_init(&out->coco, err) < 0)
        return -1;
    out->exports = (struct adl_localize_exports){
        .places = &places->exports, .model = out->model, .model_name = out->model_name};
    if (exports && adl_localize_exports_open(&out->exports, images, err) < 0)
        return -1;
    for (size_t i = 0; i < images->count; i++)
        out->file_columns =
            ADL_MAX(out->file_columns, (int)ADL_MIN(strlen(images->paths[i]), FILE_COLUMNS));
    return 0;
}

/* --- an image ------------------------------------------------------------------------- */

static int print_line_of_json(const struct adl_localize_outputs *out,
                              const struct adl_localized *image, struct adl_error *err)
{
    const struct adl_reply reply = {.model = out->model,
                                    .model_name = out->model_name,
                                    .image_width = image->width,
                                    .image_height = image->height,
                                    .predictions = image->predictions,
                                    .heatmap = (enum adl_reply_heatmap)out->places->heatmap,
                                    .timing = image->timing};
    json_t *line = json_object();
    json_t *json = adl_reply_to_json(&reply, err);
    int result = -1;

    if (json && (json_object_set_new(line, "file", adl_json_from_text(image->path)) < 0 ||
                 json_object_update(line, json) < 0))
        adl_fail_nomem(err, "JSON");
    else if (json)
        result = adl_print_json(line, ADL_REPLY_JSON_FLAGS, err);
    json_decref(json);
    json_decref(line);
    return result;
}

static void print_rows(const struct adl_localize_outputs *out, const struct adl_localized *image)
{
    for (size_t i = 0; i < image->predictions->count; i++) {
        const struct adl_prediction *p = &image->predictions->items[i];
        char text[40];
        printf("%-*s  %5.1f%%  %s", out->file_columns, i ? "" : image->path, 100 * (double)p->score,
               adl_model_label(out->model, p->class_id, text, sizeof text));
        for (size_t b = 0; b < p->place.box_count; b++) {
            struct adl_box box = p->place.boxes[b].box;
            printf("  %d,%d-%d,%d", box.x0, box.y0, box.x1, box.y1);
        }
        puts(p->place.box_count ? "" : "  no box");
    }
}

static int add_to_coco(struct adl_localize_outputs *out, const struct adl_localized *image,
                       struct adl_error *err)
{
    struct adl_str name = {0};
    int result = adl_image_list_relative(out->images, image->path, &name, err);
    json_t *file = adl_json_from_text(image->path);
    const struct adl_coco_image entry = {
        .file = file, .name = name.data, .width = image->width, .height = image->height};

    if (result == 0)
        result = adl_coco_add(&out->coco, &entry, image->predictions, err);
    json_decref(file);
    adl_str_release(&name);
    return result;
}

int adl_localize_outputs_add(struct adl_localize_outputs *out, const struct adl_localized *image,
                             struct adl_error *err)
{
    const struct adl_output_places *places = out->places;
    const struct adl_box_picture picture = {
        .width = image->width, .height = image->height, .predictions = image->predictions};

    if (places->overlay &&
        adl_localize_overlays_write(&out->overlays, out->images, image->path, image->overlay,
                                    image->overlay_bytes, err) < 0)
        return -1;
    if (places->masks &&
        adl_localize_masks_write(&out->masks, out->images, image->path, image->masks, err) < 0)
        return -1;
    if ((places->coco || places->annotations) && add_to_coco(out, image, err) < 0)
        return -1;
    if (adl_localize_exports_wanted(&places->exports) &&
        adl_localize_exports_add(&out->exports, out->images, image->path, picture, err) < 0)
        return -1;
    if (places->json)
        return print_line_of_json(out, image, err);
    if (!stdout_option(places))
        print_rows(out, image);
    return 0;
}

/* --- after the last image -------------------------------------------------------------- */

int adl_localize_outputs_finish(struct adl_localize_outputs *out, struct adl_error *err)
{
    const struct adl_output_places *places = out->places;

    if (places->coco && adl_coco_write(&out->coco, out->model, places->coco, err) < 0)
        return -1;
    if (places->annotations &&
        adl_coco_write_annotations(&out->coco, out->model, places->annotations, err) < 0)
        return -1;
    if (!adl_localize_exports_wanted(&places->exports))
        return 0;
    return adl_localize_exports_finish(&out->exports, err);
}

void adl_localize_outputs_close(struct adl_localize_outputs *out)
{
    adl_coco_release(&out->coco);
    adl_localize_overlays_close(&out->overlays);
    adl_localize_masks_close(&out->masks);
    adl_localize_exports_close(&out->exports);
}
