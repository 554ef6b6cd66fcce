/* Writes the COCO exports: a flat list of boxes, which is the results format of the COCO
 * evaluation, with a second file for the images and categories that its ids refer to; and one
 * file with images, categories, and the boxes as annotations. The formats are those of
 * cocodataset.org/#format-data and #format-results. pycocotools from 2.0.9 on requires "info",
 * older ones ignore it. */

#include "server/tasks/coco.h"

#include <stdio.h>
#include <string.h>

#include "io/json_text.h"
#include "server/tasks/box_formats.h"
#include "server/tasks/json_out.h"

#define COCO_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(6))

static int fail_nomem(struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_NOMEM, "out of memory for COCO results");
}

int adl_coco_init(struct adl_coco *coco, struct adl_error *err)
{
    *coco = (struct adl_coco){.results = json_array(),
                              .images = json_array(),
                              .relative = json_array(),
                              .annotations = json_array(),
                              .names = json_object()};
    if (coco->results && coco->images && coco->relative && coco->annotations && coco->names)
        return 0;
    return fail_nomem(err);
}

void adl_coco_release(struct adl_coco *coco)
{
    json_decref(coco->results);
    json_decref(coco->images);
    json_decref(coco->relative);
    json_decref(coco->annotations);
    json_decref(coco->names);
    *coco = (struct adl_coco){0};
}

static int add_image(json_t *list, int id, json_t *file, const struct adl_coco_image *image)
{
    return json_array_append_new(list,
                                 json_pack("{s:i, s:O, s:i, s:i}", "id", id, "file_name", file,
                                           "width", image->width, "height", image->height));
}

/* Adds a box to the results and to the annotations. COCO's boxes are half-open: from the left
 * edge of the first pixel to the right edge of the last one. The segmentation is the box as a
 * polygon; some tools do not draw an annotation without a segmentation. */
static int add_box(struct adl_coco *coco, int image, const struct adl_prediction *p,
                   const struct adl_localized_box *found)
{
    struct adl_box box = found->box;
    double score = adl_box_score(p, found);
    int id = (int)json_array_size(coco->annotations) + 1, category = p->class_id + 1;
    int x = box.x0, y = box.y0, w = box.x1 - box.x0 + 1, h = box.y1 - box.y0 + 1;
    int failed = json_array_append_new(
        coco->results, json_pack("{s:i, s:i, s:[i, i, i, i], s:f}", "image_id", image,
                                 "category_id", category, "bbox", x, y, w, h, "score", score));
    failed |= json_array_append_new(
        coco->annotations,
        json_pack("{s:i, s:i, s:i, s:[i, i, i, i], s:I, s:i, s:[[i, i, i, i, i, i, i, i]], s:f}",
                  "id", id, "image_id", image, "category_id", category, "bbox", x, y, w, h, "area",
                  (json_int_t)w * h, "iscrowd", 0, "segmentation", x, y, x + w, y, x + w, y + h, x,
                  y + h, "score", score));
    return failed;
}

int adl_coco_add(struct adl_coco *coco, const struct adl_coco_image *image,
                 const struct adl_predictions *predictions, struct adl_error *err)
{
    int id = (int)json_array_size(coco->images) + 1;
    size_t length = strlen(image->name);
    if (json_object_getn(coco->names, image->name, length))
        return 0;
    json_t *name = adl_json_from_text(image->name);
    int failed = json_object_setn_new_nocheck(coco->names, image->name, length, json_true());
    failed |= add_image(coco->images, id, image->file, image);
    failed |= add_image(coco->relative, id, name, image);
    json_decref(name);
    for (size_t i = 0; i < predictions->count; i++) {
        const struct adl_prediction *p = &predictions->items[i];
        for (size_t b = 0; b < p->place.box_count; b++)
            failed |= add_box(coco, id, p, &p->place.boxes[b]);
    }
    return failed ? fail_nomem(err) : 0;
}

static json_t *categories(const struct adl_model *model)
{
    json_t *list = json_array();
    for (size_t i = 0; i < model->class_count; i++) {
        char text[40];
        const char *label = adl_model_label(model, (int)i, text, sizeof text);
        if (json_array_append_new(list, json_pack("{s:i, s:s, s:s}", "id", (int)i + 1, "name",
                                                  label, "supercategory", "")) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *info(void)
{
    return json_pack("{s:s, s:s, s:s}", "description",
                     "boxes found by adl-server localize; ids begin at 1", "version", "1.0",
                     "contributor", "adl-server " ADL_VERSION);
}

int adl_coco_companion(const char *path, struct adl_str *companion, struct adl_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(path, '.');
    size_t stem = dot && (!slash || dot > slash + 1) ? (size_t)(dot - path) : strlen(path);
    adl_str_append(companion, path, stem);
    adl_str_puts(companion, "_images.json");
    return companion->failed ? fail_nomem(err) : 0;
}

int adl_coco_write(const struct adl_coco *coco, const struct adl_model *model, const char *path,
                   struct adl_error *err)
{
    struct adl_str companion = {0};
    json_t *about = json_pack("{s:o, s:O, s:o}", "info", info(), "images", coco->images,
                              "categories", categories(model));
    int result = -1;

    ADL_TRY(adl_coco_companion(path, &companion, err));
    if (!about) {
        fail_nomem(err);
        goto out;
    }
    ADL_TRY(adl_write_json(path, coco->results, COCO_FLAGS, err));
    ADL_TRY(adl_write_json(companion.data, about, COCO_FLAGS, err));
    result = 0;
out:
    adl_str_release(&companion);
    json_decref(about);
    return result;
}

int adl_coco_write_annotations(const struct adl_coco *coco, const struct adl_model *model,
                               const char *path, struct adl_error *err)
{
    json_t *all = json_pack("{s:o, s:[], s:O, s:O, s:o}", "info", info(), "licenses", "images",
                            coco->relative, "annotations", coco->annotations, "categories",
                            categories(model));
    int result = all ? adl_write_json(path, all, COCO_FLAGS, err) : fail_nomem(err);
    json_decref(all);
    return result;
}
