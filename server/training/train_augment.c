/* The options of augmentation: from the command line to the loader, and to the record of a run. */

#include "server/training/train_augment.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "base/name.h"
#include "base/size.h"

int adl_train_read_jitter(struct adl_train_settings *s, struct adl_error *err)
{
    static const double most[] = {1, 1, 1, 0.5};
    struct adl_train_jitter jitter = {0};
    /* "none" stands for the default, as with every number. */
    const char *text = strcasecmp(s->color_jitter, "none") ? s->color_jitter : "0";
    size_t count = 0;

    for (; count < ADL_COUNT(most); count++) {
        char *end;
        double strength = strtod(text, &end);
        if (end == text || !(strength >= 0 && strength <= most[count]))
            break;
        jitter.strengths[count] = strength;
        text = end;
        if (*text != ',') {
            count++;
            break;
        }
        text++;
    }
    if (*text || (count != 1 && count != ADL_COUNT(most)))
        return adl_fail(err, ADL_ERR_ARG,
                        "--color-jitter: \"%s\" is neither one strength from 0 to 1 nor "
                        "BRIGHTNESS,CONTRAST,SATURATION,HUE from 0 to 1, the hue to 0.5",
                        ADL_SHORT(s->color_jitter));
    jitter.any_order = count > 1;
    for (size_t i = 1; count == 1 && i < 3; i++)
        jitter.strengths[i] = jitter.strengths[0];
    s->jitter = jitter;
    return 0;
}

struct adl_augment_options adl_train_augment(const struct adl_train_settings *s)
{
    const double *strengths = s->jitter.strengths;
    return (struct adl_augment_options){.train = true,
                                        .resize_size = s->resize_size,
                                        .crop_size = s->crop_size,
                                        .random_resized_crop = s->random_resized_crop,
                                        .min_area = s->min_crop_area,
                                        .max_area = s->max_crop_area,
                                        .min_ratio = s->min_crop_aspect,
                                        .max_ratio = s->max_crop_aspect,
                                        .flip = s->flip,
                                        .brightness = strengths[0],
                                        .contrast = strengths[1],
                                        .saturation = strengths[2],
                                        .any_order = s->jitter.any_order,
                                        .hue = strengths[3]};
}

int adl_train_record_augment(json_t *config, const struct adl_train_settings *s)
{
    const struct {
        const char *key;
        double value;
    } bounds[] = {
        {"max_crop_area", s->max_crop_area},
        {"min_crop_aspect", s->min_crop_aspect},
        {"max_crop_aspect", s->max_crop_aspect},
    };
    const double *strengths = s->jitter.strengths;
    json_t *jitter = s->jitter.any_order ? json_pack("[f, f, f, f]", strengths[0], strengths[1],
                                                     strengths[2], strengths[3])
                                         : json_real(strengths[0]);
    int failed = json_object_set_new(config, "color_jitter", jitter);

    if (s->random_resized_crop && fabs(s->min_crop_area - ADL_TRAIN_MIN_CROP_AREA) > 0)
        failed |= json_object_set_new(config, "min_crop_area", json_real(s->min_crop_area));
    for (size_t i = 0; s->random_resized_crop && i < ADL_COUNT(bounds); i++)
        if (bounds[i].value > 0)
            failed |= json_object_set_new(config, bounds[i].key, json_real(bounds[i].value));
    return failed ? -1 : 0;
}
