/* Maps as grey images, see grey_map.h. */

#include "server/tasks/grey_map.h"

#include <math.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/bilinear.h"
#include "image/image.h"

int adl_grey_map(const struct adl_predictions *predictions, size_t index, int width, int height,
                 const struct adl_pause *pause, uint8_t *grey, struct adl_error *err)
{
    size_t pixels = 0;
    float *map = adl_predict_map(predictions, index, err);
    struct adl_bilinear heat = {0};
    int result = -1;

    if (!map)
        return -1;
    ADL_TRY(adl_bilinear_init(&heat, map, predictions->input_w, predictions->input_h, width, height,
                              err));
    for (int y = 0; y < height; y++) {
        const float *row = adl_bilinear_row(&heat, y);
        for (int x = 0; x < width; x++)
            *grey++ = (uint8_t)lrintf(255 * row[x]);
        ADL_TRY(adl_pause_after(pause, &pixels, (size_t)width, err));
    }
    result = 0;
out:
    adl_bilinear_release(&heat);
    adl_free(map);
    return result;
}

void adl_grey_masks_release(struct adl_grey_masks *masks)
{
    adl_free(masks->map);
    adl_free(masks->cut);
    *masks = (struct adl_grey_masks){0};
}

/* Replaces the bytes of a map by those of its cut. */
static void cut(uint8_t *grey, size_t count, double threshold)
{
    int largest = 0;

    for (size_t i = 0; i < count; i++)
        largest = ADL_MAX(largest, (int)grey[i]);
    int limit = (int)(threshold * largest);
    for (size_t i = 0; i < count; i++)
        grey[i] = grey[i] > limit ? 255 : 0;
}

int adl_grey_masks_make(const struct adl_predictions *predictions, size_t index, int width,
                        int height, struct adl_grey_masks *masks, struct adl_error *err)
{
    uint8_t *grey = adl_malloc((size_t)width, (size_t)height);
    int result = -1;

    *masks = (struct adl_grey_masks){0};
    if (!grey)
        return adl_fail_nomem(err, "a map");
    ADL_TRY(adl_grey_map(predictions, index, width, height, NULL, grey, err));
    ADL_TRY(
        adl_image_encode_grey_png(grey, width, height, NULL, &masks->map, &masks->map_bytes, err));
    size_t class_id = (size_t)predictions->items[index].class_id;
    cut(grey, (size_t)width * (size_t)height,
        adl_map_rule_of_class(&predictions->map, class_id).threshold);
    ADL_TRY(
        adl_image_encode_grey_png(grey, width, height, NULL, &masks->cut, &masks->cut_bytes, err));
    result = 0;
out:
    if (result < 0)
        adl_grey_masks_release(masks);
    adl_free(grey);
    return result;
}
