#ifndef ADL_WSOL_FOREGROUND_H
#define ADL_WSOL_FOREGROUND_H

/* Applies the few-box head: a linear classifier that tells which positions of the last feature map
 * belong to an object of any class. It is fitted to the boxes of a few images
 * (eval/foreground_fit.h). */

#include <stddef.h>

/* Combines the class map `cam`, `pixels` floats, with the head, in place. With f the features of a
 * position (`features` is pixels x channels, NHWC), and w and b the channels' weights and the bias
 * in `head`, which has channels + 1 floats,
 *
 *     cam = sigmoid(w f + b) * sqrt((cam - min) / (max - min))
 *
 * The second factor shows how strongly the class responds at the position, so that an object of
 * another class fades. It is 1 everywhere for a class map that is constant or has a NaN or an
 * infinity. */
void adl_foreground_map(const float *features, size_t pixels, size_t channels, const float *head,
                        float *cam);

#endif
