#ifndef ADL_METHODS_METHOD_H
#define ADL_METHODS_METHOD_H

/* Training methods: changes to the training of a classifier that make its class map cover
 * more of the object. A method is one file of this directory, which defines a struct
 * adl_method with its options, and one row of ADL_METHODS below; --method, --help, completion,
 * model files, the record of a run and the tests read the list. Nothing else names a method.
 *
 * A method may change the images of a batch and their labels, add layers inside the network, build
 * branches above it with a loss of its own, and train several networks one after the other. The
 * backbones decide where its layers go (adl_places) and where its branches begin; the method
 * decides what they do. At inference layers are the identity and are stripped from the plan, and of
 * the branches only what an output depends on is run. Several methods may be combined (methods.h).
 */

#include <stdint.h>

#include "graph/graph.h"
#include "ops/train.h"
#include "train/loss.h"
#include "train/tape.h"

enum adl_method_option_kind {
    ADL_METHOD_NUMBER,
    ADL_METHOD_INTEGER,
    ADL_METHOD_FLAG,
    ADL_METHOD_CHOICE
};

/* One option of a method. */
struct adl_method_option {
    /* On the command line: the method's name, with hyphens, a hyphen and a name within the method,
     * "adl-threshold". NULL ends a list. */
    const char *name;
    enum adl_method_option_kind kind;
    double value; /* the default; of a choice its index; of a flag 0 */
    double min, max;
    const char *const *choices; /* NULL-terminated */
    const char *metavar;
    const char *help; /* no capital, no full stop */
    /* The network depends on it at inference too, so model files record it
     * (adl_arch.method_values). Numbers and choices only. */
    bool in_network;
};

/* Where the branches of a method begin. */
enum adl_method_base_kind {
    ADL_BASE_FINE, /* at the map with 1/8 of the input's sides */
    ADL_BASE_LAST  /* at the last map */
};

/* What a backbone hands to a method that builds the upper end of the network. */
struct adl_method_base {
    int features;      /* the value that is its map, as adl_method.base says */
    int head_channels; /* of convolutions before a classifier; 1024 at the network's full width */
    int num_classes;
    bool xavier; /* the reference implementation starts new layers of this network so */
    const union adl_method_value *values; /* of the method's options; only those in_network count */
    size_t first_value;                   /* where they are among those of all methods */
    /* With ADL_BASE_LAST: two maps below it, of the same sides, from which side branches may start;
     * the channels that such branches have; and the name of the 1x1 convolution that ends in a map
     * for each class. */
    int early, late;
    int side_channels;
    const char *classifier;
    /* With ADL_BASE_FINE: appends the backbone's layers above that map to the value `input`, and
     * returns their last map, which has half the sides. May be called more than once, for copies
     * (adl_graph_begin_copy).
     */
    int (*upper)(struct adl_graph *graph, const void *context, int input);
    const void *context;
};

/* What a method gets that trains several whole networks one after the other, in rounds. */
struct adl_method_rounds {
    int count; /* networks, 2 to ADL_MAX_PARTS */
    /* Appends the backbone's network; to be called between adl_graph_begin_part and
     * adl_graph_end_part. */
    void (*build)(struct adl_graph *graph, const void *context);
    const void *context;
    size_t first_value; /* of the method's options among those of all methods */
};

/* A batch of training images before the forward pass, for methods that change them. */
struct adl_method_batch {
    const float *images; /* count x height x width x 3, normalised, as the loader made them */
    float *input;        /* of the same shape: what the network is trained on */
    size_t count;        /* at least 1 */
    int height, width;
    const union adl_method_value *values; /* of the method's options */
    uint64_t key;                         /* all random numbers are derived from it */
    /* Receives, for each image, the number in the batch of the image whose label takes a part of
     * the loss (a permutation of the batch), and how large that part is; a share of 0 (the value
     * before): no other label. */
    size_t *partners;
    double share;
};

/* For a method whose layers hide or weight positions by an attention map: how the report of a run
 * shows the maps of a layer. */
struct adl_method_attention {
    /* `values` are those of the method's options. Changes them so that the layers neither draw nor
     * hide anything. */
    void (*preview)(union adl_method_value *values);
    /* Computes from the attention that a layer has saved for an image (`pixels` floats): the
     * attention from which on a position is hidden, and the factor of each position that is not;
     * returns false if this method multiplies by 1 instead of a factor. */
    bool (*maps)(const union adl_method_value *values, const float *attention, size_t pixels,
                 double *hidden_from, float *factors);
    const char *note; /* explains the three maps to a reader, as HTML-free text */
};

struct adl_method {
    const char *name; /* value of --method, and of arch.method in a model file */
    /* The reference implementation (wsolevaluation) builds this method's layers into its networks:
     * where they stand in a Sequential with other layers, they take numbers in parameter names,
     * and inception_v3 has them in place of dropout. */
    bool in_sequence;
    /* The limit on the norm of the gradient that training has unless told otherwise; 0: none. For
     * methods whose loss can explode. */
    double clip_norm;
    /* Returns the ratio of the new layers' learning rate to that of the others which training has
     * unless told otherwise; 0: that of all methods, which NULL stands for as well. */
    double (*new_layers_ratio)(const union adl_method_value *values);
    bool follows_progress; /* what it does depends on mode->progress */
    /* The op of its layers: one input and an output of the same shape, no parameters,
     * training_only (ops/train.h has its training side). Its attribute says where the options of
     * the method are (adl_method_call_values). NULL: it has no layers. */
    const struct adl_op_def *layer;
    const struct adl_method_attention *attention; /* NULL: its layers save no attention */
    /* Changes the input of a batch, which is a copy of its images, so that an image may take parts
     * of others. NULL: the method does not mix images. */
    void (*mix)(struct adl_method_batch *batch);
    /* Changes the input of a batch in place, after any mixing. NULL: it hides no pixels. */
    void (*hide)(struct adl_method_batch *batch);
    /* Appends everything above base->features and sets the outputs, and the values that the loss
     * depends on (adl_graph_add_tap). adl_arch_is_branch knows the names of its parameters. NULL:
     * the network ends as the backbone has it. */
    void (*branches)(struct adl_graph *graph, const struct adl_method_base *base);
    /* For a method with branches: where they begin, and how the reference implementation builds the
     * networks below them. */
    enum adl_method_base_kind base;
    bool wide_pools;   /* vgg16's pools have windows of 3x3, and one more mean over 3x3 follows */
    bool bare_map;     /* inception_v3 ends at Mixed_6e, without the convolutions of its head */
    bool named_stages; /* the stages between the side branches have names of their own, SPG_A... */
    /* Appends a part (adl_graph_begin_part) for each of several networks, and sets the outputs of
     * all together. A run then trains part 1 in its first epochs, part 2 in the next, and so on,
     * each from the weights of the one before. NULL: it trains one network. */
    void (*rounds)(struct adl_graph *graph, const struct adl_method_rounds *rounds);
    /* Returns the loss of a forward pass in this mode and writes its gradient with respect to the
     * logits and to every tap; *right becomes the number of images whose top-1 class is the label.
     * NULL: the cross-entropy of the logits. */
    double (*loss)(struct adl_tape *tape, const struct adl_targets *targets,
                   const union adl_method_value *values, size_t *right);
    /* Returns whether its layers or branches take part in training after so many epochs. NULL:
     * always. */
    bool (*takes_part)(const union adl_method_value *values, double epochs);
    const struct adl_method_option *options; /* NULL: none */
};

/* Returns the values of a method's options, in the order of its list, in a call of one of its
 * layers. */
static inline const union adl_method_value *adl_method_call_values(
    const struct adl_train_call *call)
{
    return call->mode->method_values + *(const size_t *)call->node->attr;
}

/* The one row of each method, in the order --help lists them and in which combined methods act:
 * ROW(NAME) stands for `const struct adl_method adl_method_NAME`. The first changes nothing. */
#define ADL_METHODS(ROW)                                                                           \
    ROW(cam)                                                                                       \
    ROW(adl)                                                                                       \
    ROW(has)                                                                                       \
    ROW(cutmix)                                                                                    \
    ROW(mixup)                                                                                     \
    ROW(cutout)                                                                                    \
    ROW(maxdrop)                                                                                   \
    ROW(spatial_dropout)                                                                           \
    ROW(dropblock)                                                                                 \
    ROW(dropout)                                                                                   \
    ROW(acol)                                                                                      \
    ROW(spg)                                                                                       \
    ROW(bas)                                                                                       \
    ROW(ae)

#define ADL_METHOD_DECLARE(name) extern const struct adl_method adl_method_##name;
ADL_METHODS(ADL_METHOD_DECLARE)
#undef ADL_METHOD_DECLARE

#endif
