#ifndef ADL_TESTS_SUPPORT_TRAIN_FIXTURE_H
#define ADL_TESTS_SUPPORT_TRAIN_FIXTURE_H

/* Data sets of generated images in the scratch directory, each a red or a blue square on grey
 * noise, and runs of `train` on them. Everything fails the running test if it goes wrong. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "image/image.h"
#include "models/model.h"

/* The side of an image in pixels, and the number of training images of each class. */
enum { TRAIN_SIDE = 48, TRAIN_PER_CLASS = 12 };

/* Opens an empty scratch directory. */
void train_new_root(const char *name);
/* Draws image `number` of a class. `box` receives the corners of the square, inclusive. The caller
 * releases the image. */
void train_draw(uint64_t number, bool red, struct adl_image *image, int box[4]);
void train_write_image(const char *path, uint64_t number, bool red, bool jpeg, int box[4]);
/* Makes a new scratch directory with the class directories data/blue and data/red. */
void train_directories(const char *name);
/* Makes a new scratch directory with the directories of the lists and images of train and val. */
void train_list_directories(const char *name);
/* Makes a new scratch directory with lists as in the reference, with boxes, in data. */
void train_lists(const char *name);
/* Opens data/metadata/SPLIT/NAME.txt for writing. */
FILE *train_open_list(const char *split, const char *name);

#define TRAIN_MAX_ARGUMENTS 48
/* The options of a small network on small images. */
#define TRAIN_COMMON                                                                               \
    "--arch", "mobilenet_v1", "--width", "0.25", "--resize-size", "40", "--crop-size", "32",       \
        "--batch-size", "8", "--lr", "0.02", "--no-report"

/* Runs train with the words up to NULL on data, into `out` of the scratch directory. With
 * `stop_at_once` it is told to stop before it begins, as by a signal. Returns its result. */
int train_words(const char *out, bool stop_at_once, const char *const *words,
                struct adl_error *err);
/* The same with the common options and the given words. */
#define TRAIN(out, stop, err, ...)                                                                 \
    train_words(out, stop, (const char *const[]){TRAIN_COMMON, __VA_ARGS__, NULL}, err)

/* Trains in parts that stop after one batch and are resumed, with a changing number of threads.
 * Returns the number of parts, or -1 after failing the test. */
int train_in_parts(const char *out, const char *const *words);
/* Trains into one, two and parts: with one thread, with two, and in parts. Checks that the last
 * models have the same bits; returns the number of parts. */
int train_check_bits(const char *const *words);
/* The same with the common options and the given words. */
#define TRAIN_CHECK_BITS(...)                                                                      \
    train_check_bits((const char *const[]){TRAIN_COMMON, __VA_ARGS__, NULL})

/* Returns what the last run wrote on standard error. */
const char *train_log(void);
/* Returns whether the last run wrote `part` on standard error. */
bool train_logged(const char *part);
/* Returns how often the last run wrote `part`. */
int train_log_count(const char *part);

/* Loads a model file of the scratch directory, which the caller frees; ends the running test if
 * that fails. */
struct adl_model *train_load(const char *file);
/* Returns the digest of the weights of a model file of the scratch directory; "" after failing the
 * running test. The text is valid until the call after the next one. */
const char *train_digest(const char *file);
/* Returns the lines of metrics.jsonl as an array; every line has to be an object. */
json_t *train_metrics(const char *out);
/* Checks that metrics.jsonl has the lines of epochs 1 to `epochs`. */
void train_check_epochs(const char *out, size_t epochs);

#endif
