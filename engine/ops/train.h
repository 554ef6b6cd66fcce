#ifndef ADL_OPS_TRAIN_H
#define ADL_OPS_TRAIN_H

/* What an op does in a training step: a forward that may differ from the one
 * at inference, and the backward that PyTorch's autograd would give. Maps are
 * batches, NHWC one image after the other. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "graph/graph.h"
#include "kernels/kernel.h"

/* Which of its two maps every ADL layer takes. */
enum adl_draw {
    ADL_DRAW_RANDOM,    /* the drop mask with probability adl_drop_rate */
    ADL_DRAW_DROP,      /* always the drop mask */
    ADL_DRAW_IMPORTANCE /* always the importance map */
};

/* How the ops of a step behave; the same for all of them. */
struct adl_train_mode {
    bool frozen_batchnorm; /* running statistics are used and kept */
    double bn_momentum;    /* weight of this batch in the running statistics; PyTorch's 0.1 */
    bool dropout;          /* off: dropout is the identity */

    bool adl; /* off: ADL layers are the identity */
    enum adl_draw adl_draw;
    double adl_drop_rate;         /* 0..1 */
    double adl_threshold;         /* of the per-image maximum, 0..1 */
    bool adl_per_image;           /* one draw for each image instead of one for the batch */
    bool adl_identity_importance; /* the ablation without the importance map */

    uint64_t key; /* of this step's random numbers: from seed and step */
};

struct adl_train_call {
    const struct adl_node *node;
    const struct adl_train_mode *mode;
    struct adl_pool *pool; /* may be NULL */
    const struct adl_kernels *kernels;
    int batch;
    const float *const *in;
    const struct adl_shape *in_shape;
    float *const *params; /* NULL where absent; running statistics are updated in place */
    float *out;
    struct adl_shape out_shape;
    float lo, hi;   /* only ops that `clamps`: a clamp that follows and is theirs to do */
    float *saved;   /* saved_floats() of them, kept from forward to backward */
    float *scratch; /* scratch_floats() of them, lost between calls */

    /* Backward only. grad_in[i] is NULL where nobody asks for it; it is added to
     * where add_in[i], else written. grad_params are always added to. */
    const float *grad_out;
    float *const *grad_in;
    const bool *add_in;
    float *const *grad_params;
};

struct adl_op_train {
    /* The output may take the first input's memory; grad_in[0] is then grad_out. */
    bool in_place;
    /* The backward reads the output: it is kept, and the next op may not take its
     * memory. */
    bool reads_out;
    /* The backward reads no input: they need not be kept for it. */
    bool drops_in;
    /* The op is max(lo, min(x, hi)) and passes the gradient on where lo < x < hi;
     * both 0: it is not. */
    float clamp_lo, clamp_hi;
    /* Forward ends with a clamp to call->lo .. call->hi, and backward begins with
     * that clamp's: a clamp that alone reads the output is not run itself. */
    bool clamps;
    /* Both NULL: none needed. scratch_floats is asked with shapes, pool, mode and
     * kernels set, and covers forward and backward. */
    size_t (*saved_floats)(const struct adl_node *node, int batch, const struct adl_shape *in,
                           struct adl_shape out);
    size_t (*scratch_floats)(const struct adl_train_call *call);
    void (*forward)(const struct adl_train_call *call);
    void (*backward)(const struct adl_train_call *call);
    /* Where that is cheap: computes `out` of the last forward again, the same bits,
     * from the inputs and what was saved. NULL: the output is kept instead, for
     * whom it may concern. */
    void (*recompute)(const struct adl_train_call *call);
};

/* The random numbers of this op in this step: number `index` is the next of
 * adl_rng_splitmix at seed + index. The same for any thread count and any order
 * of calls. */
uint64_t adl_train_seed(const struct adl_train_call *call);
/* Of these, as a uniform number in [0, 1). */
double adl_train_uniform(const struct adl_train_call *call, uint64_t index);

/* Runs body(context, first, last) over 0..count-1 in pieces of `piece`, fixed by
 * the shape, on the call's threads. */
typedef void adl_train_body(const struct adl_train_call *call, size_t piece, size_t first,
                            size_t last);
void adl_train_pieces(const struct adl_train_call *call, size_t count, size_t piece,
                      adl_train_body *body);

/* Adds or writes, as add_in says: to[i] (+)= from[i] for a whole gradient;
 * nothing where that is its own place. */
void adl_train_pass_on(const struct adl_train_call *call, int input, const float *from);

#endif
