/* The COCO export: a flat list of boxes, which is the results format of the COCO evaluation,
 * and the images and categories that its ids refer to. */

#include "server/tasks/coco.h"

#include <stdio.h>
#include <string.h>

#include "server/tasks/json_out.h"

#define COCO_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(6))

int adl_coco_init(struct adl_coco *coco, struct adl_error *err)
{
    coco->results = json_array();
    coco->images = json_array();
    if (coco->results && coco->images)
        return 0;
    return adl_fail(err, ADL_ERR_NOMEM, "out of memory for COCO results");
}

void adl_coco_release(struct adl_coco *coco)
{
    json_decref(coco->results);
    json_decref(coco->images);
    *coco = (struct adl_coco){0};
}

int adl_coco_add(struct adl_coco *coco, json_t *file, int width, int height,
                 const struct adl_predictions *predictions, struct adl_error *err)
{
    int id = (int)json_array_size(coco->images) + 1;
    int failed =
        json_array_append_new(coco->images, json_pack("{s:i, s:O, s:i, s:i}", "id", id, "file_name",
                                                      file, "width", width, "height", height));

    for (size_t i = 0; i < predictions->count; i++) {
        const struct adl_prediction *p = &predictions->items[i];
        for (size_t b = 0; b < p->place.box_count; b++) {
            struct adl_box box = p->place.boxes[b].box;
            failed |= json_array_append_new(
                coco->results,
                json_pack("{s:i, s:i, s:[i, i, i, i], s:f}", "image_id", id, "category_id",
                          p->class_id, "bbox", box.x0, box.y0, box.x1 - box.x0 + 1,
                          box.y1 - box.y0 + 1, "score", (double)p->score));
        }
    }
    return failed ? adl_fail(err, ADL_ERR_NOMEM, "out of memory for COCO results") : 0;
}

static json_t *categories(const struct adl_model *model)
{
    json_t *list = json_array();
    for (size_t i = 0; i < model->class_count; i++) {
        char text[40];
        const char *label = adl_model_label(model, (int)i, text, sizeof text);
        if (json_array_append_new(list, json_pack("{s:i, s:s}", "id", (int)i, "name", label)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int adl_coco_write(const struct adl_coco *coco, const struct adl_model *model, const char *path,
                   struct adl_error *err)
{
    struct adl_str companion = {0};
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(path, '.');
    size_t stem = dot && (!slash || dot > slash + 1) ? (size_t)(dot - path) : strlen(path);
    json_t *about =
        json_pack("{s:O, s:o}", "images", coco->images, "categories", categories(model));
    int result = -1;

    adl_str_append(&companion, path, stem);
    adl_str_puts(&companion, "_images.json");
    if (!about || companion.failed) {
        adl_fail(err, ADL_ERR_NOMEM, "out of memory for COCO results");
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
