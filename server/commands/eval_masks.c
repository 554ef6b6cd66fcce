/* Prints how the maps of the images compare with their masks. */

#include "server/commands/eval_masks.h"

#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "server/commands/eval_classes.h"

int adl_eval_masks_json(const struct adl_evaluate_report *report, json_t *root)
{
    const struct adl_mask_figures *f = &report->masks;
    const struct {
        const char *key;
        double value;
    } members[] = {
        {"pxap", f->pxap},
        {"miou", f->miou},
        {"iou_foreground", f->foreground},
        {"iou_background", f->background},
        {"mean_image_iou", f->image_iou},
        {"best_miou", f->best_miou},
        {"best_miou_threshold", f->best_threshold},
        {"peak_iou", f->peak_iou},
        {"peak_iou_threshold", f->peak_threshold},
    };

    for (size_t i = 0; i < ADL_COUNT(members); i++)
        if (json_object_set_new(root, members[i].key,
                                adl_eval_number(members[i].value,
                                                report->masked && isfinite(members[i].value))) < 0)
            return -1;
    return 0;
}

static void print_figure(const char *name, double value)
{
    if (isfinite(value))
        printf("%-14s %6.2f %%", name, value);
    else
        printf("%-14s %6s  ", name, "-");
}

void adl_eval_masks_print(const struct adl_evaluate_report *report, double threshold)
{
    const struct adl_mask_figures *f = &report->masks;

    if (!report->masked)
        return;
    print_figure("PxAP", f->pxap);
    puts("  pixel average precision, of all pixels as one curve");
    print_figure("mIoU", f->miou);
    printf("  mean of classes and background, at the threshold %g; %.2f at the best, %g\n",
           threshold, f->best_miou, f->best_threshold);
    print_figure("IoU", f->foreground);
    printf("  foreground, %.2f background, over all pixels; %.2f foreground as mean over images\n",
           f->background, f->image_iou);
    print_figure("peak IoU", f->peak_iou);
    printf("  foreground, at its best threshold, %g\n", f->peak_threshold);
}
