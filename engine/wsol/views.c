/* Runs a network on the views of a map rule and averages their maps; see views.h.
 *
 * Sessions. The plain view has the session that the network would have without views. Every other
 * combination of input size and stride has a session of its own, whose plan uses the packed weights
 * of the first one (plan/resize.c); mirrored views share the session of the same size and run after
 * it. With a last stride of 1 at the size of the input, the session has both ends of the network:
 * that of the scores, as it was trained, and that of the map (plan/tail.c). A session costs the
 * memory of its activations, so a server that is asked for many sizes keeps only the latest.
 *
 * Another layer. The plan keeps the layer's map as one of its outputs, and each session has what
 * runs the network above it forward and back (wsol/layer_net.h), made when a rule first needs it.
 *
 * Sums. The maps of one image are added in the order of the views, by one thread at a time, and are
 * divided by their number at the end. So the result has the same bits in any batch and for any
 * number of threads. */

#include "wsol/views.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "wsol/cam.h"
#include "wsol/session_cam.h"

/* The plain view, all sizes of a rule that is kept, and those of other rules. */
#define MAX_ENTRIES (1 + (ADL_LIMIT_MAP_SCALES + 1) + ADL_LIMIT_VIEW_SIZES)

struct entry {
    struct adl_session *session;
    int h, w;
    bool stride1;
    bool kept;
    /* From the grid of this session to that of the latest run that needed it; zeroed: none did. */
    struct adl_scoremap_resizer resizer;
    struct adl_layer_runs *layer; /* NULL: no rule needed it yet */
    /* From the smaller grid of the class map and the other layer's to the larger one, for the
     * latest run that needed it; zeroed: none did. */
    struct adl_scoremap_resizer layer_resizer;
    uint64_t used; /* number of the call of adl_views_prepare() that used it last */
};

struct adl_views {
    struct adl_plan *plan;
    const struct adl_graph *stride1;   /* NULL: the plan's last stride is 1 */
    const struct adl_layer_net *layer; /* NULL: the class map alone */
    struct adl_pool *pool;
    int batch;
    struct entry entries[MAX_ENTRIES]; /* the first is the plain view */
    int entry_count;
    uint64_t calls;
    double *scratch;
    size_t scratch_doubles; /* of all images of a batch */
};

struct adl_views *adl_views_create(struct adl_plan *plan, const struct adl_graph *stride1,
                                   struct adl_pool *pool, int batch, struct adl_error *err)
{
    struct adl_views *views = adl_calloc(1, sizeof *views);
    if (!views) {
        adl_fail_nomem(err, "a session");
        return NULL;
    }
    *views = (struct adl_views){
        .plan = adl_plan_ref(plan), .stride1 = stride1, .pool = pool, .batch = batch};
    struct adl_shape in = adl_plan_input_shape(plan);
    views->entries[0] = (struct entry){
        .session = adl_session_create(plan, pool, batch, err), .h = in.h, .w = in.w, .kept = true};
    views->entry_count = 1;
    if (!views->entries[0].session) {
        adl_views_free(views);
        return NULL;
    }
    return views;
}

static void release_entry(struct entry *entry)
{
    adl_session_free(entry->session);
    adl_scoremap_resizer_release(&entry->resizer);
    adl_layer_runs_free(entry->layer);
    adl_scoremap_resizer_release(&entry->layer_resizer);
}

void adl_views_free(struct adl_views *views)
{
    if (!views)
        return;
    for (int i = 0; i < views->entry_count; i++)
        release_entry(&views->entries[i]);
    adl_plan_unref(views->plan);
    adl_free(views->scratch);
    adl_free(views);
}

void adl_views_set_layer(struct adl_views *views, const struct adl_layer_net *net)
{
    views->layer = net;
}

int adl_views_check_layer(const struct adl_views *views, const struct adl_map_views *which,
                          struct adl_error *err)
{
    if (which->layer.method == ADL_LAYER_NONE)
        return 0;
    if (!views->layer || strcmp(adl_layer_net_name(views->layer), which->layer.name) != 0)
        return adl_fail(err, ADL_ERR_ARG,
                        "maps of the layer %s need its weights, and the model was loaded with "
                        "those of %s; choose the layer where the model is loaded (--map-layer)",
                        ADL_SHORT(which->layer.name),
                        views->layer ? adl_layer_net_name(views->layer) : "none");
    return adl_map_views_check_stride(which, views->stride1 != NULL, err);
}

struct adl_session *adl_views_session(struct adl_views *views)
{
    return views->entries[0].session;
}

const struct adl_plan *adl_views_plan(const struct adl_views *views)
{
    return views->plan;
}

bool adl_views_can_stride1(const struct adl_views *views)
{
    return views->stride1 != NULL;
}

static size_t entry_bytes(const struct entry *entry)
{
    return adl_session_bytes(entry->session) +
           (entry->layer ? adl_layer_runs_bytes(entry->layer) : 0);
}

size_t adl_views_bytes(const struct adl_views *views)
{
    size_t bytes = 0;
    for (int i = 0; i < views->entry_count; i++)
        bytes += entry_bytes(&views->entries[i]);
    return bytes;
}

/* --- sessions ------------------------------------------------------------------------ */

/* Returns the session that was used the longest time ago, of those that need not be kept and that
 * the present run does not use, if `added` more would be too many or they take too much memory;
 * else NULL. */
static struct entry *find_superfluous(struct adl_views *views, int added)
{
    struct entry *oldest = NULL;
    size_t bytes = 0;
    int others = 0;

    for (int i = 0; i < views->entry_count; i++) {
        struct entry *entry = &views->entries[i];
        if (entry->kept)
            continue;
        others++;
        bytes += entry_bytes(entry);
        if (entry->used != views->calls && (!oldest || entry->used < oldest->used))
            oldest = entry;
    }
    return others + added > ADL_LIMIT_VIEW_SIZES || bytes > ADL_LIMIT_VIEW_BYTES ? oldest : NULL;
}

static void release_superfluous(struct adl_views *views, int added)
{
    struct entry *old;

    while ((old = find_superfluous(views, added))) {
        release_entry(old);
        *old = views->entries[--views->entry_count];
    }
}

static void add_session(struct adl_views *views, struct entry added)
{
    release_superfluous(views, 1);
    views->entries[views->entry_count++] = added;
}

static struct adl_session *create_session(struct adl_views *views, int h, int w, bool stride1,
                                          struct adl_error *err)
{
    struct adl_shape in = adl_plan_input_shape(views->plan);
    const struct adl_graph *graph = stride1 ? views->stride1 : adl_plan_graph(views->plan);
    /* The scores are read from this session too. */
    bool scores = stride1 && h == in.h && w == in.w;
    struct adl_plan *plan = scores ? adl_plan_with_map(views->plan, views->stride1, h, w, err)
                                   : adl_plan_resize(views->plan, graph, h, w, err);
    struct adl_session *session =
        plan ? adl_session_create(plan, views->pool, views->batch, err) : NULL;
    adl_plan_unref(plan); /* the session keeps its own reference */
    return session;
}

/* Returns the session for a size and stride, which is made if it does not exist. */
static struct adl_session *find_session(struct adl_views *views, int h, int w, bool stride1,
                                        bool keep, struct adl_error *err)
{
    for (int i = 0; i < views->entry_count; i++) {
        struct entry *entry = &views->entries[i];
        if (entry->h == h && entry->w == w && entry->stride1 == stride1) {
            entry->used = views->calls;
            entry->kept |= keep;
            return entry->session;
        }
    }
    struct adl_session *session = create_session(views, h, w, stride1, err);
    if (!session)
        return NULL;
    add_session(views, (struct entry){.session = session,
                                      .h = h,
                                      .w = w,
                                      .stride1 = stride1,
                                      .kept = keep,
                                      .used = views->calls});
    return session;
}

static struct entry *entry_of(struct adl_views *views, const struct adl_session *session)
{
    struct entry *entry = views->entries;
    while (entry->session != session)
        entry++;
    return entry;
}

/* Returns a resizer between two grids: that of the latest run, which its session keeps, if it is
 * for them, because rules change rarely from one batch to the next; else it is made anew. NULL:
 * failed.
 */
static const struct adl_scoremap_resizer *find_resizer(struct adl_scoremap_resizer *latest, int h,
                                                       int w, int out_h, int out_w,
                                                       struct adl_error *err)
{
    if (latest->h == h && latest->w == w && latest->out_h == out_h && latest->out_w == out_w)
        return latest;
    adl_scoremap_resizer_release(latest);
    return adl_scoremap_resizer_init(latest, h, w, out_h, out_w, err) == 0 ? latest : NULL;
}

/* Prepares a view for the map of another layer, and makes item->grid_h and grid_w the larger of the
 * two grids. */
static int add_layer(struct adl_views *views, struct adl_view_item *item, struct adl_error *err)
{
    struct entry *entry = entry_of(views, item->session);
    const struct adl_plan *plan = adl_session_plan(item->session);
    int kept = adl_plan_kept(plan, adl_layer_net_value(views->layer));
    int threads = ADL_MIN(views->batch, adl_pool_threads(views->pool));

    if (kept < 0)
        return adl_fail(err, ADL_ERR_INTERNAL, "the plan does not keep the layer");
    item->layer_output = (enum adl_output)kept;
    struct adl_shape layer = adl_plan_output_shape(plan, item->layer_output);
    bool larger = layer.h * layer.w > item->own_h * item->own_w;
    if (!entry->layer)
        entry->layer = adl_layer_runs_create(views->layer, layer.h, layer.w, threads, err);
    if (!entry->layer)
        return -1;
    item->layer = entry->layer;
    item->grid_h = larger ? layer.h : item->own_h;
    item->grid_w = larger ? layer.w : item->own_w;
    if (layer.h == item->own_h && layer.w == item->own_w)
        return 0;
    int h = larger ? item->own_h : layer.h, w = larger ? item->own_w : layer.w;
    item->layer_resizer =
        find_resizer(&entry->layer_resizer, h, w, item->grid_h, item->grid_w, err);
    return item->layer_resizer ? 0 : -1;
}

/* --- the run ------------------------------------------------------------------------------ */

/* Completes the description: the grid of the averaged map and which views count. */
static void describe(struct adl_view_run *run)
{
    run->first = -1;
    for (int i = 0; i < run->count; i++) {
        const struct adl_view_item *item = &run->items[i];
        if (!item->view.in_map)
            continue;
        run->in_map++;
        run->first = run->first < 0 ? i : run->first;
        run->last = i;
        /* All grids have the proportions of the input, up to rounding. */
        if (item->grid_h * item->grid_w > run->map_h * run->map_w) {
            run->map_h = item->grid_h;
            run->map_w = item->grid_w;
        }
    }
}

/* Sets item->resizer to one from the view's grid to that of the averaged map. */
static int add_resizer(struct adl_views *views, const struct adl_view_run *run,
                       struct adl_view_item *item, struct adl_error *err)
{
    if (run->in_map == 1 || (item->grid_h == run->map_h && item->grid_w == run->map_w))
        return 0;
    item->resizer = find_resizer(&entry_of(views, item->session)->resizer, item->grid_h,
                                 item->grid_w, run->map_h, run->map_w, err);
    return item->resizer ? 0 : -1;
}

/* Returns the doubles that joining the map of another layer takes: both maps, the smaller of them
 * enlarged along rows, and enlarged, each with at most as many positions as the grid. */
static size_t layer_doubles(const struct adl_view_item *item)
{
    size_t grid = (size_t)item->grid_h * (size_t)item->grid_w;
    return item->layer ? 4 * grid : 0;
}

/* Makes room for the maps of each image: a view's map in its own grid, as floats and then as
 * doubles, enlarged along rows, and in the grid of the averaged map; for another layer; for a group
 * of class maps; and for the head's probabilities with the scratch of adl_foreground_probability().
 */
static int reserve_scratch(struct adl_views *views, struct adl_view_run *run, struct adl_error *err)
{
    size_t doubles = 0, layer = 0, most = 0;

    for (int i = 0; i < run->count; i++) {
        const struct adl_view_item *item = &run->items[i];
        doubles = ADL_MAX(doubles,
                          (size_t)item->grid_h * (2 * (size_t)item->grid_w + (size_t)run->map_w));
        layer = ADL_MAX(layer, layer_doubles(item));
        most = ADL_MAX(most, (size_t)item->own_h * (size_t)item->own_w);
    }
    run->direct = run->in_map == 1 && layer == 0 && !run->foreground;
    if (run->direct)
        return 0;
    run->layer_scratch = run->in_map == 1 ? 0 : doubles + (size_t)run->map_h * (size_t)run->map_w;
    run->class_scratch = run->layer_scratch + layer;
    run->head_scratch = run->class_scratch + (ADL_CAM_GROUP * most + 1) / 2;
    run->scratch_doubles = run->head_scratch + (run->foreground ? 2 * most : 0);
    size_t all = run->scratch_doubles * (size_t)views->batch;
    if (all > views->scratch_doubles) {
        adl_free(views->scratch);
        views->scratch = adl_malloc(all, sizeof *views->scratch);
        views->scratch_doubles = views->scratch ? all : 0;
        if (!views->scratch)
            return adl_fail_nomem(err, "class maps");
    }
    run->scratch = views->scratch;
    return 0;
}

/* Sets the grid of a view's class map. */
static void set_grid(struct adl_view_item *item, const struct adl_foreground_head *head)
{
    struct adl_shape last =
        adl_plan_output_shape(adl_session_plan(item->session), ADL_OUTPUT_FEATURES);

    item->own_h = last.h;
    item->own_w = last.w;
    if (head)
        adl_session_foreground_grid(item->session, head, &item->own_h, &item->own_w);
    item->grid_h = item->own_h;
    item->grid_w = item->own_w;
}

int adl_views_prepare(struct adl_views *views, const struct adl_map_rule *rule, bool keep,
                      struct adl_view_run *run, struct adl_error *err)
{
    const struct adl_map_views *which = &rule->views;
    struct adl_view list[ADL_MAX_VIEWS];
    struct adl_shape in = adl_plan_input_shape(views->plan);

    *run =
        (struct adl_view_run){.layer = which->layer.method, .foreground = rule->foreground != NULL};
    if (adl_map_views_check(which, in.h, in.w, err) < 0 ||
        adl_views_check_layer(views, which, err) < 0)
        return -1;
    run->count = adl_map_views_list(which, in.h, in.w, views->stride1 != NULL, list);
    adl_map_views_sizes(which, in.h, in.w, &run->sizes);
    views->calls++;
    for (int i = 0; i < run->count; i++) {
        struct adl_view_item *item = &run->items[i];
        item->view = list[i];
        item->session = find_session(views, run->sizes.items[list[i].size].h,
                                     run->sizes.items[list[i].size].w, list[i].stride1, keep, err);
        if (!item->session)
            return -1;
        set_grid(item, rule->foreground);
    }
    /* Sessions grow when they get the tapes of a layer, after they were added. */
    release_superfluous(views, 0);
    /* Now that no entry moves any more. */
    for (int i = 0; which->layer.method != ADL_LAYER_NONE && i < run->count; i++)
        if (run->items[i].view.in_map && add_layer(views, &run->items[i], err) < 0)
            return -1;
    describe(run);
    for (int i = 0; i < run->count; i++)
        if (run->items[i].view.in_map && add_resizer(views, run, &run->items[i], err) < 0)
            return -1;
    return reserve_scratch(views, run, err);
}

int adl_view_images_make(const struct adl_image *image, const struct adl_view_sizes *sizes,
                         struct adl_view_images *images, struct adl_error *err)
{
    *images = (struct adl_view_images){0};
    for (int i = 0; i < sizes->count; i++)
        if (adl_image_resize(image, sizes->items[i].w, sizes->items[i].h, &images->items[i], err) <
            0) {
            adl_view_images_release(images);
            return -1;
        }
    return 0;
}

void adl_view_images_release(struct adl_view_images *images)
{
    for (size_t i = 0; i < ADL_COUNT(images->items); i++)
        adl_image_release(&images->items[i]);
}

/* Mirrors an input, h x w x 3, in place. */
static void mirror_input(float *input, size_t h, size_t w)
{
    for (size_t y = 0; y < h; y++) {
        float *left = input + 3 * y * w, *right = left + 3 * (w - 1);
        for (; left < right; left += 3, right -= 3)
            for (size_t c = 0; c < 3; c++) {
                float value = left[c];
                left[c] = right[c];
                right[c] = value;
            }
    }
}

void adl_view_load(const struct adl_view_run *run, int view, int slot,
                   const struct adl_view_images *images, const float mean[3], const float std[3])
{
    const struct adl_view_item *item = &run->items[view];
    const struct adl_image *image = &images->items[item->view.size];
    float *input = adl_session_input(item->session, slot);

    adl_image_to_input(image, mean, std, input);
    if (item->view.mirrored)
        mirror_input(input, (size_t)image->height, (size_t)image->width);
}

void adl_view_load_tensor(const struct adl_view_run *run, int view, int slot, const float *tensor)
{
    const struct adl_view_item *item = &run->items[view];
    const size_t h = (size_t)run->sizes.items[item->view.size].h;
    const size_t w = (size_t)run->sizes.items[item->view.size].w;
    float *input = adl_session_input(item->session, slot);

    memcpy(input, tensor, 3 * h * w * sizeof *input);
    if (item->view.mirrored)
        mirror_input(input, h, w);
}

static double *scratch_of(const struct adl_view_run *run, int slot)
{
    return run->scratch + (size_t)slot * run->scratch_doubles;
}

/* Computes the probabilities of the head at the positions of a view, for the maps of all classes.
 */
static void make_probability(const struct adl_view_run *run, const struct adl_view_item *item,
                             int slot, const struct adl_foreground_head *head)
{
    struct adl_foreground_map last, maps[ADL_LIMIT_HEAD_LAYERS];
    double *probability = scratch_of(run, slot) + run->head_scratch;

    adl_session_foreground(item->session, slot, head, &last, maps);
    adl_foreground_probability(
        head, &last, maps, probability + (size_t)item->own_h * (size_t)item->own_w, probability);
}

/* Joins a map in the own grid with that of another layer, in place; `cam` has room for the grid,
 * which has at least as many positions as the own one. */
static void join_layer(const struct adl_view_run *run, const struct adl_view_item *item, int slot,
                       int class_id, float *cam)
{
    size_t own = (size_t)item->own_h * (size_t)item->own_w;
    size_t grid = (size_t)item->grid_h * (size_t)item->grid_w;
    double *last = scratch_of(run, slot) + run->layer_scratch;
    double *layer = last + grid, *enlarged = layer + grid, *rows = enlarged + grid;

    for (size_t i = 0; i < own; i++)
        last[i] = (double)cam[i];
    adl_layer_runs_map(item->layer, run->layer,
                       adl_session_output(item->session, item->layer_output, slot), class_id,
                       layer);
    if (item->layer_resizer) {
        double **smaller = own < grid ? &last : &layer;
        adl_scoremap_resizer_run(item->layer_resizer, *smaller, rows, enlarged);
        *smaller = enlarged;
    }
    adl_layer_join(last, layer, grid, last);
    for (size_t i = 0; i < grid; i++)
        cam[i] = (float)last[i];
}

/* Makes the map of one view from its class map, in its grid. */
static void make_cam(const struct adl_view_run *run, const struct adl_view_item *item, int slot,
                     int class_id, const float *class_map, float *cam)
{
    struct adl_shape last =
        adl_plan_output_shape(adl_session_plan(item->session), ADL_OUTPUT_FEATURES);
    size_t rows = (size_t)last.h, columns = (size_t)last.w;
    size_t h = (size_t)item->own_h, w = (size_t)item->own_w;

    if (run->foreground) {
        double *probability = scratch_of(run, slot) + run->head_scratch;
        adl_foreground_combine(probability, h, w, class_map, rows, columns, probability + h * w,
                               cam);
    } else {
        memcpy(cam, class_map, rows * columns * sizeof *cam);
    }
    if (item->layer)
        join_layer(run, item, slot, class_id, cam);
}

/* Adds the map of one view, made from its class map, to the averaged map. */
static void add_cam(const struct adl_view_run *run, int view, int slot, int class_id,
                    const float *class_map, float *map)
{
    const struct adl_view_item *item = &run->items[view];
    size_t h = (size_t)run->map_h, w = (size_t)run->map_w;

    if (run->in_map == 1) {
        make_cam(run, item, slot, class_id, class_map, map);
        return;
    }
    size_t own = (size_t)item->grid_h * (size_t)item->grid_w;
    double *enlarged = scratch_of(run, slot), *small = enlarged + h * w;
    float *cam = (float *)(small + own);
    make_cam(run, item, slot, class_id, class_map, cam);
    for (size_t i = 0; i < own; i++)
        small[i] = (double)cam[i];
    if (item->resizer)
        adl_scoremap_resizer_run(item->resizer, small, small + 2 * own, enlarged);
    else
        memcpy(enlarged, small, own * sizeof *small);
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++) {
            double value = enlarged[y * w + (item->view.mirrored ? w - 1 - x : x)];
            float *sum = &map[y * w + x];
            *sum = view == run->first ? (float)value : *sum + (float)value;
        }
    if (view == run->last)
        for (size_t i = 0; i < h * w; i++)
            map[i] /= (float)run->in_map;
}

void adl_view_add_all(const struct adl_view_run *run, int view, int slot, const int *class_ids,
                      size_t count, const struct adl_map_rule *rule, float *const maps[])
{
    const struct adl_view_item *item = &run->items[view];
    size_t own = (size_t)item->own_h * (size_t)item->own_w;
    float *group[ADL_CAM_GROUP] = {0};

    assert(run->foreground == (rule->foreground != NULL));
    if (!item->view.in_map)
        return;
    if (rule->foreground)
        make_probability(run, item, slot, rule->foreground);
    for (size_t g = 0; !run->direct && g < ADL_CAM_GROUP; g++)
        group[g] = (float *)(scratch_of(run, slot) + run->class_scratch) + g * own;
    for (size_t first = 0; first < count; first += ADL_CAM_GROUP) {
        size_t some = ADL_MIN((size_t)ADL_CAM_GROUP, count - first);
        adl_session_cams(item->session, slot, class_ids + first, some, rule,
                         run->direct ? maps + first : group);
        for (size_t g = 0; !run->direct && g < some; g++)
            add_cam(run, view, slot, class_ids[first + g], group[g], maps[first + g]);
    }
}

void adl_view_add(const struct adl_view_run *run, int view, int slot, int class_id,
                  const struct adl_map_rule *rule, float *map)
{
    adl_view_add_all(run, view, slot, &class_id, 1, rule, &map);
}
