#ifndef ADL_METHODS_METHODS_H
#define ADL_METHODS_METHODS_H

/* The list of training methods, sets of methods that are combined, and the values of their
 * options. */

#include "methods/method.h"

/* In the order of ADL_METHODS, NULL-terminated; at most 32. */
extern const struct adl_method *const adl_methods[];

/* Returns the method called `name`; NULL when there is none. */
const struct adl_method *adl_method_find(const char *name);

/* --- sets ---------------------------------------------------------------------------------- */

/* A set of methods: bit i is adl_methods[i]. The first method, which changes nothing, is in no set;
 * the empty set stands for it. */
struct adl_method_set {
    uint32_t bits;
};

/* Returns the set with one method, and `set` with `method` too. */
struct adl_method_set adl_method_alone(const struct adl_method *method);
struct adl_method_set adl_method_with(struct adl_method_set set, const struct adl_method *method);

/* Sets *set from names separated by commas, "adl,cutmix". Fails with ADL_ERR_ARG on a name that no
 * method has, and as adl_method_set_check does. */
int adl_method_set_parse(const char *names, struct adl_method_set *set,
                         struct adl_error *err) ADL_MUST_CHECK;
/* Fails with ADL_ERR_ARG, in words, if these methods cannot be combined: at most one may build
 * branches, whose network has no place for the layers of others, and at most one may mix images;
 * a method with a loss of its own knows one label for each image. One that trains several networks
 * has the backbone's as they are, and one label for each image. */
int adl_method_set_check(struct adl_method_set set, struct adl_error *err) ADL_MUST_CHECK;
/* Fails with ADL_ERR_ARG if one of these methods goes by the class of an image, so that images
 * cannot have several: it has a loss of its own, builds branches or trains in rounds. */
int adl_method_set_check_labels(struct adl_method_set set, struct adl_error *err) ADL_MUST_CHECK;

/* The names, separated by commas; that of the first method for the empty set. */
struct adl_method_text {
    char text[160];
};
struct adl_method_text adl_method_set_text(struct adl_method_set set);

/* Returns the first method of the set after `after` (NULL: the first of all) in the order of the
 * list; NULL if there is none. */
const struct adl_method *adl_method_next(struct adl_method_set set, const struct adl_method *after);

bool adl_method_set_has(struct adl_method_set set, const struct adl_method *method);
/* Return whether a method of the set has layers, and layers that take numbers in names. */
bool adl_method_set_has_layers(struct adl_method_set set);
bool adl_method_set_in_sequence(struct adl_method_set set);
/* Returns whether a method of the set changes the images of a batch. */
bool adl_method_set_changes_images(struct adl_method_set set);
/* Returns the least limit on the norm of the gradient that a method of the set asks for; 0: none.
 */
double adl_method_set_clip_norm(struct adl_method_set set);
/* Returns the least ratio of learning rates that a method of the set asks for; 0: none does. */
double adl_method_set_new_layers_ratio(struct adl_method_set set,
                                       const union adl_method_value *values);
/* Returns whether what a method of the set does depends on how far the run has come. */
bool adl_method_set_follows_progress(struct adl_method_set set);
/* Returns the first method of the set whose layers save an attention; NULL if there is none. */
const struct adl_method *adl_method_set_attention(struct adl_method_set set);
/* Returns the method of the set that builds branches; NULL if there is none. */
const struct adl_method *adl_method_set_branches(struct adl_method_set set);
/* Returns the set without that method. */
struct adl_method_set adl_method_set_without_branches(struct adl_method_set set);
/* Returns the method of the set that trains several networks in rounds; NULL if there is none. */
const struct adl_method *adl_method_set_rounds(struct adl_method_set set);
/* Returns whether networks of both sets have the same parameters. */
bool adl_method_set_alike(struct adl_method_set a, struct adl_method_set b);
/* Appends the networks of the method of the set that trains several, as rounds->build builds one.
 */
void adl_method_add_rounds(struct adl_graph *graph, const struct adl_method *method,
                           struct adl_method_rounds rounds);
/* Returns the methods of the set that change the network, by layers, branches or rounds; those that
 * take numbers in names; and `set` with those replaced by none, or, if it has none, with all
 * methods that take numbers added. */
struct adl_method_set adl_method_set_network(struct adl_method_set set);
struct adl_method_set adl_method_set_sequence(struct adl_method_set set);
struct adl_method_set adl_method_set_toggle_sequence(struct adl_method_set set);

/* --- options ------------------------------------------------------------------------------- */

/* Room for the options of all methods; a test checks that it is enough. */
#define ADL_METHOD_VALUES 64

/* Returns the options of all methods, one after the other by method: option `index`, from 0; NULL
 * past the last. *method (may be NULL) becomes its method. */
const struct adl_method_option *adl_method_option_at(size_t index,
                                                     const struct adl_method **method);
/* Sets ADL_METHOD_VALUES values to the defaults. */
void adl_method_defaults(union adl_method_value *values);
/* Copies the values of the options that networks depend on at inference (in_network). */
void adl_method_network_values(const union adl_method_value *from, union adl_method_value *to);
/* Appends the branches of the method that has some above `base`, whose values and first_value are
 * set from `values`, those of all methods. */
void adl_method_add_branches(struct adl_graph *graph, const struct adl_method *method,
                             struct adl_method_base base, const union adl_method_value *values);
/* Returns the values of a method's options, in the order of its list. `values` holds those of all
 * methods. */
const union adl_method_value *adl_method_values(const union adl_method_value *values,
                                                const struct adl_method *method);

/* --- a step -------------------------------------------------------------------------------- */

/* Returns whether a method that changes the network takes part in training after so many epochs. */
bool adl_method_takes_part(struct adl_method_set set, const union adl_method_value *values,
                           double epochs);

/* Appends a layer of a method that has layers after the value `input`, and returns the new value.
 */
int adl_method_add_layer(struct adl_graph *graph, const struct adl_method *method, int input,
                         const char *name);

/* Writes the images of a batch to its input, as the methods change them. batch->values are those of
 * the options of all methods. */
void adl_method_input(struct adl_method_set set, struct adl_method_batch *batch);

/* Returns the loss of the tape's last forward pass, which was in this mode, and writes its
 * gradient, divided by `divisor`, to the tape: that of the method with branches, or the
 * cross-entropy of the logits if it has none of its own or is off (mode->method_layers); with
 * targets->present, which adl_method_set_check_labels() has to allow, the binary cross-entropy.
 * *right, unless NULL, becomes the number of images whose top-1 class is the label, or of classes
 * of images that are judged right. */
double adl_method_loss(struct adl_method_set set, struct adl_tape *tape,
                       const struct adl_targets *targets, const struct adl_train_mode *mode,
                       float divisor, size_t *right);

#endif
