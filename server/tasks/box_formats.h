#ifndef ADL_SERVER_TASKS_BOX_FORMATS_H
#define ADL_SERVER_TASKS_BOX_FORMATS_H

/* Boxes of one image as the files of other tools: YOLO, Pascal VOC, Label Studio and CSV. They have
 * the bytes that the web page writes for the same boxes (web/exports.js); COCO's are in coco.h.
 * These functions only append text; running out of memory is remembered in the buffer. */

#include <stdbool.h>

#include "models/model.h"
#include "server/tasks/predict.h"

/* All borrowed. */
struct adl_box_picture {
    const char *name; /* its path relative to a directory that contains all images; UTF-8 */
    int width, height;
    const struct adl_predictions *predictions; /* located; boxes in pixels, both ends inclusive */
    const struct adl_model *model;             /* names the classes */
    const char *model_name;
};

/* The chance that class and box are right, 0..1: the probability of the class, times the box's
 * confidence if that is known. */
double adl_box_score(const struct adl_prediction *prediction, const struct adl_localized_box *box);

/* The three files of YOLO's layout: data.yaml and classes.txt for all images, and for each image a
 * line a box, with class id, and centre and size as fractions of the sides. It holds no score. */
void adl_yolo_put_yaml(struct adl_str *out, const struct adl_model *model);
void adl_yolo_put_classes(struct adl_str *out, const struct adl_model *model);
void adl_yolo_put_boxes(struct adl_str *out, const struct adl_box_picture *picture);

/* The XML of one image as VOC2007 has it: pixels are counted from 1. It holds no score. */
void adl_voc_put_xml(struct adl_str *out, const struct adl_box_picture *picture);

/* A task of Label Studio with the boxes as a prediction, in percent of the sides; an empty one if
 * there are none. */
void adl_label_studio_put_task(struct adl_str *out, const struct adl_box_picture *picture);

/* The header line, and a line a box; an image without boxes has one line without label and box. */
void adl_boxes_csv_put_header(struct adl_str *out);
void adl_boxes_csv_put(struct adl_str *out, const struct adl_box_picture *picture);

#endif
