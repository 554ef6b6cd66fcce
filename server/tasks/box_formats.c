/* Boxes as the files of other tools; see box_formats.h. */

#include "server/tasks/box_formats.h"

#include <string.h>

#include "base/size.h"
#include "server/tasks/export_text.h"

/* What a format does with one box, which is the `index`th of its image. */
typedef void put_box(struct adl_str *out, const struct adl_box_picture *picture, size_t index,
                     const struct adl_prediction *prediction,
                     const struct adl_localized_box *found);

/* Appends all boxes of an image, and returns how many they are. */
static size_t put_boxes(struct adl_str *out, const struct adl_box_picture *picture, put_box *put)
{
    size_t count = 0;

    for (size_t i = 0; i < picture->predictions->count; i++) {
        const struct adl_prediction *p = &picture->predictions->items[i];
        for (size_t b = 0; b < p->place.box_count; b++)
            put(out, picture, count++, p, &p->place.boxes[b]);
    }
    return count;
}

static int width_of(struct adl_box box)
{
    return box.x1 - box.x0 + 1;
}

static int height_of(struct adl_box box)
{
    return box.y1 - box.y0 + 1;
}

double adl_box_score(const struct adl_prediction *prediction, const struct adl_localized_box *box)
{
    return (double)prediction->score * (prediction->place.judged ? box->confidence : 1);
}

/* --- YOLO ------------------------------------------------------------------------ */

void adl_yolo_put_yaml(struct adl_str *out, const struct adl_model *model)
{
    char text[40];

    adl_str_puts(out, "train: images\nval: images\nnames:\n");
    for (size_t i = 0; i < model->class_count; i++) {
        adl_str_printf(out, "  %zu: ", i);
        adl_export_put_yaml(out, adl_model_label(model, (int)i, text, sizeof text));
        adl_str_puts(out, "\n");
    }
}

void adl_yolo_put_classes(struct adl_str *out, const struct adl_model *model)
{
    char text[40];

    for (size_t i = 0; i < model->class_count; i++) {
        /* A line is a class, whatever is in its name. */
        for (const char *c = adl_model_label(model, (int)i, text, sizeof text); *c; c++)
            adl_str_append(out, *c == '\n' || *c == '\r' ? " " : c, 1);
        adl_str_puts(out, "\n");
    }
}

static void put_yolo(struct adl_str *out, const struct adl_box_picture *picture, size_t index,
                     const struct adl_prediction *prediction, const struct adl_localized_box *found)
{
    double w = width_of(found->box), h = height_of(found->box);
    const double place[] = {(found->box.x0 + w / 2) / picture->width,
                            (found->box.y0 + h / 2) / picture->height, w / picture->width,
                            h / picture->height};
    (void)index;
    adl_str_printf(out, "%d", prediction->class_id);
    for (size_t i = 0; i < ADL_COUNT(place); i++) {
        adl_str_puts(out, " ");
        adl_export_put_fixed(out, place[i]);
    }
    adl_str_puts(out, "\n");
}

void adl_yolo_put_boxes(struct adl_str *out, const struct adl_box_picture *picture)
{
    (void)put_boxes(out, picture, put_yolo);
}

/* --- Pascal VOC ------------------------------------------------------------------ */

static void put_voc(struct adl_str *out, const struct adl_box_picture *picture, size_t index,
                    const struct adl_prediction *prediction, const struct adl_localized_box *found)
{
    struct adl_box box = found->box;
    char text[40];

    (void)index;
    adl_str_puts(out, "    <object>\n        <name>");
    adl_export_put_xml(out,
                       adl_model_label(picture->model, prediction->class_id, text, sizeof text));
    adl_str_printf(out,
                   "</name>\n"
                   "        <pose>Unspecified</pose>\n"
                   "        <truncated>0</truncated>\n"
                   "        <difficult>0</difficult>\n"
                   "        <bndbox>\n"
                   "            <xmin>%d</xmin>\n"
                   "            <ymin>%d</ymin>\n"
                   "            <xmax>%d</xmax>\n"
                   "            <ymax>%d</ymax>\n"
                   "        </bndbox>\n"
                   "    </object>\n",
                   box.x0 + 1, box.y0 + 1, box.x1 + 1, box.y1 + 1);
}

void adl_voc_put_xml(struct adl_str *out, const struct adl_box_picture *picture)
{
    const char *slash = strrchr(picture->name, '/');
    struct adl_str folder = {0};

    if (slash && slash > picture->name)
        adl_str_append(&folder, picture->name, (size_t)(slash - picture->name));
    else
        adl_str_puts(&folder, "images");
    out->failed |= folder.failed;
    adl_str_puts(out, "<annotation>\n    <folder>");
    adl_export_put_xml(out, folder.data ? folder.data : "");
    adl_str_puts(out, "</folder>\n    <filename>");
    adl_export_put_xml(out, slash ? slash + 1 : picture->name);
    adl_str_printf(out,
                   "</filename>\n"
                   "    <source>\n"
                   "        <database>adl-server</database>\n"
                   "    </source>\n"
                   "    <size>\n"
                   "        <width>%d</width>\n"
                   "        <height>%d</height>\n"
                   "        <depth>3</depth>\n"
                   "    </size>\n"
                   "    <segmented>0</segmented>\n",
                   picture->width, picture->height);
    (void)put_boxes(out, picture, put_voc);
    adl_str_puts(out, "</annotation>\n");
    adl_str_release(&folder);
}

/* --- Label Studio ---------------------------------------------------------------- */

static void put_result(struct adl_str *out, const struct adl_box_picture *picture, size_t index,
                       const struct adl_prediction *prediction,
                       const struct adl_localized_box *found)
{
    const struct {
        const char *key;
        int pixels, of;
    } place[] = {{"x", found->box.x0, picture->width},
                 {"y", found->box.y0, picture->height},
                 {"width", width_of(found->box), picture->width},
                 {"height", height_of(found->box), picture->height}};
    char text[40];

    adl_str_printf(out,
                   "%s{\"id\":\"box%zu\",\"type\":\"rectanglelabels\",\"from_name\":\"label\","
                   "\"to_name\":\"image\",\"original_width\":%d,\"original_height\":%d,"
                   "\"image_rotation\":0,\"value\":{\"rotation\":0",
                   index ? "," : "", index + 1, picture->width, picture->height);
    for (size_t i = 0; i < ADL_COUNT(place); i++) {
        adl_str_printf(out, ",\"%s\":", place[i].key);
        adl_export_put_short(out, 100.0 * place[i].pixels / place[i].of);
    }
    adl_str_puts(out, ",\"rectanglelabels\":[");
    adl_export_put_json(out,
                        adl_model_label(picture->model, prediction->class_id, text, sizeof text));
    adl_str_puts(out, "]},\"score\":");
    adl_export_put_short(out, adl_box_score(prediction, found));
    adl_str_puts(out, "}");
}

static double best_score(const struct adl_predictions *predictions)
{
    double best = 0;

    for (size_t i = 0; i < predictions->count; i++) {
        const struct adl_prediction *p = &predictions->items[i];
        for (size_t b = 0; b < p->place.box_count; b++)
            best = ADL_MAX(best, adl_box_score(p, &p->place.boxes[b]));
    }
    return best;
}

void adl_label_studio_put_task(struct adl_str *out, const struct adl_box_picture *picture)
{
    struct adl_str result = {0};

    (void)put_boxes(&result, picture, put_result);
    out->failed |= result.failed;
    /* Nobody has looked: that nothing was found is a prediction as well, not an annotation, from
     * which a training would learn that there is nothing. */
    adl_str_puts(out, "{\"data\":{\"image\":");
    adl_export_put_json(out, picture->name);
    adl_str_puts(out, "},\"annotations\":[],\"predictions\":[{\"model_version\":");
    adl_export_put_json(out, picture->model_name);
    adl_str_puts(out, ",\"result\":[");
    adl_str_append(out, result.data ? result.data : "", result.length);
    adl_str_puts(out, "],\"score\":");
    adl_export_put_short(out, best_score(picture->predictions));
    adl_str_puts(out, "}]}");
    adl_str_release(&result);
}

/* --- CSV ------------------------------------------------------------------------- */

void adl_boxes_csv_put_header(struct adl_str *out)
{
    adl_str_puts(out, "file,width,height,label,x0,y0,x1,y1,score\n");
}

static void put_csv_image(struct adl_str *out, const struct adl_box_picture *picture)
{
    adl_export_put_csv(out, picture->name);
    adl_str_printf(out, ",%d,%d,", picture->width, picture->height);
}

static void put_csv(struct adl_str *out, const struct adl_box_picture *picture, size_t index,
                    const struct adl_prediction *prediction, const struct adl_localized_box *found)
{
    struct adl_box box = found->box;
    char text[40];

    (void)index;
    put_csv_image(out, picture);
    adl_export_put_csv(out,
                       adl_model_label(picture->model, prediction->class_id, text, sizeof text));
    adl_str_printf(out, ",%d,%d,%d,%d,", box.x0, box.y0, box.x1, box.y1);
    adl_export_put_short(out, adl_box_score(prediction, found));
    adl_str_puts(out, "\n");
}

void adl_boxes_csv_put(struct adl_str *out, const struct adl_box_picture *picture)
{
    if (put_boxes(out, picture, put_csv) > 0)
        return;
    put_csv_image(out, picture);
    adl_str_puts(out, ",,,,,\n");
}
