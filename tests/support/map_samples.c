#include "support/map_samples.h"

#include "base/mem.h"
#include "base/size.h"
#include "support/test.h"

void map_samples_make(struct adl_calibrate_samples *samples, size_t count, size_t boxes,
                      map_samples_draw *draw, double how)
{
    struct adl_rng rng;

    adl_rng_seed(&rng, 3, 0, 0);
    *samples = (struct adl_calibrate_samples){.items = adl_calloc(count, sizeof *samples->items),
                                              .count = count,
                                              .class_count = 2,
                                              .cam_h = MAP_SIDE,
                                              .cam_w = MAP_SIDE,
                                              .input_h = MAP_INPUT,
                                              .input_w = MAP_INPUT};
    CU_ASSERT_PTR_NOT_NULL_FATAL(samples->items);
    for (size_t i = 0; i < count; i++) {
        struct adl_calibrate_sample *one = &samples->items[i];
        one->truth = adl_malloc(boxes, sizeof *one->truth);
        one->truth_count = boxes;
        CU_ASSERT_PTR_NOT_NULL_FATAL(one->truth);
        draw(one, i, &rng, how);
    }
}

struct adl_box map_samples_box(int x, int y, int width, int height)
{
    int end_x = (x + width) * MAP_SCALE, end_y = (y + height) * MAP_SCALE;

    return (struct adl_box){x * MAP_SCALE, y * MAP_SCALE, ADL_MIN(end_x, MAP_INPUT - 1),
                            ADL_MIN(end_y, MAP_INPUT - 1)};
}
