/* Runs one node of a tape, forward, backward, or forward again to recompute its output.
 *
 * Ops read and write float32. Where a map is in bfloat16 (ADL_TAPE_BF16), what an op reads is
 * widened, which is exact, into scratch memory, and what it has written is rounded to its place.
 *
 * The widened maps of a whole batch would take the memory that bfloat16 saves. An op that treats
 * each image by itself (by_image) therefore runs on slices of the batch, as many images at a time
 * as have SLICE_FLOATS floats widened. The number of images depends on the shape and the batch
 * alone, as the sums over the batch have to. A slice should not be smaller than that: the weights
 * of a convolution are packed or transformed for each one. */

#include "train/tape_run.h"

#include "base/mem.h"
#include "base/size.h"
#include "kernels/bf16.h"

/* 32 MiB; of an op without weights, which is fastest where a slice stays in the cache, 4 MiB. */
#define SLICE_FLOATS ((size_t)8 << 20)
#define LIGHT_SLICE_FLOATS ((size_t)1 << 20)
/* Elements of a task when maps are converted. */
#define PIECE_FLOATS ((size_t)65536)
/* Inputs, output, and their gradients. */
#define MAX_MAPS (2 * ADL_MAX_OP_INPUTS + 2)

/* A map that a node reads or writes in a pass. Values that share memory are one map. */
struct map {
    int root;
    bool is_grad;
    bool read, written;
    size_t image; /* floats of one image */
    float *wide;  /* the floats of the current slice */
};

struct maps {
    const struct adl_tape *tape;
    const struct adl_node *node;
    enum tape_pass pass;
    struct map of[MAX_MAPS];
    int count;
};

struct adl_train_call tape_shapes(const struct adl_tape *tape, int index, int batch,
                                  struct tape_call_arrays *arrays)
{
    const struct adl_node *node = adl_graph_node(tape->graph, index);
    for (int i = 0; i < node->input_count; i++)
        arrays->in_shape[i] = tape->values[node->inputs[i]].shape;
    return (struct adl_train_call){
        .node = node,
        .pool = tape->pool,
        .kernels = tape->kernels,
        .frugal = tape->bf16,
        .bf16_backward = tape->bf16 && tape->kernels->bf16->dot,
        .batch = batch,
        .in = arrays->in,
        .in_shape = arrays->in_shape,
        .params = arrays->params,
        .out_shape = tape->values[node->output].shape,
        .lo = tape->nodes[index].lo,
        .hi = tape->nodes[index].hi,
        .grad_in = arrays->grad_in,
        .add_in = arrays->add_in,
        .grad_params = arrays->grad_params,
    };
}

static bool is_backward(enum tape_pass pass)
{
    return pass == TAPE_RUN_BACKWARD || pass == TAPE_RUN_BACKWARD_SUMS;
}

static bool is_forward(enum tape_pass pass)
{
    return pass == TAPE_RUN_FORWARD || pass == TAPE_RUN_FORWARD_SUMS;
}

static bool is_sums(enum tape_pass pass)
{
    return pass == TAPE_RUN_FORWARD_SUMS || pass == TAPE_RUN_BACKWARD_SUMS;
}

/* --- the maps of a pass ------------------------------------------------------------------- */

/* Returns the map of a value or of its gradient; NULL if the pass has not opened it. */
static struct map *find_map(struct maps *maps, int value, bool is_grad)
{
    int root = maps->tape->values[value].root;
    for (int i = 0; i < maps->count; i++)
        if (maps->of[i].root == root && maps->of[i].is_grad == is_grad)
            return &maps->of[i];
    return NULL;
}

/* Adds a map, unless it is there. What an op writes before it reads it need not be widened, so the
 * maps that a pass reads are opened first. */
static void open_map(struct maps *maps, int value, bool is_grad, bool read, bool written)
{
    struct map *map = find_map(maps, value, is_grad);
    if (!read && !written)
        return;
    if (!map) {
        map = &maps->of[maps->count++];
        *map = (struct map){.root = maps->tape->values[value].root,
                            .is_grad = is_grad,
                            .read = read,
                            .image = adl_shape_count(maps->tape->values[value].shape)};
    }
    map->written |= written;
}

/* Lists the maps that node `index` reads and writes in a pass. grad_in says which gradients of
 * inputs it computes, and add_in which of them it adds to. */
static struct maps maps_of(const struct adl_tape *tape, int index, enum tape_pass pass,
                           float *const *grad_in, const bool *add_in)
{
    const struct adl_node *node = adl_graph_node(tape->graph, index);
    const struct adl_op_train *train = node->def->train;
    struct maps maps = {.tape = tape, .node = node, .pass = pass};
    bool back = is_backward(pass);

    for (int j = 0; j < node->input_count; j++)
        open_map(&maps, node->inputs[j], false, !back || !train->drops_in, false);
    open_map(&maps, node->output, false, back && train->reads_out, !back && !is_sums(pass));
    if (!back)
        return maps;
    open_map(&maps, node->output, true, true, false);
    for (int j = 0; j < node->input_count; j++)
        if (grad_in[j] && !is_sums(pass))
            open_map(&maps, node->inputs[j], true, add_in[j], true);
    return maps;
}

/* Returns the floats of `images` images of a map, in whole cache lines. */
static size_t wide_floats(const struct map *map, size_t images)
{
    return adl_ceil_div(map->image * images, ADL_LINE_FLOATS) * ADL_LINE_FLOATS;
}

/* Returns whether a map is in bfloat16 in a pass. */
static bool is_narrow(const struct maps *maps, const struct map *map)
{
    const struct tape_value *value = &maps->tape->values[map->root];
    return map->is_grad ? value->narrow_grad : !is_forward(maps->pass) && value->narrow;
}

/* Returns whether the op itself takes a map in bfloat16. */
static bool op_widens(const struct maps *maps, const struct map *map)
{
    return maps->node->def->train->widens && is_narrow(maps, map) && !map->is_grad && map->read &&
           maps->tape->values[maps->node->inputs[0]].root == map->root;
}

/* Returns whether a map has to be in float32 in scratch memory. */
static bool is_widened(const struct maps *maps, const struct map *map)
{
    return is_narrow(maps, map) && !op_widens(maps, map);
}

/* Returns the floats of the maps that have to be widened for `images` images. */
static size_t all_wide_floats(const struct maps *maps, size_t images)
{
    size_t floats = 0;
    for (int i = 0; i < maps->count; i++)
        if (is_widened(maps, &maps->of[i]))
            floats += wide_floats(&maps->of[i], images);
    return floats;
}

/* Returns the maps of the pass that has most of them. */
static struct maps most_maps(const struct adl_tape *tape, int index, enum tape_pass pass)
{
    const struct adl_node *node = adl_graph_node(tape->graph, index);
    float *grad_in[ADL_MAX_OP_INPUTS] = {NULL};
    bool add_in[ADL_MAX_OP_INPUTS] = {false};
    float some = 0;

    for (int j = 0; j < node->input_count; j++)
        grad_in[j] = tape_passes(tape, index, j) ? &some : NULL;
    return maps_of(tape, index, pass, grad_in, add_in);
}

/* Returns the images of a slice of a batch: all slices but the last have as many. */
static size_t slice_images(const struct adl_tape *tape, int index, size_t batch)
{
    struct maps maps = most_maps(tape, index, TAPE_RUN_BACKWARD);
    size_t image = all_wide_floats(&maps, 1);

    if (!adl_graph_node(tape->graph, index)->def->train->by_image || image == 0)
        return batch;
    size_t floats = maps.node->param_count > 0 ? SLICE_FLOATS : LIGHT_SLICE_FLOATS;
    size_t most = ADL_MAX(floats / image, (size_t)1);
    return adl_ceil_div(batch, adl_ceil_div(batch, most));
}

/* Returns the scratch floats of a node for a slice of `images` images. */
static size_t slice_scratch(const struct adl_tape *tape, int index, size_t images)
{
    struct maps backward = most_maps(tape, index, TAPE_RUN_BACKWARD);
    struct tape_call_arrays arrays;
    struct adl_train_call call = tape_shapes(tape, index, (int)images, &arrays);
    const struct adl_op_train *train = call.node->def->train;
    size_t own = train->scratch_floats ? train->scratch_floats(&call) : 0;

    /* What recomputes its output reads no more than backward. */
    return own + all_wide_floats(&backward, images);
}

size_t tape_run_scratch(const struct adl_tape *tape, int index, int batch)
{
    size_t images = slice_images(tape, index, (size_t)batch);
    size_t rest = (size_t)batch % images;
    size_t whole = slice_scratch(tape, index, images);
    size_t last = rest ? slice_scratch(tape, index, rest) : 0;
    return ADL_MAX(whole, last);
}

/* --- a slice ----------------------------------------------------------------------------- */

struct conversion {
    const struct adl_bf16_kernels *kernels;
    uint16_t *narrow;
    float *wide;
    size_t count;
    bool back; /* from float32 to bfloat16 */
};

static void convert_piece(void *context, size_t i, int worker)
{
    (void)worker;
    const struct conversion *c = context;
    size_t first = i * PIECE_FLOATS, count = ADL_MIN(PIECE_FLOATS, c->count - first);
    if (c->back)
        c->kernels->round_map(c->wide + first, count, c->narrow + first);
    else
        c->kernels->widen_map(c->narrow + first, count, c->wide + first);
}

static void convert(const struct adl_tape *tape, float *narrow, float *wide, size_t count,
                    bool back)
{
    struct conversion c = {.kernels = tape->kernels->bf16,
                           .narrow = (uint16_t *)(void *)narrow,
                           .wide = wide,
                           .count = count,
                           .back = back};
    adl_pool_for(tape->pool, adl_ceil_div(count, PIECE_FLOATS), convert_piece, &c);
}

/* Returns where a map's images from number `first` on are kept. */
static float *place_of(const struct maps *maps, const struct map *map, size_t first)
{
    const struct adl_tape *tape = maps->tape;
    const struct tape_value *value = &tape->values[map->root];
    enum tape_phase phase = is_forward(maps->pass) ? TAPE_FORWARD : TAPE_BACKWARD;
    float *at = tape->block + (map->is_grad ? value->grad : value->offset[phase]);
    if (is_narrow(maps, map))
        return (float *)(void *)((uint16_t *)(void *)at + first * map->image);
    return at + first * map->image;
}

/* Gives every map of a slice its floats, those of bfloat16 in scratch memory, and the op the rest
 * of the scratch. */
static void place_maps(struct maps *maps, size_t first, size_t images, struct adl_train_call *call)
{
    float *next = maps->tape->block + maps->tape->scratch;
    for (int i = 0; i < maps->count; i++) {
        struct map *map = &maps->of[i];
        map->wide = is_widened(maps, map) ? next : place_of(maps, map, first);
        if (is_widened(maps, map))
            next += wide_floats(map, images);
    }
    call->scratch = next;
}

/* Returns the floats of a map in this slice; NULL for one that the op neither reads nor writes. */
static float *floats_of(struct maps *maps, int value, bool is_grad)
{
    struct map *map = find_map(maps, value, is_grad);
    return map ? map->wide : NULL;
}

static void point_to_maps(struct maps *maps, struct adl_train_call *call,
                          struct tape_call_arrays *arrays)
{
    const struct adl_node *node = call->node;
    const struct map *first = find_map(maps, node->inputs[0], false);
    for (int j = 0; j < node->input_count; j++) {
        arrays->in[j] = floats_of(maps, node->inputs[j], false);
        if (arrays->grad_in[j] && !is_sums(maps->pass))
            arrays->grad_in[j] = floats_of(maps, node->inputs[j], true);
    }
    call->narrow_in = NULL;
    if (first && op_widens(maps, first)) {
        call->narrow_in = (const uint16_t *)(const void *)arrays->in[0];
        arrays->in[0] = NULL;
    }
    call->out = floats_of(maps, node->output, false);
    call->grad_out = floats_of(maps, node->output, true);
}

static void run_op(const struct adl_train_call *call, enum tape_pass pass)
{
    const struct adl_op_train *train = call->node->def->train;
    switch (pass) {
    case TAPE_RUN_FORWARD: train->forward(call); break;
    case TAPE_RUN_RECOMPUTE: train->recompute(call); break;
    case TAPE_RUN_FORWARD_SUMS: train->forward_sums(call); break;
    case TAPE_RUN_BACKWARD_SUMS: train->backward_sums(call); break;
    default: train->backward(call); break;
    }
}

void tape_run(const struct adl_tape *tape, int index, enum tape_pass pass,
              struct adl_train_call *call, struct tape_call_arrays *arrays)
{
    struct maps maps = maps_of(tape, index, pass, arrays->grad_in, arrays->add_in);
    size_t batch = (size_t)call->batch, images = slice_images(tape, index, batch);
    if (pass != TAPE_RUN_BACKWARD)
        images = batch;

    for (size_t first = 0; first < batch; first += images) {
        size_t count = ADL_MIN(images, batch - first);
        place_maps(&maps, first, count, call);
        for (int i = 0; i < maps.count; i++) {
            const struct map *map = &maps.of[i];
            if (map->read && is_widened(&maps, map))
                convert(tape, place_of(&maps, map, first), map->wide, count * map->image, false);
        }
        point_to_maps(&maps, call, arrays);
        call->batch = (int)count;
        run_op(call, pass);
        for (int i = 0; i < maps.count; i++) {
            const struct map *map = &maps.of[i];
            if (map->written && is_widened(&maps, map))
                convert(tape, place_of(&maps, map, first), map->wide, count * map->image, true);
        }
    }
}

void tape_run_narrow(const struct adl_tape *tape, int index)
{
    for (int id = 0; tape->bf16 && id < adl_graph_value_count(tape->graph); id++) {
        const struct tape_value *value = &tape->values[id];
        if (value->narrow_after == index)
            convert(tape, tape->block + value->offset[TAPE_BACKWARD],
                    tape->block + value->offset[TAPE_FORWARD],
                    (size_t)tape->batch * adl_shape_count(value->shape), true);
    }
}
