#ifndef ADL_OPS_TRAIN_H
#define ADL_OPS_TRAIN_H

/* The training side of the ops: what each does in a training step. Its forward pass may
 * differ from the one at inference (batch norm, dropout, ADL), and its backward pass computes
 * the gradients that PyTorch's autograd would compute. In the formulas of the ops, (+)=
 * stands for = or +=: gradients are written or added (add_in below).
 *
 * Maps are batches: N images of H x W x C floats, one after the other. An op owns no memory;
 * with every call, train/tape.c gives it the addresses of its input, output, gradients, saved
 * floats and scratch. In a backward pass there is no address (NULL) of an output unless
 * `reads_out`, nor of inputs if `drops_in`.
 *
 * An op computes the same bits for any number of threads: work is divided by shape alone,
 * each value is summed in one order, and random numbers come from adl_train_seed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "graph/graph.h"
#include "kernels/kernel.h"

/* The value of an option of a training method, by the option's kind (methods/method.h). */
union adl_method_value {
    double number;
    int integer; /* also the index of a choice */
    bool flag;
};

/* How all ops of a step behave. */
struct adl_train_mode {
    bool frozen_batchnorm; /* batch norm uses the running statistics and does not update them */
    /* By parameter id: a batch norm whose running mean is true here is frozen in the same way, as
     * are a layer's parameters that are not trained. Borrowed; NULL: none. */
    const bool *frozen_params;
    double bn_momentum;       /* weight of this batch in the running statistics; PyTorch's 0.1 */
    bool bn_momentum_for_all; /* bn_momentum also for layers that have a momentum of their own */
    bool dropout;             /* false: dropout is the identity */

    /* False: the layers of the methods are the identity, and the branches that one adds for
     * training alone do not run, so that the logits are the only value whose gradient counts. */
    bool method_layers;
    /* The options of all methods (adl_method_values in methods/methods.h). Borrowed; may be NULL
     * where the graph has nothing of a method. */
    const union adl_method_value *method_values;
    /* The batch's labels, for ops that treat the label's class differently; NULL: class 0 is the
     * label of every image. Borrowed for the step. */
    const int *labels;

    double progress; /* how far the run has come, 0..1 */
    uint64_t key;    /* from seed and step; all random numbers of the step follow from it */
};

/* One call of an op. */
struct adl_train_call {
    const struct adl_node *node;
    const struct adl_train_mode *mode;
    struct adl_pool *pool; /* may be NULL: the calling thread does all */
    const struct adl_kernels *kernels;
    int batch;              /* N */
    const float *const *in; /* the inputs */
    /* The first input where it is in bfloat16, of an op with `widens`; in[0] is then NULL. Else
     * NULL. */
    const uint16_t *narrow_in;
    const struct adl_shape *in_shape; /* of one image */
    float *const *params; /* NULL where absent; running statistics are updated in place */
    float *out;
    struct adl_shape out_shape;
    float lo, hi; /* for ops with `clamps`: the clamp to apply; infinite if there is none */
    /* Whether scratch memory is saved where that costs little time. Gradients of weights may then
     * be summed in another order. */
    bool frugal;
    /* Whether the backward pass may round what it multiplies to bfloat16, where the processor
     * multiplies such numbers (kernels/bf16.h). */
    bool bf16_backward;
    /* Where a batch is computed in several parts (train/lockstep.h), of an op with joint sums:
     * first those of this part, then what is known of all parts. Else NULL: the batch is all there
     * is. */
    double *joint;
    float *saved;   /* saved_floats() floats, kept from the forward to the backward pass */
    float *scratch; /* scratch_floats() floats, lost between calls */

    /* For the backward pass only. grad_in[i] is NULL if no gradient of input i is needed;
     * else the gradient is added to it if add_in[i], and otherwise written over it. Gradients
     * of parameters are always added to grad_params[i], unless that is NULL: running statistics
     * and the parameters of a node that is a copy have none. */
    const float *grad_out;
    float *const *grad_in;
    const bool *add_in;
    float *const *grad_params;
};

/* The training side of one kind of op. */
struct adl_op_train {
    /* The output may take the first input's memory; grad_in[0] is then grad_out. */
    bool in_place;
    /* The backward pass reads the output, which is therefore kept, and the next op may not
     * write over it. */
    bool reads_out;
    /* The backward pass reads no input, so the inputs need not be kept for it. */
    bool drops_in;
    /* Bit i: the op passes no gradient to input i, as behind PyTorch's detach(). */
    unsigned detached;
    /* The op is a clamp, y = max(lo, min(x, hi)), whose gradient passes where lo < x < hi.
     * Both 0: it is not a clamp. */
    float clamp_lo, clamp_hi;
    /* The forward pass ends with a clamp to call->lo .. call->hi, and the backward pass
     * begins with that clamp's gradient. A clamp that is the only reader of the output is
     * then not run as an op of its own. */
    bool clamps;
    /* Each image of the batch is treated by itself, the same wherever it stands in the batch;
     * nothing is saved, and the only sums over the batch are the gradients of parameters. The batch
     * may then be given in slices, one call after the other. */
    bool by_image;
    /* Except in the forward pass, the op takes its first input in bfloat16 as well. */
    bool widens;
    /* Floats of call->saved and call->scratch; NULL: none. scratch_floats is called with
     * node, pool, kernels, batch and shapes set and nothing else, and covers both passes. */
    size_t (*saved_floats)(const struct adl_node *node, int batch, const struct adl_shape *in,
                           struct adl_shape out);
    size_t (*scratch_floats)(const struct adl_train_call *call);
    void (*forward)(const struct adl_train_call *call);
    void (*backward)(const struct adl_train_call *call);
    /* For ops whose output is cheap to compute: computes the output of the last forward pass
     * again, bit-identically, from the inputs and what was saved. The tape can then discard
     * the output after the forward pass. NULL: the output is kept. */
    void (*recompute)(const struct adl_train_call *call);

    /* For ops whose output depends on sums over all images of a batch, so that a batch in several
     * parts can be computed as a whole (train/lockstep.h); all NULL for others. joint_doubles
     * returns how many sums there are, 0 if this call needs none; it is called with node, mode and
     * shapes set. forward_sums and backward_sums write those of one part to call->joint, which is
     * all 0 before, and may add gradients of parameters; no map may be written. When the parts'
     * sums have been added up, forward_joined is called once: it may replace them by what forward
     * needs, and updates what the parts share, the running statistics. forward and backward of each
     * part then read call->joint. */
    size_t (*joint_doubles)(const struct adl_train_call *call);
    void (*forward_sums)(const struct adl_train_call *call);
    void (*forward_joined)(const struct adl_train_call *call);
    void (*backward_sums)(const struct adl_train_call *call);
};

/* Returns the seed of an op's random numbers in a step: number `index` is what
 * adl_rng_splitmix returns for the state seed + index. They depend on the step's key and on
 * the node, not on the number of threads or the order of calls. */
uint64_t adl_train_seed(const struct adl_train_call *call);
/* Returns random number `index` of an op as a uniform number in [0, 1). */
double adl_train_uniform(const struct adl_train_call *call, uint64_t index);

/* Calls body(call, piece, first, last) for consecutive pieces first .. last-1 of 0 ..
 * count-1, `piece_size` long except for the last, on the call's threads. `piece` is the
 * number of the piece. */
typedef void adl_train_body(const struct adl_train_call *call, size_t piece, size_t first,
                            size_t last);
void adl_train_pieces(const struct adl_train_call *call, size_t count, size_t piece_size,
                      adl_train_body *body);

/* The same with the number of the thread that runs a piece, below adl_pool_threads(). */
typedef void adl_train_worker_body(const struct adl_train_call *call, size_t piece, size_t first,
                                   size_t last, int worker);
void adl_train_worker_pieces(const struct adl_train_call *call, size_t count, size_t piece_size,
                             adl_train_worker_body *body);

/* Calls body(call, image) for each image of the batch, on the call's threads. */
typedef void adl_train_image_body(const struct adl_train_call *call, size_t image);
void adl_train_images(const struct adl_train_call *call, adl_train_image_body *body);

/* Gives input `input` the whole gradient `from` unchanged: adds or copies it, as add_in says.
 * Does nothing if no gradient is needed or if `from` already is the gradient's memory. */
void adl_train_pass_on(const struct adl_train_call *call, int input, const float *from);

#endif
