#ifndef ADL_TESTS_SUPPORT_METHODS_H
#define ADL_TESTS_SUPPORT_METHODS_H

/* Options of training methods for tests that make a struct adl_train_mode by hand. */

#include "methods/methods.h"

/* The choices of --adl-draw. */
enum adl_draw { ADL_DRAW_RANDOM, ADL_DRAW_DROP, ADL_DRAW_IMPORTANCE, ADL_DRAW_NONE };

/* Returns the defaults of all options with those changed that are named: pairs of an option's name
 * and a double (a flag is 0 or 1, a choice its index), and NULL at the end. They are valid until 32
 * further calls; not for use by several threads. */
const union adl_method_value *test_method_values(const char *name, ...);

/* Runs a method on the input of a batch: copies `images` to `input` as the method changes them. The
 * caller sets the rest of the batch. */
void test_method_input(const struct adl_method *method, const union adl_method_value *values,
                       uint64_t key, float *images, float *input, struct adl_method_batch *batch);

/* Returns those of ADL with this draw, drop rate and threshold. */
const union adl_method_value *test_adl_values(enum adl_draw draw, double rate, double threshold);

/* Returns the set of ADL, or the empty set. */
struct adl_method_set test_adl_if(bool adl);

/* Appends an ADL layer after a value. */
int test_adl_layer(struct adl_graph *graph, int input, const char *name);

/* Writes the names of the values that ADL layers follow, each with a comma behind it, cut at `size`
 * bytes; returns `text`. */
const char *test_adl_layers(const struct adl_graph *graph, char *text, size_t size);

#endif
