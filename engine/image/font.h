#ifndef ADL_IMAGE_FONT_H
#define ADL_IMAGE_FONT_H

/* Labels on pictures: the printable ASCII characters as pen strokes, smooth at
 * any size. Any other character is drawn as an empty frame. */

#include "image/image.h"

/* Below the baseline, in parts of the height of a capital letter. */
#define ADL_FONT_DESCENT (1.0f / 3.0f)

/* Width in pixels of UTF-8 text whose capitals are `height` pixels tall. */
float adl_font_width(const char *text, float height);

/* Draws it with the top of its capitals at `y` and its left end at `x`; what
 * falls outside the image is cut off. */
void adl_font_draw(struct adl_image *image, const char *text, float x, float y, float height,
                   const uint8_t color[3]);

#endif
