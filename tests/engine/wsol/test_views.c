/* wsol/views: the averaged map against single runs of single views, whatever the batch and the
 * threads; sessions are made once and freed when there are too many. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/step_graphs.h"
#include "wsol/boxes.h"
#include "wsol/session_cam.h"
#include "wsol/views.h"

enum { H = 48, W = 32, CLASSES = 4, IMAGES = 3, GRID_MAX = 40 * 40 };

static const float mean[3] = {0.4f, 0.5f, 0.6f}, std[3] = {0.2f, 0.25f, 0.3f};

/* Two convolutions, the second with this stride; maps have an eighth or a quarter of the sides. */
static struct adl_graph *make_graph(int last_stride)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){H, W, 3}, &err);
    struct adl_conv_attr conv = step_conv3(8);
    conv.stride = 4;
    conv.bias = true;
    int x = adl_relu(g, adl_conv(g, 0, "first", conv), "first_relu");
    conv.stride = last_stride;
    x = adl_relu(g, adl_conv(g, x, "second", conv), "second_relu");
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
    x = adl_linear(g, adl_global_avgpool(g, x, "gap"), "fc", CLASSES, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, x);
    adl_graph_set_classifier(g, adl_graph_find_param(g, "fc.weight"));
    TEST_OK(adl_graph_finish(g, &err), &err);
    return g;
}

/* The network with last strides of 2 and 1, a few-box head that reads the first layer, whose map
 * has a quarter of the sides, and images. */
struct net {
    struct adl_graph *graph, *stride1;
    struct adl_plan *plan;
    float head_weights[8 + 8 + 1];
    struct adl_foreground_head head;
    struct adl_image images[IMAGES];
};

static void make_head(struct net *net)
{
    int first = adl_graph_find_value(net->graph, "first_relu");

    net->head = (struct adl_foreground_head){.channels = 8,
                                             .layer_count = 1,
                                             .layers = {{.value = first, .channels = 8}},
                                             .weights = net->head_weights};
    formula_param("head", 0, 0.3, ADL_COUNT(net->head_weights), net->head_weights);
}

static void open_net(struct net *net)
{
    struct adl_error err = {0};
    float *params[8];
    net->graph = make_graph(2);
    net->stride1 = make_graph(1);
    for (int i = 0; i < adl_graph_param_count(net->graph); i++) {
        const struct adl_param *p = adl_graph_param(net->graph, i);
        params[i] = adl_malloc(p->count, sizeof **params);
        formula_param(p->name, 0, 0.3, p->count, params[i]);
    }
    make_head(net);
    const struct adl_plan_options how = {
        .input_h = H, .input_w = W, .kept = {net->head.layers[0].value}};
    net->plan = adl_plan_create(net->graph, (const float *const *)params, &how, &err);
    TEST_OK(net->plan ? 0 : -1, &err);
    for (int i = 0; i < adl_graph_param_count(net->graph); i++)
        adl_free(params[i]);
    for (int i = 0; i < IMAGES; i++) {
        char name[20] = {'v', (char)('0' + i), '\0'};
        TEST_OK(adl_image_init(&net->images[i], 70 + i, 50, &err), &err);
        formula_picture(name, 50, 70 + i, net->images[i].rgb);
    }
}

static void close_net(struct net *net)
{
    for (int i = 0; i < IMAGES; i++)
        adl_image_release(&net->images[i]);
    adl_plan_unref(net->plan);
    adl_graph_free(net->graph);
    adl_graph_free(net->stride1);
}

/* Makes the maps of all images for class 1 + i % 3, `batch` at a time, through the views. */
static void average(const struct net *net, const struct adl_map_rule *rule, int batch,
                    struct adl_pool *pool, float maps[IMAGES][GRID_MAX], int *h, int *w)
{
    struct adl_error err = {0};
    struct adl_view_run run;
    struct adl_views *views = adl_views_create(net->plan, net->stride1, pool, batch, &err);
    TEST_OK(views ? adl_views_prepare(views, rule, false, &run, &err) : -1, &err);
    for (int first = 0; first < IMAGES; first += batch) {
        int count = ADL_MIN(batch, IMAGES - first);
        struct adl_view_images inputs[IMAGES];
        for (int i = 0; i < count; i++)
            TEST_OK(adl_view_images_make(&net->images[first + i], &run.sizes, &inputs[i], &err),
                    &err);
        for (int view = 0; view < run.count; view++) {
            for (int i = 0; i < count; i++)
                adl_view_load(&run, view, i, &inputs[i], mean, std);
            adl_session_run(run.items[view].session, count);
            for (int i = 0; i < count; i++)
                adl_view_add(&run, view, i, 1 + (first + i) % 3, rule, maps[first + i]);
        }
        for (int i = 0; i < count; i++)
            adl_view_images_release(&inputs[i]);
    }
    *h = run.map_h;
    *w = run.map_w;
    adl_views_free(views);
}

/* Combines a class map with the head; returns its grid. */
static struct adl_shape with_head(const struct adl_session *session,
                                  const struct adl_foreground_head *head, float *cam)
{
    struct adl_foreground_map last, first;
    struct adl_shape grid = {.c = 1};
    double scratch[2 * GRID_MAX];

    adl_session_foreground(session, 0, head, &last, &first);
    adl_session_foreground_grid(session, head, &grid.h, &grid.w);
    CU_ASSERT(grid.h == (int)first.h && grid.w == (int)first.w);
    adl_foreground_probability(head, &last, &first, scratch + first.h * first.w, scratch);
    adl_foreground_combine(scratch, first.h, first.w, cam, last.h, last.w,
                           scratch + first.h * first.w, cam);
    return grid;
}

/* The map of one view in its own grid, by a session of its own. */
static void single(const struct net *net, int image, int h, int w, bool mirrored, bool stride1,
                   const struct adl_map_rule *rule, double *map, struct adl_shape *grid)
{
    struct adl_error err = {0};
    struct adl_image resized = {0};
    struct adl_plan *plan =
        adl_plan_resize(net->plan, stride1 ? net->stride1 : net->graph, h, w, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    float cam[GRID_MAX];
    TEST_OK(session ? adl_image_resize(&net->images[image], w, h, &resized, &err) : -1, &err);
    if (mirrored)
        adl_image_mirror(&resized);
    adl_image_to_input(&resized, mean, std, adl_session_input(session, 0));
    adl_session_run(session, 1);
    adl_session_cam(session, 0, 1 + image % 3, rule, cam);
    *grid = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    if (rule->foreground)
        *grid = with_head(session, rule->foreground, cam);
    for (int y = 0; y < grid->h; y++)
        for (int x = 0; x < grid->w; x++)
            map[y * grid->w + x] = (double)cam[y * grid->w + (mirrored ? grid->w - 1 - x : x)];
    adl_image_release(&resized);
    adl_session_free(session);
    adl_plan_unref(plan);
}

/* The mean of the single views, enlarged after they were mirrored back. */
static void average_is_the_mean_of_single_views(void)
{
    /* Sides that differ from 48 and 32 by multiples of 16: 1.5 x 48 = 72 becomes 80. */
    static const struct {
        struct adl_map_views views;
        int sizes[3][2];
        int h, w;
    } cases[] = {
        {{.flip = true}, {{48, 32}}, 6, 4},
        {{.scale_count = 2, .scales = {1, 1.5}}, {{48, 32}, {80, 48}}, 10, 6},
        {{.flip = true, .scale_count = 2, .scales = {0.6, 1}}, {{32, 16}, {48, 32}}, 6, 4},
        {{.scale_count = 1, .scales = {2}}, {{96, 64}}, 12, 8},
        {{.stride1 = true}, {{48, 32}}, 12, 8},
        {{.stride1 = true, .flip = true, .scale_count = 2, .scales = {1, 1.5}},
         {{48, 32}, {80, 48}},
         20,
         12},
    };
    static float maps[IMAGES][GRID_MAX];
    struct net net;
    open_net(&net);
    for (size_t c = 0; c < 2 * ADL_COUNT(cases); c++) {
        bool head = c % 2;
        const struct adl_map_rule rule = {.weights = ADL_MAP_WEIGHTS_POSITIVE,
                                          .foreground = head ? &net.head : NULL,
                                          .views = cases[c / 2].views};
        int h, w, larger = head && !rule.views.stride1 ? 2 : 1;
        average(&net, &rule, IMAGES, NULL, maps, &h, &w);
        CU_ASSERT(h == larger * cases[c / 2].h && w == larger * cases[c / 2].w);
        for (int i = 0; i < IMAGES; i++) {
            double sum[GRID_MAX] = {0}, small[GRID_MAX], large[GRID_MAX];
            int views = 0;
            for (int s = 0; s < 3 && cases[c / 2].sizes[s][0]; s++)
                for (int m = 0; m <= rule.views.flip; m++, views++) {
                    struct adl_error err = {0};
                    struct adl_shape grid;
                    single(&net, i, cases[c / 2].sizes[s][0], cases[c / 2].sizes[s][1], m,
                           rule.views.stride1, &rule, small, &grid);
                    TEST_OK(adl_scoremap_resize(small, grid.h, grid.w, large, h, w, &err), &err);
                    for (int k = 0; k < h * w; k++)
                        sum[k] += large[k];
                }
            for (int k = 0; k < h * w; k++)
                sum[k] /= views;
            test_close("averaged map", maps[i], sum, (size_t)(h * w), 1e-5);
        }
    }
    close_net(&net);
}

/* The maps of all classes at once are those of one after the other, to the bit, with a head and
 * without, for one view and for several. */
static void classes_at_once_change_nothing(void)
{
    static float alone[CLASSES][GRID_MAX], together[CLASSES][GRID_MAX];
    static const int class_ids[CLASSES] = {2, 0, 3, 1};
    float *maps[CLASSES];
    struct adl_error err = {0};
    struct adl_view_images inputs = {0};
    struct adl_view_run run;
    struct net net;

    open_net(&net);
    for (int c = 0; c < CLASSES; c++)
        maps[c] = together[c];
    struct adl_views *views = adl_views_create(net.plan, net.stride1, NULL, 1, &err);
    TEST_OK(views ? 0 : -1, &err);
    for (int k = 0; k < 4; k++) {
        const struct adl_map_rule rule = {.foreground = k % 2 ? &net.head : NULL,
                                          .views = {.flip = k / 2}};
        size_t count = CLASSES - (size_t)(k == 3);
        TEST_OK(adl_views_prepare(views, &rule, false, &run, &err), &err);
        TEST_OK(adl_view_images_make(&net.images[0], &run.sizes, &inputs, &err), &err);
        for (int view = 0; view < run.count; view++) {
            adl_view_load(&run, view, 0, &inputs, mean, std);
            adl_session_run(run.items[view].session, 1);
            for (size_t c = 0; c < count; c++)
                adl_view_add(&run, view, 0, class_ids[c], &rule, alone[c]);
            adl_view_add_all(&run, view, 0, class_ids, count, &rule, maps);
        }
        size_t bytes = (size_t)(run.map_h * run.map_w) * sizeof(float);
        for (size_t c = 0; c < count; c++)
            CU_ASSERT(!memcmp(alone[c], together[c], bytes));
        adl_view_images_release(&inputs);
    }
    adl_views_free(views);
    close_net(&net);
}

static void batch_and_threads_change_nothing(void)
{
    static float one[IMAGES][GRID_MAX], other[IMAGES][GRID_MAX];
    struct adl_map_rule rule = {
        .views = {.flip = true, .stride1 = true, .scale_count = 2, .scales = {1, 1.43}}};
    struct adl_error err = {0};
    struct adl_pool *pool = adl_pool_create(3, &err);
    struct net net;
    int h, w;
    open_net(&net);
    rule.foreground = &net.head;
    average(&net, &rule, 1, NULL, one, &h, &w);
    for (int batch = 2; batch <= 3; batch++) {
        average(&net, &rule, batch, pool, other, &h, &w);
        for (int i = 0; i < IMAGES; i++)
            CU_ASSERT(!memcmp(one[i], other[i], (size_t)(h * w) * sizeof(float)));
    }
    adl_pool_free(pool);
    close_net(&net);
}

/* With the mirror image averaged in, the map of the mirror image is the mirror of the map. */
static void flipped_maps_are_symmetric(void)
{
    static float straight[IMAGES][GRID_MAX], mirrored[IMAGES][GRID_MAX];
    const struct adl_map_rule rule = {.views = {.flip = true}};
    struct adl_error err = {0};
    struct net net;
    int h, w;
    open_net(&net);
    /* At the input size, since resizing rounds a mirror image differently. */
    for (int i = 0; i < IMAGES; i++) {
        struct adl_image small = {0};
        TEST_OK(adl_image_resize(&net.images[i], W, H, &small, &err), &err);
        adl_image_release(&net.images[i]);
        net.images[i] = small;
    }
    average(&net, &rule, 1, NULL, straight, &h, &w);
    for (int i = 0; i < IMAGES; i++)
        adl_image_mirror(&net.images[i]);
    average(&net, &rule, 1, NULL, mirrored, &h, &w);
    for (int i = 0; i < IMAGES; i++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                CU_ASSERT_EQUAL(straight[i][y * w + x], mirrored[i][y * w + w - 1 - x]);
    close_net(&net);
}

/* The sessions of a rule that is kept stay, whatever else is asked for; others come and go. */
static void sessions_are_made_once(void)
{
    struct adl_error err = {0};
    struct adl_map_rule own = {.views = {.flip = true, .scale_count = 2, .scales = {1, 1.5}}};
    struct adl_view_run run, again;
    struct net net;
    open_net(&net);
    own.foreground = &net.head;
    struct adl_views *views = adl_views_create(net.plan, net.stride1, NULL, 2, &err);
    TEST_OK(views ? adl_views_prepare(views, &own, true, &run, &err) : -1, &err);
    CU_ASSERT_EQUAL(run.count, 4);
    CU_ASSERT_PTR_EQUAL(run.items[0].session, run.items[1].session);
    CU_ASSERT_PTR_EQUAL(run.items[0].session, adl_views_session(views));
    size_t blocks = adl_mem_stats().live_blocks, most = 0;
    for (int round = 0; round < 3; round++)
        for (int k = 0; k < 12; k++) {
            const struct adl_map_rule other = {.views = {.stride1 = k % 2,
                                                         .flip = k % 3,
                                                         .scale_count = 4,
                                                         .scales = {0.5 + 0.01 * k, 0.75 + 0.01 * k,
                                                                    1.1 + 0.07 * k, 2 - 0.01 * k}}};
            TEST_OK(adl_views_prepare(views, &other, false, &again, &err), &err);
            for (int i = 0; i < again.count; i++) {
                struct adl_shape in =
                    adl_plan_input_shape(adl_session_plan(again.items[i].session));
                CU_ASSERT(in.h == again.sizes.items[again.items[i].view.size].h &&
                          in.w == again.sizes.items[again.items[i].view.size].w);
            }
            most = ADL_MAX(most, adl_mem_stats().live_blocks);
        }
    /* A session and its plan have fewer than 20 blocks. */
    CU_ASSERT(most - blocks < 20 * (ADL_LIMIT_VIEW_SIZES + ADL_LIMIT_MAP_SCALES + 1));
    /* The first run after others may make an object for enlarging maps, further ones nothing. */
    struct adl_view_images inputs = {0};
    static float map[GRID_MAX];
    TEST_OK(adl_view_images_make(&net.images[0], &run.sizes, &inputs, &err), &err);
    TEST_OK(adl_views_prepare(views, &own, false, &again, &err), &err);
    uint64_t calls = adl_mem_stats().calls;
    TEST_OK(adl_views_prepare(views, &own, false, &again, &err), &err);
    for (int i = 0; i < again.count; i++) {
        adl_view_load(&again, i, 0, &inputs, mean, std);
        adl_session_run(again.items[i].session, 1);
        adl_view_add(&again, i, 0, 1, &own, map);
    }
    CU_ASSERT_EQUAL(adl_mem_stats().calls, calls);
    adl_view_images_release(&inputs);
    for (int i = 0; i < run.count; i++)
        CU_ASSERT_PTR_EQUAL(run.items[i].session, again.items[i].session);
    adl_views_free(views);
    close_net(&net);
}

static void what_cannot_be_run_is_an_error(void)
{
    struct adl_error err = {0};
    struct adl_map_rule twice = {.views = {.scale_count = 2, .scales = {1, 2}}};
    struct adl_view_run run;
    struct net net;
    open_net(&net);
    twice.foreground = &net.head;
    struct adl_views *views = NULL;
    size_t before = adl_mem_stats().live_blocks;
    int result = -1;
    for (uint64_t n = 1; result < 0; n++) {
        adl_error_clear(&err);
        adl_mem_fail_nth(n);
        views = adl_views_create(net.plan, net.stride1, NULL, 2, &err);
        if (views)
            result = adl_views_prepare(views, &twice, false, &run, &err);
        adl_mem_fail_nth(0);
        if (result < 0) {
            CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
            adl_views_free(views);
            CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
        }
    }
    adl_views_free(views);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);

    struct adl_plan *wide = adl_plan_resize(net.plan, net.graph, 32, 2064, &err);
    views = adl_views_create(wide, NULL, NULL, 1, &err);
    CU_ASSERT_EQUAL(adl_views_prepare(views, &twice, false, &run, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_views_free(views);
    adl_plan_unref(wide);
    close_net(&net);
}

TEST_SUITE(views, {"the average is the mean of single views", average_is_the_mean_of_single_views},
           {"classes at once change nothing", classes_at_once_change_nothing},
           {"batch and threads change nothing", batch_and_threads_change_nothing},
           {"maps of mirror images mirror each other", flipped_maps_are_symmetric},
           {"sessions are made once, and freed when there are too many", sessions_are_made_once},
           {"what cannot be run is an error", what_cannot_be_run_is_an_error});
