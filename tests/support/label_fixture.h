#ifndef ADL_TESTS_SUPPORT_LABEL_FIXTURE_H
#define ADL_TESTS_SUPPORT_LABEL_FIXTURE_H

/* Data of images with several labels: on grey noise none, one or two squares, a blue one (class 0)
 * and a red one (class 1), each in a quarter of its own. Everything fails the running test if it
 * goes wrong. */

/* The side of an image in pixels; the images of train and of val. */
enum { LABEL_SIDE = 48, LABEL_TRAIN = 96, LABEL_VAL = 16 };

/* Makes a new scratch directory with such data as lists with boxes, in data. Image i of train has
 * blue if bit 0 of i is set, and red if bit 1 is; it is called train<i>.png. */
void label_lists(const char *name);

#endif
