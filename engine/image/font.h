#ifndef ADL_IMAGE_FONT_H
#define ADL_IMAGE_FONT_H

/* Text on images: the printable ASCII characters as pen strokes, antialiased at any size. Any
 * other character is drawn as an empty frame. */

#include "image/image.h"

/* How far letters reach below the baseline, as a fraction of the height of a capital. */
#define ADL_FONT_DESCENT (1.0f / 3.0f)

/* Returns the width in pixels of a UTF-8 text whose capitals are `height` pixels tall. */
float adl_font_width(const char *text, float height);

/* Draws the text with the top of its capitals at `y` and its left end at `x`; what falls
 * outside the image is cut off. */
void adl_font_draw(struct adl_image *image, const char *text, float x, float y, float height,
                   const uint8_t color[3]);

#endif
