/* The options of augmentation: from the command line to the loader, and to the record of a run. */

#include "server/training/train_augment.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "base/name.h"
#include "base/size.h"

/* Strengths of brightness, contrast, saturation and hue. */
enum { STRENGTHS = 4 };

/* Reads --color-jitter. Returns how many strengths it has, 1 or 4; 0 if it is neither. */
static size_t read_jitter(const struct adl_train_settings *s, double strengths[STRENGTHS])
{
    static const double most[STRENGTHS] = {1, 1, 1, 0.5};
    /* "none" stands for the default, as with every number. */
    const char *text = strcasecmp(s->color_jitter, "none") ? s->color_jitter : "0";
    size_t count = 0;

    for (size_t i = 0; i < STRENGTHS; i++)
        strengths[i] = 0;
    while (count < STRENGTHS) {
        char *end;
        double strength = strtod(text, &end);
        if (end == text || !(strength >= 0 && strength <= most[count]))
            return 0;
        strengths[count++] = strength;
        text = end;
        if (*text != ',' || count == STRENGTHS)
            break;
        text++;
    }
    if (*text || (count != 1 && count != STRENGTHS))
        return 0;
    if (count == 1)
        strengths[1] = strengths[2] = strengths[0];
    return count;
}

int adl_train_check_jitter(const struct adl_train_settings *s, struct adl_error *err)
{
    double strengths[STRENGTHS];
    if (read_jitter(s, strengths) > 0)
        return 0;
    return adl_fail(err, ADL_ERR_ARG,
                    "--color-jitter: \"%s\" is neither one strength from 0 to 1 nor "
                    "BRIGHTNESS,CONTRAST,SATURATION,HUE from 0 to 1, the hue to 0.5",
                    ADL_SHORT(s->color_jitter));
}

struct adl_augment_options adl_train_augment(const struct adl_train_settings *s)
{
    double strengths[STRENGTHS];
    size_t count = read_jitter(s, strengths);
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
                                        .any_order = count == STRENGTHS,
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
    double strengths[STRENGTHS];
    json_t *jitter =
        read_jitter(s, strengths) == STRENGTHS
            ? json_pack("[f, f, f, f]", strengths[0], strengths[1], strengths[2], strengths[3])
            : json_real(strengths[0]);
    int failed = json_object_set_new(config, "color_jitter", jitter);

    if (s->random_resized_crop && fabs(s->min_crop_area - ADL_TRAIN_MIN_CROP_AREA) > 0)
        failed |= json_object_set_new(config, "min_crop_area", json_real(s->min_crop_area));
    for (size_t i = 0; s->random_resized_crop && i < ADL_COUNT(bounds); i++)
        if (bounds[i].value > 0)
            failed |= json_object_set_new(config, bounds[i].key, json_real(bounds[i].value));
    return failed ? -1 : 0;
}
