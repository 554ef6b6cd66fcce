/* wsol/layer_map and wsol/layer_net: maps of layers against PyTorch's autograd, joined with the
 * class map, through the views; layers that have no map; the same bits whatever the threads; memory
 * that runs out. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "graph/upper.h"
#include "models/arch.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/golden.h"
#include "support/step_graphs.h"
#include "wsol/session_cam.h"
#include "wsol/views.h"

enum { H = 12, W = 10, CLASSES = 3, PARAMS_MAX = 16 };

static const float mean[3] = {0.5f, 0.5f, 0.5f}, std[3] = {0.25f, 0.25f, 0.25f};

static int add_conv(struct adl_graph *g, int x, const char *name, int k, bool bias, int stride)
{
    struct adl_conv_attr conv = step_conv3(k);
    conv.bias = bias;
    conv.stride = stride;
    return adl_conv(g, x, name, conv);
}

/* Batch norm, a pool and a linear classifier. */
static void build_chain(struct adl_graph *g)
{
    int x = adl_batchnorm(g, add_conv(g, 0, "conv1", 5, false, 1), "bn1", 1e-5);
    x = adl_dropout(g, adl_relu(g, x, "relu1"), "drop", 0.5);
    x = adl_maxpool(g, x, "pool", (struct adl_pool_attr){.size = 2, .stride = 2});
    x = adl_relu6(g, add_conv(g, x, "conv2", 6, true, 1), "act2");
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
    x = adl_linear(g, adl_global_avgpool(g, x, "gap"), "fc", CLASSES, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, x);
    adl_graph_set_classifier(g, adl_graph_find_param(g, "fc.weight"));
}

/* A residual block, a gate of channels, a class map, and a branch that only training has. */
static void build_residual(struct adl_graph *g)
{
    int x = adl_relu(g, add_conv(g, 0, "stem", 4, true, 1), "stem_relu");
    int a = adl_relu(g, add_conv(g, x, "a", 4, true, 1), "a_relu");
    x = adl_relu(g, adl_add(g, add_conv(g, a, "b", 4, true, 1), x, "sum"), "block_relu");
    adl_relu(g, x, "branch");
    x = adl_scale(g, x, adl_sigmoid(g, adl_global_avgpool(g, x, "squeeze"), "gate"), "scale");
    x = adl_relu(g, add_conv(g, x, "top", 6, true, 2), "top_relu");
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
    struct adl_conv_attr classes = step_conv1(CLASSES);
    classes.bias = true;
    x = adl_conv(g, x, "maps", classes);
    adl_graph_set_output(g, ADL_OUTPUT_CLASS_MAP, x);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, adl_global_avgpool(g, x, "gap"));
}

/* Two layers with many channels for their positions. */
static void build_wide(struct adl_graph *g)
{
    int x = adl_relu(g, add_conv(g, 0, "conv1", 16, true, 1), "early");
    x = adl_relu(g, add_conv(g, x, "conv2", 16, true, 1), "late");
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
    x = adl_linear(g, adl_global_avgpool(g, x, "gap"), "fc", CLASSES, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, x);
    adl_graph_set_classifier(g, adl_graph_find_param(g, "fc.weight"));
}

struct net {
    struct adl_graph *graph;
    float *params[PARAMS_MAX];
};

static void open_net(struct net *net, const char *name)
{
    struct adl_error err = {0};
    net->graph = adl_graph_create((struct adl_shape){H, W, 3}, &err);
    if (!strcmp(name, "chain"))
        build_chain(net->graph);
    else if (!strcmp(name, "wide"))
        build_wide(net->graph);
    else
        build_residual(net->graph);
    TEST_OK(adl_graph_finish(net->graph, &err), &err);
    for (int i = 0; i < adl_graph_param_count(net->graph); i++) {
        const struct adl_param *p = adl_graph_param(net->graph, i);
        char full[64];
        bool one = p->role == ADL_PARAM_BN_VAR || p->role == ADL_PARAM_BN_WEIGHT;
        snprintf(full, sizeof full, "%s.%s", name, p->name);
        net->params[i] = adl_malloc(p->count, sizeof(float));
        formula_param(full, one ? 1 : 0, 0.4, p->count, net->params[i]);
    }
}

static void close_net(struct net *net)
{
    for (int i = 0; i < adl_graph_param_count(net->graph); i++)
        adl_free(net->params[i]);
    adl_graph_free(net->graph);
}

static struct adl_view_images make_images(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct adl_view_images images;
    const struct adl_view_sizes sizes = {.count = 1, .items = {{H, W}}};
    TEST_OK(adl_image_init(&image, W, H, &err), &err);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                image.rgb[(y * W + x) * 3 + c] =
                    (uint8_t)((x * 37 + y * 71 + c * 101 + x * y % 53) % 256);
    TEST_OK(adl_view_images_make(&image, &sizes, &images, &err), &err);
    adl_image_release(&image);
    return images;
}

/* What a layer needs to have a map through the views. */
struct layer {
    struct adl_layer_net *net;
    struct adl_plan *plan;
    struct adl_views *views;
    struct adl_map_rule rule;
    struct adl_view_run run;
};

static void open_layer(struct layer *l, const struct net *net, const char *method, const char *name,
                       struct adl_pool *pool, int batch)
{
    struct adl_error err = {0};
    char text[64];
    *l = (struct layer){0};
    snprintf(text, sizeof text, "%s:%s", method, name);
    TEST_OK(adl_map_layer_parse(text, &l->rule.views.layer, &err), &err);
    l->net = adl_layer_net_create(net->graph, (const float *const *)net->params, name, &err);
    TEST_OK(l->net ? 0 : -1, &err);
    const struct adl_plan_options how = {
        .input_h = H, .input_w = W, .kept = {adl_layer_net_value(l->net)}};
    l->plan = adl_plan_create(net->graph, (const float *const *)net->params, &how, &err);
    TEST_OK(l->plan ? 0 : -1, &err);
    l->views = adl_views_create(l->plan, NULL, pool, batch, &err);
    TEST_OK(l->views ? 0 : -1, &err);
    adl_views_set_layer(l->views, l->net);
    TEST_OK(adl_views_prepare(l->views, &l->rule, true, &l->run, &err), &err);
}

static void close_layer(struct layer *l)
{
    adl_views_free(l->views);
    adl_plan_unref(l->plan);
    adl_layer_net_free(l->net);
}

static void run_view(struct layer *l, int count)
{
    struct adl_view_images images = make_images();
    for (int i = 0; i < count; i++)
        adl_view_load(&l->run, 0, i, &images, mean, std);
    adl_session_run(l->run.items[0].session, count);
    adl_view_images_release(&images);
}

/* Compares with an array of the file, whose largest value is the scale. */
static void compare(const char *what, const double *got, size_t count, const json_t *array)
{
    size_t wanted = 0;
    double *want = golden_doubles(array, &wanted), greatest = 0, worst = 0;
    CU_ASSERT_EQUAL_FATAL(wanted, count);
    for (size_t i = 0; i < count; i++) {
        greatest = fmax(greatest, fabs(want[i]));
        worst = fmax(worst, fabs(got[i] - want[i]));
    }
    if (!(worst <= 2e-5 * greatest))
        TEST_FAIL("%s: differs by %g of %g", what, worst, greatest);
    adl_free(want);
}

static void check_layer(const struct net *net, const json_t *record, const char *method,
                        int class_id)
{
    const char *name = golden_string(record, "layer");
    size_t count = (size_t)golden_int(record, "h") * (size_t)golden_int(record, "w");
    struct layer l;
    double map[H * W];
    float joined[H * W];
    open_layer(&l, net, method, name, NULL, 1);
    run_view(&l, 1);
    adl_layer_runs_map(l.run.items[0].layer, l.rule.views.layer.method,
                       adl_session_output(l.run.items[0].session, ADL_OUTPUT_KEPT, 0), class_id,
                       map);
    compare(name, map, count, golden_get(golden_get(record, "maps"), method));
    const json_t *want = json_object_get(json_object_get(record, "joined"), method);
    if (want) {
        size_t pixels = (size_t)l.run.map_h * (size_t)l.run.map_w;
        adl_view_add(&l.run, 0, 0, class_id, &l.rule, joined);
        for (size_t i = 0; i < pixels; i++)
            map[i] = (double)joined[i];
        compare("joined", map, pixels, want);
    }
    close_layer(&l);
}

static void equals_autograd(void)
{
    json_t *golden = golden_load("methods/layer_maps.json"), *record, *layer;
    size_t i, j;
    json_array_foreach(golden_get(golden, "cases"), i, record)
    {
        struct net net;
        open_net(&net, golden_string(record, "net"));
        json_array_foreach(golden_get(record, "layers"), j,
                           layer) for (int m = ADL_LAYER_LAYERCAM; adl_layer_method_names[m]; m++)
            check_layer(&net, layer, adl_layer_method_names[m], golden_int(record, "class"));
        close_net(&net);
    }
    json_decref(golden);
}

enum { IMAGES = 6 };

struct batch {
    const struct layer *layer;
    float maps[IMAGES][CLASSES][H * W];
};

static void map_image(void *context, size_t image, int worker)
{
    struct batch *batch = context;
    (void)worker;
    for (int c = 0; c < CLASSES; c++)
        adl_view_add(&batch->layer->run, 0, (int)image, c, &batch->layer->rule,
                     batch->maps[image][c]);
}

/* The maps of a batch, made at the same time by more threads than one, are those of one image. */
static void same_bits(void)
{
    static struct batch batches[2];
    struct adl_error err = {0};
    struct net net;
    open_net(&net, "chain");
    for (int pass = 0; pass < 2; pass++) {
        struct adl_pool *pool = adl_pool_create(pass == 0 ? 1 : 3, &err);
        struct layer l;
        TEST_OK(pool ? 0 : -1, &err);
        open_layer(&l, &net, "layercam", "relu1", pool, IMAGES);
        run_view(&l, IMAGES);
        batches[pass].layer = &l;
        adl_pool_for(pool, IMAGES, map_image, &batches[pass]);
        close_layer(&l);
        adl_pool_free(pool);
    }
    for (int image = 0; image < IMAGES; image++)
        for (int pass = 0; pass < 2; pass++)
            CU_ASSERT(
                !memcmp(batches[pass].maps[image], batches[0].maps[0], sizeof batches[0].maps[0]));
    close_net(&net);
}

/* The scores, and the maps of rules without a layer, are those of a plan that keeps none. */
static void plain_maps_stay(void)
{
    struct adl_error err = {0};
    struct net net;
    struct layer l;
    struct adl_view_run run;
    float map[H * W], plain[H * W];
    open_net(&net, "chain");
    open_layer(&l, &net, "layercam", "act2", NULL, 1);
    TEST_OK(adl_views_prepare(l.views, &(struct adl_map_rule){0}, false, &l.run, &err), &err);
    run_view(&l, 1);
    adl_view_add(&l.run, 0, 0, 1, &(struct adl_map_rule){0}, map);
    const struct adl_plan_options how = {.input_h = H, .input_w = W};
    struct adl_plan *plan =
        adl_plan_create(net.graph, (const float *const *)net.params, &how, &err);
    struct adl_views *views = adl_views_create(plan, NULL, NULL, 1, &err);
    TEST_OK(adl_views_prepare(views, &(struct adl_map_rule){0}, false, &run, &err), &err);
    struct adl_view_images images = make_images();
    adl_view_load(&run, 0, 0, &images, mean, std);
    adl_session_run(run.items[0].session, 1);
    adl_view_add(&run, 0, 0, 1, &(struct adl_map_rule){0}, plain);
    CU_ASSERT(run.map_h == 6 && run.map_w == 5 && l.run.map_h == 6);
    CU_ASSERT(!memcmp(map, plain, 30 * sizeof *map));
    adl_view_images_release(&images);
    adl_views_free(views);
    adl_plan_unref(plan);
    close_layer(&l);
    close_net(&net);
}

/* The average over the image and its mirror image is the mean of two maps that are joined each. */
static void works_with_views(void)
{
    struct adl_error err = {0};
    struct net net;
    struct layer l;
    open_net(&net, "chain");
    open_layer(&l, &net, "gradcam", "relu1", NULL, 1);
    l.rule.views.flip = true;
    TEST_OK(adl_views_prepare(l.views, &l.rule, false, &l.run, &err), &err);
    CU_ASSERT(l.run.count == 2 && l.run.map_h == H && l.run.map_w == W);
    struct adl_view_images images = make_images();
    float single[2][H * W], averaged[H * W];
    double worst = 0;
    for (int view = 0; view < 2; view++) {
        adl_view_load(&l.run, view, 0, &images, mean, std);
        adl_session_run(l.run.items[view].session, 1);
        adl_view_add(&l.run, view, 0, 1, &l.rule, averaged);
        struct adl_view_run alone = l.run;
        alone.in_map = 1;
        adl_view_add(&alone, view, 0, 1, &l.rule, single[view]);
    }
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const int i = y * W + x, mirrored = y * W + W - 1 - x;
            worst = fmax(worst, fabs((double)averaged[i] -
                                     ((double)single[0][i] + (double)single[1][mirrored]) / 2));
        }
    CU_ASSERT(worst < 1e-6);
    adl_view_images_release(&images);
    close_layer(&l);
    close_net(&net);
}

/* --- whole networks ------------------------------------------------------------------- */

/* Sets the parameters so that values neither vanish nor grow, and biases to 0. */
static void fill(const struct adl_graph *graph, float **params)
{
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        const struct adl_param *p = adl_graph_param(graph, i);
        bool one = p->role == ADL_PARAM_BN_VAR || p->role == ADL_PARAM_BN_WEIGHT;
        bool weight = p->role == ADL_PARAM_CONV_WEIGHT || p->role == ADL_PARAM_LINEAR_WEIGHT;
        double fan = (double)(p->count / p->shape[0]);
        params[i] = adl_malloc(p->count, sizeof(float));
        formula_param(p->name, one ? 1 : 0, weight ? sqrt(6 / fan) : 0, p->count, params[i]);
    }
}

/* Where a mean over positions and a linear layer follow the last map, Grad-CAM of the last map is
 * the class map through a ReLU, divided by the number of positions (Selvaraju et al., section 3).
 */
static void check_backbone(const struct adl_backbone *backbone)
{
    enum { SIDE = 96, CLASS = 3 };
    struct adl_error err = {0};
    struct adl_arch arch;
    adl_arch_init(&arch, backbone);
    arch.num_classes = 5;
    struct adl_graph *graph = adl_arch_build(&arch, SIDE, SIDE, &err);
    TEST_OK(graph ? 0 : -1, &err);
    float **params = adl_calloc((size_t)adl_graph_param_count(graph), sizeof *params);
    fill(graph, params);
    int features = adl_graph_output(graph, ADL_OUTPUT_FEATURES);
    const char *name = adl_graph_value(graph, features)->name;
    struct adl_layer_net *net =
        adl_layer_net_create(graph, (const float *const *)params, name, &err);
    TEST_OK(net ? 0 : -1, &err);
    const struct adl_plan_options how = {.input_h = SIDE, .input_w = SIDE, .kept = {features}};
    struct adl_plan *plan = adl_plan_create(graph, (const float *const *)params, &how, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    CU_ASSERT_FATAL(session != NULL);
    formula_image("layer_map", 1, 3, SIDE, SIDE, adl_session_input(session, 0));
    adl_session_run(session, 1);
    struct adl_shape shape = adl_plan_output_shape(plan, ADL_OUTPUT_KEPT);
    size_t pixels = (size_t)shape.h * (size_t)shape.w;
    float *cam = adl_malloc(pixels, sizeof *cam);
    double *map = adl_malloc(pixels, sizeof *map), greatest = 0, worst = 0;
    struct adl_layer_runs *runs = adl_layer_runs_create(net, shape.h, shape.w, 1, &err);
    TEST_OK(runs ? 0 : -1, &err);
    adl_layer_runs_map(runs, ADL_LAYER_GRADCAM, adl_session_output(session, ADL_OUTPUT_KEPT, 0),
                       CLASS, map);
    adl_session_cam(session, 0, CLASS, &(struct adl_map_rule){0}, cam);
    for (size_t i = 0; i < pixels; i++) {
        double want = fmax((double)cam[i], 0) / (double)pixels;
        greatest = fmax(greatest, want);
        worst = fmax(worst, fabs(map[i] - want));
    }
    if (!(greatest > 0 && worst <= 1e-4 * greatest))
        TEST_FAIL("%s, %s: differs by %g of %g", backbone->name, name, worst, greatest);
    adl_free(cam);
    adl_free(map);
    adl_layer_runs_free(runs);
    adl_session_free(session);
    adl_plan_unref(plan);
    adl_layer_net_free(net);
    for (int i = 0; i < adl_graph_param_count(graph); i++)
        adl_free(params[i]);
    adl_free(params);
    adl_graph_free(graph);
}

static void gradcam_of_the_last_map_is_the_class_map(void)
{
    for (const struct adl_backbone *const *b = adl_backbones; *b; b++)
        check_backbone(*b);
}

static void refuse(const struct net *net, const char *name, enum adl_error_kind kind,
                   const char *word)
{
    struct adl_error err = {0};
    CU_ASSERT_PTR_NULL(
        adl_layer_net_create(net->graph, (const float *const *)net->params, name, &err));
    if (err.kind != kind || !strstr(err.message, word))
        TEST_FAIL("%s: \"%s\"", name, err.message);
}

static void refuses_in_words(void)
{
    struct adl_error err = {0};
    struct net net;
    struct layer l;
    open_net(&net, "residual");
    refuse(&net, "a_relu", ADL_ERR_UNSUPPORTED, "paths lead around");
    refuse(&net, "branch", ADL_ERR_UNSUPPORTED, "in a branch");
    refuse(&net, "gate", ADL_ERR_UNSUPPORTED, "no positions");
    refuse(&net, "input", ADL_ERR_NOT_FOUND, "no layer");
    refuse(&net, "block_relo", ADL_ERR_NOT_FOUND, "did you mean block_relu?");
    refuse(&net, "nothing", ADL_ERR_NOT_FOUND, "scale (10 x 12), maps (5 x 6)");
    open_layer(&l, &net, "layercam", "block_relu", NULL, 1);
    strcpy(l.rule.views.layer.name, "stem_relu");
    CU_ASSERT_EQUAL(adl_views_prepare(l.views, &l.rule, false, &l.run, &err), -1);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "stem_relu") != NULL);
    close_layer(&l);
    close_net(&net);
}

static void reads_names(void)
{
    static const char *const wrong[] = {"layercam:", ":x",    "scorecam:x", "",
                                        "gradcam",   "a:b:c", "a b",        "a\x1b[1m"};
    struct adl_error err = {0};
    struct adl_map_layer layer;
    char text[ADL_MAP_LAYER_TEXT_BYTES], lengthy[ADL_LIMIT_LAYER_NAME_BYTES + 1];
    TEST_OK(adl_map_layer_parse("relu1", &layer, &err), &err);
    CU_ASSERT_STRING_EQUAL(adl_map_layer_text(&layer, text), "layercam:relu1");
    TEST_OK(adl_map_layer_parse("gradcam++:x", &layer, &err), &err);
    CU_ASSERT(layer.method == ADL_LAYER_GRADCAM_PP && !strcmp(layer.name, "x"));
    TEST_OK(adl_map_layer_parse("none", &layer, &err), &err);
    CU_ASSERT_STRING_EQUAL(adl_map_layer_text(&layer, text), "none");
    for (size_t i = 0; i < ADL_COUNT(wrong); i++) {
        err = (struct adl_error){0};
        /* A name alone is a name, whatever it is. */
        bool fine = !strcmp(wrong[i], "gradcam");
        CU_ASSERT_EQUAL(adl_map_layer_parse(wrong[i], &layer, &err), fine ? 0 : -1);
    }
    memset(lengthy, 'x', sizeof lengthy);
    lengthy[sizeof lengthy - 1] = '\0';
    CU_ASSERT_EQUAL(adl_map_layer_parse(lengthy, &layer, &err), -1);
}

/* Maps that are nowhere positive, and such with a NaN. */
static void joins_odd_maps(void)
{
    const double none[3] = {-1, 0, -2}, some[3] = {0, 1, 0.5}, broken[3] = {0, NAN, 1};
    double joined[3];
    adl_layer_join(none, none, 3, joined);
    CU_ASSERT(joined[0] == 0 && joined[1] == 0 && joined[2] == 0);
    adl_layer_join(some, none, 3, joined);
    CU_ASSERT(joined[0] == 0 && joined[1] == 1 && joined[2] == 0.5);
    adl_layer_join(none, some, 3, joined);
    CU_ASSERT_DOUBLE_EQUAL(joined[1], 0.96402758007581688, 1e-12); /* tanh 2 */
    adl_layer_join(some, broken, 3, joined);
    CU_ASSERT(isnan(joined[0]) && isnan(joined[1]) && isnan(joined[2]));
}

static void memory_runs_out(void)
{
    struct net net;
    bool made = false;
    open_net(&net, "residual");
    for (uint64_t n = 1; !made; n++) {
        struct adl_error err = {0};
        struct adl_layer_runs *runs = NULL;
        adl_mem_fail_nth(n);
        struct adl_layer_net *layer =
            adl_layer_net_create(net.graph, (const float *const *)net.params, "block_relu", &err);
        if (layer)
            runs = adl_layer_runs_create(layer, H, W, 2, &err);
        adl_mem_fail_nth(0);
        made = runs != NULL;
        if (!made)
            CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
        adl_layer_runs_free(runs);
        adl_layer_net_free(layer);
    }
    close_net(&net);
}

/* Sessions get their tapes after they were added: four sizes whose sessions are within the limit
 * may exceed it with their tapes. They stay as long as a run uses them, and the next rule, which
 * adds none, releases them. */
static void tapes_count_for_the_limit(void)
{
    enum { SIDE = 384 };
    const struct adl_map_rule scaled = {
        .views = {.scale_count = 4,
                  .scales = {0.5, 1.25, 1.75, 2},
                  .layer = {.method = ADL_LAYER_LAYERCAM, .name = "early"}}};
    struct adl_map_rule bare = scaled;
    const struct adl_map_rule plain = {0};
    struct adl_error err = {0};
    struct adl_view_run run;
    struct net net;

    bare.views.layer = (struct adl_map_layer){0};
    open_net(&net, "wide");
    struct adl_layer_net *upper =
        adl_layer_net_create(net.graph, (const float *const *)net.params, "early", &err);
    TEST_OK(upper ? 0 : -1, &err);
    const struct adl_plan_options how = {
        .input_h = SIDE, .input_w = SIDE, .kept = {adl_layer_net_value(upper)}};
    struct adl_plan *plan =
        adl_plan_create(net.graph, (const float *const *)net.params, &how, &err);
    TEST_OK(plan ? 0 : -1, &err);
    struct adl_views *views = adl_views_create(plan, NULL, NULL, 1, &err);
    TEST_OK(views ? 0 : -1, &err);
    adl_views_set_layer(views, upper);
    size_t least = adl_views_bytes(views);

    TEST_OK(adl_views_prepare(views, &bare, false, &run, &err), &err);
    size_t sessions = adl_views_bytes(views) - least;
    TEST_OK(adl_views_prepare(views, &scaled, false, &run, &err), &err);
    size_t both = adl_views_bytes(views) - least;
    CU_ASSERT(sessions <= ADL_LIMIT_VIEW_BYTES && both > ADL_LIMIT_VIEW_BYTES);
    TEST_OK(adl_views_prepare(views, &plain, false, &run, &err), &err);
    size_t left = adl_views_bytes(views) - least;
    CU_ASSERT(left <= ADL_LIMIT_VIEW_BYTES);
    CU_ASSERT(left > 0); /* those that were used last stay */

    adl_views_free(views);
    adl_plan_unref(plan);
    adl_layer_net_free(upper);
    close_net(&net);
}

TEST_SUITE(layer_map, {"maps of layers equal those of PyTorch's autograd", equals_autograd},
           {"tapes count for the limit on memory", tapes_count_for_the_limit},
           {"the same bits in any batch and for any number of threads", same_bits},
           {"maps without a layer stay the same", plain_maps_stay},
           {"each view has its joined map", works_with_views},
           {"Grad-CAM of the last map is the class map", gradcam_of_the_last_map_is_the_class_map},
           {"layers without a map are refused in words", refuses_in_words},
           {"names of layers are read", reads_names},
           {"maps without positive or finite values are joined", joins_odd_maps},
           {"a failed allocation is an error", memory_runs_out});
TEST_SLOW(gradcam_of_the_last_map_is_the_class_map);
TEST_UNWATCHED(gradcam_of_the_last_map_is_the_class_map);
