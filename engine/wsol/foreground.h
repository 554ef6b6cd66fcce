#ifndef ADL_WSOL_FOREGROUND_H
#define ADL_WSOL_FOREGROUND_H

/* The few-box head: which positions of the last feature map belong to an object at all. It is
 * fitted to a few boxes (eval/foreground_fit.h) and knows nothing of classes. */

#include <stddef.h>

/* Turns the class map `cam` (pixels floats) into that of the head, in place: with f a position's
 * features (pixels x channels, NHWC) and `head` the weights of the channels and the bias,
 *
 *     cam = sigmoid(head f + bias) * sqrt((cam - min) / (max - min))
 *
 * The second factor is how strongly the class is seen there, so that an object of another class
 * fades. A constant class map, and one with a NaN, count as 1 everywhere. */
void adl_foreground_map(const float *features, size_t pixels, size_t channels, const float *head,
                        float *cam);

#endif
