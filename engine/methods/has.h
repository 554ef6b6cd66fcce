#ifndef ADL_METHODS_HAS_H
#define ADL_METHODS_HAS_H

/* The part of Hide-and-Seek (has.c) that does not draw: tests give it the draws of another
 * program. */

/* Returns the next uniform number in [0, 1). */
typedef double adl_has_draw_fn(void *context);

/* Sets cells of an image, height x width x 3, to 0: one draw for each cell of grid x grid pixels,
 * row by row, and a cell is hidden if its draw is at most `rate`. Cells at the right and at the
 * bottom may be smaller. grid >= 1. */
void adl_has_hide(float *image, int height, int width, int grid, double rate, adl_has_draw_fn *draw,
                  void *context);

#endif
