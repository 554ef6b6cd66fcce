#ifndef ADL_TESTS_SUPPORT_MAP_SAMPLES_H
#define ADL_TESTS_SUPPORT_MAP_SAMPLES_H

/* Class maps with known objects, for tests of the calibration: each map has MAP_SIDE x MAP_SIDE
 * cells, and the network's input has MAP_SCALE x MAP_SCALE pixels for each. */

#include "base/rng.h"
#include "eval/calibrate.h"

enum { MAP_SIDE = 14, MAP_SCALE = 2, MAP_INPUT = MAP_SIDE * MAP_SCALE };

/* Draws the maps of sample i and sets its true boxes; lowers truth_count if there are fewer. */
typedef void map_samples_draw(struct adl_calibrate_sample *sample, size_t i, struct adl_rng *rng,
                              double how);

/* Makes `count` samples, each with memory for `boxes` true boxes and truth_count set to that, and
 * draws them; `how` is handed to `draw`. adl_calibrate_samples_release() frees them. */
void map_samples_make(struct adl_calibrate_samples *samples, size_t count, size_t boxes,
                      map_samples_draw *draw, double how);

/* Returns the box, in pixels of the input and with the reference's ends, of width x height cells
 * from (x, y). */
struct adl_box map_samples_box(int x, int y, int width, int height);

#endif
