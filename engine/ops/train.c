/* Helpers that the training sides of the ops share: random numbers, pieces of work, and
 * gradients that pass through unchanged. */

#include "ops/train.h"

#include <string.h>

#include "base/rng.h"
#include "base/size.h"

uint64_t adl_train_seed(const struct adl_train_call *call)
{
    uint64_t state = call->mode->key + (uint64_t)call->node->output;
    return adl_rng_splitmix(&state);
}

double adl_train_uniform(const struct adl_train_call *call, uint64_t index)
{
    uint64_t state = adl_train_seed(call) + index;
    return (double)(adl_rng_splitmix(&state) >> 11) * 0x1p-53;
}

struct pieces {
    const struct adl_train_call *call;
    size_t count, size;
    adl_train_body *body;
};

static void train_run_piece(void *context, size_t i, int worker)
{
    (void)worker;
    const struct pieces *p = context;
    size_t first = i * p->size;
    p->body(p->call, i, first, ADL_MIN(first + p->size, p->count));
}

void adl_train_pieces(const struct adl_train_call *call, size_t count, size_t piece_size,
                      adl_train_body *body)
{
    struct pieces pieces = {call, count, piece_size, body};
    adl_pool_for(call->pool, adl_ceil_div(count, piece_size), train_run_piece, &pieces);
}

struct worker_pieces {
    const struct adl_train_call *call;
    size_t count, size;
    adl_train_worker_body *body;
};

static void train_run_worker_piece(void *context, size_t i, int worker)
{
    const struct worker_pieces *p = context;
    size_t first = i * p->size;
    p->body(p->call, i, first, ADL_MIN(first + p->size, p->count), worker);
}

void adl_train_worker_pieces(const struct adl_train_call *call, size_t count, size_t piece_size,
                             adl_train_worker_body *body)
{
    struct worker_pieces pieces = {call, count, piece_size, body};
    adl_pool_for(call->pool, adl_ceil_div(count, piece_size), train_run_worker_piece, &pieces);
}

struct images {
    const struct adl_train_call *call;
    adl_train_image_body *body;
};

static void train_run_image(void *context, size_t i, int worker)
{
    const struct images *images = context;
    (void)worker;
    images->body(images->call, i);
}

void adl_train_images(const struct adl_train_call *call, adl_train_image_body *body)
{
    struct images images = {call, body};
    adl_pool_for(call->pool, (size_t)call->batch, train_run_image, &images);
}

struct pass_on {
    float *to;
    const float *from;
    bool add;
    size_t count;
};

#define PASS_ON_FLOATS ((size_t)65536) /* elements of a task: 256 KiB */

static void train_pass_on_piece(void *context, size_t i, int worker)
{
    (void)worker;
    const struct pass_on *p = context;
    size_t first = i * PASS_ON_FLOATS, last = ADL_MIN(first + PASS_ON_FLOATS, p->count);
    if (p->add)
        for (size_t j = first; j < last; j++)
            p->to[j] += p->from[j];
    else
        memcpy(p->to + first, p->from + first, (last - first) * sizeof *p->to);
}

void adl_train_pass_on(const struct adl_train_call *call, int input, const float *from)
{
    struct pass_on pass = {call->grad_in[input], from, call->add_in[input],
                           (size_t)call->batch * adl_shape_count(call->in_shape[input])};
    if (pass.to && pass.to != from)
        adl_pool_for(call->pool, adl_ceil_div(pass.count, PASS_ON_FLOATS), train_pass_on_piece,
                     &pass);
}
