/* Prints how all boxes of the images compare with all true ones, see eval/detections.h. */

#include "server/commands/eval_boxes.h"

#include <stdio.h>

static int figures_of(const struct adl_evaluate_report *report, const struct adl_dataset *dataset,
                      int class_id, bool several, struct adl_detection_figures *figures,
                      struct adl_error *err)
{
    const struct adl_detection_choice choice = {
        .dataset = dataset, .total = report->total, .class_id = class_id, .several = several};

    for (int mode = 0; mode < ADL_BOX_MODES; mode++)
        if (adl_detections_figures(&report->detections, (enum adl_box_mode)mode, &choice,
                                   &figures[mode], err) < 0)
            return -1;
    return 0;
}

json_t *adl_eval_boxes_json(const struct adl_evaluate_report *report,
                            const struct adl_dataset *dataset, int class_id, bool several)
{
    struct adl_detection_figures figures[ADL_BOX_MODES];
    struct adl_error err = {0};
    json_t *ap50 = json_object(), *f1_50 = json_object();
    int failed = 0;

    if (!report->localized) {
        json_decref(ap50);
        json_decref(f1_50);
        return json_null();
    }
    failed |= figures_of(report, dataset, class_id, several, figures, &err);
    for (int mode = 0; !failed && mode < ADL_BOX_MODES; mode++) {
        failed |=
            json_object_set_new(ap50, adl_box_mode_names[mode], json_real(figures[mode].ap50));
        failed |=
            json_object_set_new(f1_50, adl_box_mode_names[mode], json_real(figures[mode].f1_50));
    }
    json_t *all = failed    ? NULL
                  : several ? json_pack("{s:i, s:O, s:O}", "images", (int)figures[0].images, "ap50",
                                        ap50, "f1_50", f1_50)
                            : json_pack("{s:O, s:O}", "ap50", ap50, "f1_50", f1_50);
    json_decref(ap50);
    json_decref(f1_50);
    return all;
}

static void print_rows(const struct adl_detection_figures *figures, const char *note)
{
    printf("%-14s %6.2f %%  %.2f, %.2f with all, objects; %s\n", "AP50", figures[0].ap50,
           figures[1].ap50, figures[2].ap50, note);
    printf("%-14s %6.2f %%  %.2f, %.2f with all, objects\n", "F1", figures[0].f1_50,
           figures[1].f1_50, figures[2].f1_50);
}

int adl_eval_boxes_print(const struct adl_evaluate_report *report,
                         const struct adl_dataset *dataset, struct adl_error *err)
{
    struct adl_detection_figures figures[ADL_BOX_MODES];
    char note[80];

    if (!report->localized)
        return 0;
    if (figures_of(report, dataset, -1, false, figures, err) < 0)
        return -1;
    print_rows(figures, "every box against every true one");
    if (figures_of(report, dataset, -1, true, figures, err) < 0)
        return -1;
    if (figures[0].images == 0)
        return 0;
    snprintf(note, sizeof note, "on the %zu with several true boxes", figures[0].images);
    print_rows(figures, note);
    return 0;
}
