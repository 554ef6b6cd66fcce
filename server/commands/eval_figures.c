/* Prints what `eval` has measured, see eval_figures.h. */

#include "server/commands/eval_figures.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/json_text.h"
#include "server/commands/eval_boxes.h"
#include "server/commands/eval_masks.h"
#include "server/tasks/json_out.h"

static json_t *per_iou(const double values[ADL_EVAL_IOUS], bool measured)
{
    static const char *const names[ADL_EVAL_IOUS] = {"0.3", "0.5", "0.7"};
    json_t *object = measured ? json_object() : json_null();

    for (size_t i = 0; measured && i < ADL_EVAL_IOUS; i++)
        json_object_set_new(object, names[i], json_real(values[i]));
    return object;
}

/* Return the expected calibration error, and what chance alone would give, as JSON; null without
 * answers. */
static json_t *calibration_error(const struct adl_reliability *r)
{
    return adl_eval_number(adl_reliability_error(r), r->count > 0);
}

static json_t *chance(const struct adl_reliability *r)
{
    return adl_eval_number(adl_reliability_chance(r), r->count > 0);
}

/* Returns a member of adl_eval_boxes_json(), or null if nothing was measured. */
static json_t *boxes_member(json_t *boxes, const char *key)
{
    return json_is_null(boxes) ? json_null() : json_incref(json_object_get(boxes, key));
}

int adl_eval_figures_json(const struct adl_eval_figures *figures, struct adl_error *err)
{
    const struct adl_evaluate_report *r = figures->classes.report;
    const struct adl_evaluation *f = &r->figures;
    json_t *root = json_object(),
           *boxes = adl_eval_boxes_json(r, figures->classes.dataset, -1, false);
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        {"split", adl_json_from_text(figures->split)},
        {"images", json_integer((json_int_t)r->images)},
        {"errors", json_integer((json_int_t)r->errors)},
        {"top1_cls", adl_eval_number(f->top1_cls, r->classified)},
        {"top5_cls", adl_eval_number(f->top5_cls, r->classified)},
        {"gt_known_loc", adl_eval_number(f->gt_known_loc, r->localized)},
        {"top1_loc", adl_eval_number(f->top1_loc, r->both)},
        {"top5_loc", adl_eval_number(f->top5_loc, r->both)},
        {"max_box_acc", adl_eval_number(f->max_box_acc, r->localized)},
        {"centred_box_acc", adl_eval_number(f->centred_box_acc, r->localized)},
        {"centred_square_acc", adl_eval_number(f->centred_square_acc, r->localized)},
        {"centred_square_acc_v2", adl_eval_number(f->centred_square_acc_v2, r->localized)},
        {"max_box_acc_v2", adl_eval_number(f->max_box_acc_v2, r->localized)},
        {"max_box_acc_v2_iou", per_iou(f->max_box_acc_v2_iou, r->localized)},
        {"best_threshold", adl_eval_number(f->best_threshold, r->localized)},
        {"best_threshold_v2_iou", per_iou(f->best_threshold_v2, r->localized)},
        {"model_threshold", json_real(figures->threshold)},
        {"ap50", boxes_member(boxes, "ap50")},
        {"f1_50", boxes_member(boxes, "f1_50")},
        {"several", adl_eval_boxes_json(r, figures->classes.dataset, -1, true)},
        {"cam_curve_interval", json_real(figures->curve_interval)},
        {"temperature", figures->classes.model
                            ? json_real(figures->classes.model->certainty.temperature)
                            : json_null()},
        {"ece_cls", calibration_error(&r->class_scores)},
        {"ece_cls_chance", chance(&r->class_scores)},
        {"ece_box", calibration_error(&r->box_confidences)},
        {"ece_box_chance", chance(&r->box_confidences)},
        {"seconds", json_real(r->seconds)},
        {"per_class", figures->per_class ? adl_eval_classes_json(&figures->classes) : NULL},
    };
    bool failed = false;
    int result;

    for (size_t i = 0; i < ADL_COUNT(members); i++) {
        bool wanted = figures->per_class || strcmp(members[i].key, "per_class") != 0;
        if (wanted && json_object_set_new(root, members[i].key, members[i].value) < 0)
            failed = true;
        /* The figures of the masks follow those of the boxes. */
        if (!strcmp(members[i].key, "several") && adl_eval_masks_json(r, root) < 0)
            failed = true;
    }
    failed |= r->several &&
              (json_object_set_new(root, "labels", json_integer((json_int_t)r->labels)) < 0 ||
               json_object_set_new(root, "mean_average_precision",
                                   adl_eval_number(r->label_figures.mean_precision,
                                                   isfinite(r->label_figures.mean_precision))) < 0);
    result = failed ? adl_fail_nomem(err, "JSON")
                    : adl_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12), err);
    json_decref(root);
    json_decref(boxes);
    return result;
}

static void print_figure(const char *name, double value, bool measured, const char *note)
{
    if (measured)
        printf("%-14s %6.2f %%%s%s\n", name, value, *note ? "  " : "", note);
}

/* Prints an expected calibration error, which is a distance between probabilities. */
static void print_error(const char *name, const struct adl_reliability *r)
{
    if (r->count > 0)
        printf("%-14s %8.3f  expected calibration error, %d bins; by chance alone about %.3f\n",
               name, adl_reliability_error(r), ADL_RELIABILITY_BINS, adl_reliability_chance(r));
}

int adl_eval_figures_print(const struct adl_eval_figures *figures, struct adl_error *err)
{
    const struct adl_evaluate_report *r = figures->classes.report;
    const struct adl_evaluation *f = &r->figures;
    char note[200], fixed[60];

    snprintf(fixed, sizeof fixed, "at the threshold %g", figures->threshold);
    printf("%-14s %6zu", "images", r->images);
    if (r->errors > 0)
        printf("    (%zu unreadable, counted as wrong)", r->errors);
    putchar('\n');
    if (r->several)
        printf("%-14s %6zu\n", "labels", r->labels);
    print_figure("mAP", r->label_figures.mean_precision,
                 r->several && isfinite(r->label_figures.mean_precision),
                 "mean average precision of the classes");
    print_figure("Top-1 Cls", f->top1_cls, r->classified, "");
    print_figure("Top-5 Cls", f->top5_cls, r->classified, "");
    print_figure("GT-known Loc", f->gt_known_loc, r->localized, fixed);
    print_figure("Top-1 Loc", f->top1_loc, r->both, fixed);
    print_figure("Top-5 Loc", f->top5_loc, r->both, fixed);
    snprintf(note, sizeof note, "at its best threshold, %g", f->best_threshold);
    print_figure("MaxBoxAcc", f->max_box_acc, r->localized, note);
    print_figure("centred boxes", f->centred_box_acc, r->localized,
                 "the same boxes, moved to the centre of the image");
    snprintf(note, sizeof note, "%.2f, %.2f, %.2f at IoU 0.3, 0.5, 0.7; thresholds %g, %g, %g",
             f->max_box_acc_v2_iou[0], f->max_box_acc_v2_iou[1], f->max_box_acc_v2_iou[2],
             f->best_threshold_v2[0], f->best_threshold_v2[1], f->best_threshold_v2[2]);
    print_figure("MaxBoxAccV2", f->max_box_acc_v2, r->localized, note);
    snprintf(note, sizeof note, "one for all images, of the best of %d sizes; as V2 %.2f %%",
             ADL_EVAL_SQUARES, f->centred_square_acc_v2);
    print_figure("centred square", f->centred_square_acc, r->localized, note);
    if (adl_eval_boxes_print(r, figures->classes.dataset, err) < 0)
        return -1;
    adl_eval_masks_print(r, figures->threshold);
    print_error("class scores", &r->class_scores);
    print_error("confidences", &r->box_confidences);
    if (!r->localized && !r->masked)
        puts("this split has no boxes: classification only");
    printf("%-14s %6.1f s\n", "time", r->seconds);
    if (figures->per_class)
        adl_eval_classes_print(&figures->classes);
    return 0;
}
