#ifndef ADL_SERVER_TASKS_GREY_MAP_H
#define ADL_SERVER_TASKS_GREY_MAP_H

/* The map of a prediction as a grey image of the photograph's size, as answers and files have it,
 * and the same map cut at the threshold. */

#include <stddef.h>
#include <stdint.h>

#include "server/tasks/predict.h"

/* Writes the map that the boxes of prediction `index` were cut from, enlarged bilinearly to width x
 * height and rounded to 0..255, to `grey`, width * height bytes. `pause` (NULL: none) is called
 * between rows. Fails with ADL_ERR_NOMEM, and as `pause` does. */
int adl_grey_map(const struct adl_predictions *predictions, size_t index, int width, int height,
                 const struct adl_pause *pause, uint8_t *grey,
                 struct adl_error *err) ADL_MUST_CHECK;

/* Two PNG files in memory, both of 8-bit grey pixels; owned. */
struct adl_grey_masks {
    void *map, *cut;
    size_t map_bytes, cut_bytes;
};

void adl_grey_masks_release(struct adl_grey_masks *masks); /* zeroed is fine */

/* Encodes this map and its cut: 255 where the map's byte exceeds trunc(threshold * largest byte),
 * as boxes are cut (wsol/boxes.h), and 0 elsewhere. The threshold is that of predictions->map for
 * the class. On failure `masks` is zeroed. Fails with ADL_ERR_NOMEM. */
int adl_grey_masks_make(const struct adl_predictions *predictions, size_t index, int width,
                        int height, struct adl_grey_masks *masks,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
