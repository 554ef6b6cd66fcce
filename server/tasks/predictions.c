/* Writes what a network says of each image of a split. */

#include "server/tasks/predictions.h"

#include <stdio.h>

#include "server/tasks/csv_out.h"

/* Appends the name of a class, of the model if it has names: the data set may lack some. */
static void put_class(struct adl_str *csv, const struct adl_predictions *p, int class_id)
{
    if (p->model->classes && (size_t)class_id < p->model->class_count)
        adl_csv_put_text(csv, p->model->classes[class_id]);
    else if (p->dataset->classes && (size_t)class_id < p->dataset->class_count)
        adl_csv_put_text(csv, p->dataset->classes[class_id]);
    else
        adl_str_printf(csv, "%d", class_id);
}

static bool is_correct(const struct adl_predictions *p, const struct adl_dataset_image *image,
                       const struct adl_evaluate_place *place)
{
    const struct adl_label_rule *labels = &p->model->labels;

    if (!labels->several)
        return place->predicted == image->class_id;
    return image->bare ? (double)place->score < labels->threshold
                       : (double)place->probability >= labels->threshold;
}

static void put_image(struct adl_str *csv, const struct adl_predictions *p, size_t index)
{
    const struct adl_evaluate_place *place = &p->places[index];
    const struct adl_dataset_image *image = &p->dataset->images[index];

    adl_csv_put_text(csv, image->id);
    adl_str_puts(csv, ",");
    if (!image->bare)
        put_class(csv, p, image->class_id);
    adl_str_puts(csv, ",");
    if (!place->measured) {
        adl_str_puts(csv, ",0,,,\n");
        return;
    }
    put_class(csv, p, place->predicted);
    adl_str_printf(csv, ",%d,%.9g,", is_correct(p, image, place), (double)place->score);
    if (!image->bare)
        adl_str_printf(csv, "%.9g", (double)place->probability);
    adl_str_puts(csv, ",");
    if (p->localized && !image->bare)
        adl_str_printf(csv, "%.9g", (double)place->iou);
    adl_str_puts(csv, "\n");
}

int adl_predictions_write(const struct adl_predictions *p, const char *path, struct adl_error *err)
{
    struct adl_str csv = {0};

    adl_str_puts(&csv, "path,label,predicted,correct,score,label_score,iou\n");
    for (size_t i = 0; i < p->dataset->count; i++)
        if (p->places[i].measured || !p->some)
            put_image(&csv, p, i);
    return adl_csv_write(&csv, path, err);
}
