#ifndef ADL_TRAIN_BUCKETS_H
#define ADL_TRAIN_BUCKETS_H

/* Cuts the gradients of a network into buckets, each of which is exchanged as soon as a backward
 * pass has made all of it final.
 *
 * A backward pass comes to the last layers first, and gradients lie in the order of the graph, so
 * the buckets go from the end of the array to its beginning. A parameter that several nodes use is
 * final once the pass has come to the first of them. Buckets have whole parameters where they can,
 * so that none waits for a layer of which it has a small piece. The last one, with the first layers
 * of the network, is the only exchange that nothing can hide; so it is small, and the one before it
 * may be. */

#include <stddef.h>

#include "base/error.h"
#include "graph/graph.h"

/* Floats of a bucket: 8 to 16 MiB. Smaller ones would cost more messages, and larger ones wait
 * longer for their first layer. */
#define ADL_BUCKET_MIN ((size_t)2 << 20)
#define ADL_BUCKET_MAX ((size_t)4 << 20)
/* The last one has at most the first layers that make 1 / so much of the least size together. */
#define ADL_BUCKET_TAIL 8

struct adl_bucket {
    size_t first, count; /* floats of the array */
    int node;            /* its gradients are final once the backward pass has done this node */
};

struct adl_buckets {
    struct adl_bucket *of; /* in the order in which they become final */
    int count;
};

/* Cuts gradients, those of adl_optimizer_all_grads(), into buckets of `least` to `most` floats, but
 * for the last two, which may be smaller. Fails with ADL_ERR_NOMEM. */
int adl_buckets_make(struct adl_buckets *buckets, const struct adl_graph *graph, size_t least,
                     size_t most, struct adl_error *err) ADL_MUST_CHECK;
void adl_buckets_release(struct adl_buckets *buckets);

#endif
