/* methods/ae: a graph of several whole networks, of which a step trains one. What a network does in
 * it is compared, bit by bit, with the same network alone, on the images that the test erases
 * itself. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "models/arch.h"
#include "plan/session.h"
#include "support/methods.h"
#include "train/init.h"
#include "train/optimizer.h"
#include "train/tape.h"

enum { SIDE = 48, BATCH = 3, CLASSES = 4, ROUNDS = 3, PIXELS = SIDE * SIDE };

#define THRESHOLD 0.6

static const int labels[BATCH] = {2, 0, 3};

/* A network or several, with the weights that a step starts from. */
struct net {
    struct adl_graph *graph;
    struct adl_pool *pool;
    struct adl_tape *tape;
    struct adl_optimizer *optimizer;
};

static struct adl_graph *make_graph(const struct adl_backbone *backbone, int rounds)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    adl_arch_init(&arch, backbone);
    arch.num_classes = CLASSES;
    arch.width = 0.25;
    arch.rounds = rounds;
    if (rounds > 1)
        arch.methods = adl_method_alone(&adl_method_ae);
    struct adl_graph *graph = adl_arch_build(&arch, SIDE, SIDE, &err);
    TEST_OK(graph ? 0 : -1, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
    return graph;
}

/* Opens a net whose weights follow from their names; running statistics are not those of a new
 * network. */
static void open_net(struct net *net, struct adl_graph *graph, int part,
                     enum adl_tape_memory memory, int threads)
{
    struct adl_error err = {0};
    int count = adl_graph_param_count(graph);
    float **start = adl_calloc((size_t)count, sizeof *start);
    *net = (struct net){.graph = graph, .pool = adl_pool_create(threads, &err)};
    for (int i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        start[i] = adl_malloc(param->count, sizeof **start);
        adl_init_param(param, 7, start[i]);
        for (size_t j = 0; param->role == ADL_PARAM_BN_VAR && j < param->count; j++)
            start[i][j] = 0.5F + 0.01F * (float)(j % 7);
    }
    net->tape = adl_tape_create_part(graph, part, SIDE, SIDE, BATCH, memory, net->pool, &err);
    net->optimizer = adl_optimizer_create(graph, (const float *const *)start, &err);
    CU_ASSERT_FATAL(net->tape && net->optimizer);
    adl_optimizer_set_part(net->optimizer, adl_graph_part_count(graph) ? part : 0);
    for (int i = 0; i < count; i++)
        adl_free(start[i]);
    adl_free(start);
}

static void close_net(struct net *net)
{
    adl_optimizer_free(net->optimizer);
    adl_tape_free(net->tape);
    adl_pool_free(net->pool);
    adl_graph_free(net->graph);
}

static void draw_images(float *images)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 3, 0, 0);
    for (size_t i = 0; i < (size_t)BATCH * PIXELS * 3; i++)
        images[i] = (float)adl_rng_normal(&rng);
}

/* Takes a step on these images, of which the gradients stay. */
static double take_step(struct net *net, const float *images)
{
    const struct adl_train_mode mode = {.bn_momentum = 0.1,
                                        .dropout = true,
                                        .method_layers = true,
                                        .method_values =
                                            test_method_values("ae-threshold", THRESHOLD, NULL),
                                        .labels = labels,
                                        .key = 5};
    const struct adl_targets targets = {.labels = labels};
    float *const *params = adl_optimizer_params(net->optimizer);
    memcpy(adl_tape_input(net->tape), images, (size_t)BATCH * PIXELS * 3 * sizeof *images);
    adl_tape_forward(net->tape, BATCH, params, &mode);
    double loss = adl_method_loss((struct adl_method_set){0}, net->tape, &targets, &mode, 1, NULL);
    adl_optimizer_zero_grads(net->optimizer);
    adl_tape_backward(net->tape, params, &mode, adl_optimizer_grads(net->optimizer));
    adl_optimizer_step(net->optimizer, &(struct adl_sgd){0.9, 0.01, true}, 0.05, 1, net->pool);
    return loss;
}

/* Returns the id in `to` of the parameter that is called as one of `from` without its part. */
static int counterpart(const struct adl_graph *to, const struct adl_param *param)
{
    int id = adl_graph_find_param(to, param->name + param->prefix);
    CU_ASSERT_FATAL(id >= 0);
    return id;
}

/* Copies the weights of one of several networks to a network alone. */
static void copy_out(const struct net *many, int part, const struct net *alone)
{
    for (int i = 0; i < adl_graph_param_count(many->graph); i++) {
        const struct adl_param *param = adl_graph_param(many->graph, i);
        if (param->part == part)
            memcpy(adl_optimizer_params(alone->optimizer)[counterpart(alone->graph, param)],
                   adl_optimizer_params(many->optimizer)[i], param->count * sizeof(float));
    }
}

/* Fails unless weights, running statistics and gradients of one of several networks are those of a
 * network alone. */
static void compare(const struct net *many, int part, const struct net *alone)
{
    int compared = 0;
    for (int i = 0; i < adl_graph_param_count(many->graph); i++) {
        const struct adl_param *param = adl_graph_param(many->graph, i);
        if (param->part != part)
            continue;
        int id = counterpart(alone->graph, param);
        size_t bytes = param->count * sizeof(float);
        compared++;
        if (memcmp(adl_optimizer_params(alone->optimizer)[id],
                   adl_optimizer_params(many->optimizer)[i], bytes) != 0)
            TEST_FAIL("%s differs", param->name);
        const float *grad = adl_optimizer_grads(many->optimizer)[i];
        if (grad && memcmp(adl_optimizer_grads(alone->optimizer)[id], grad, bytes) != 0)
            TEST_FAIL("the gradient of %s differs", param->name);
    }
    CU_ASSERT_EQUAL(compared, adl_graph_param_count(alone->graph));
}

/* The first round trains as a network alone. */
static void round_one_is_plain(void)
{
    static float images[BATCH * PIXELS * 3];
    struct net many, alone;
    open_net(&many, make_graph(&adl_backbone_mobilenet_v1, ROUNDS), 1, ADL_TAPE_SHARED, 1);
    open_net(&alone, make_graph(&adl_backbone_mobilenet_v1, 1), 1, ADL_TAPE_SHARED, 1);
    draw_images(images);
    for (int step = 0; step < 2; step++)
        CU_ASSERT_EQUAL(take_step(&many, images), take_step(&alone, images));
    compare(&many, 1, &alone);
    CU_ASSERT_EQUAL(adl_tape_bytes(many.tape), adl_tape_bytes(alone.tape));
    close_net(&many);
    close_net(&alone);
}

/* The map of the label of a network alone at inference, 0..1, from its features and classifier. */
static void label_map(const struct net *net, const float *features, struct adl_shape shape,
                      int label, double *map)
{
    int weight = adl_graph_find_param(net->graph, "fc.weight");
    const float *row = adl_optimizer_params(net->optimizer)[weight] + label * shape.c;
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < shape.h * shape.w; i++) {
        map[i] = 0;
        for (int c = 0; c < shape.c; c++)
            map[i] += (double)features[i * shape.c + c] * (double)row[c];
        least = fmin(least, map[i]);
        most = fmax(most, map[i]);
    }
    for (int i = 0; i < shape.h * shape.w; i++)
        map[i] = (map[i] - least) / (most - least);
}

/* Returns the map at pixel i of SIDE, enlarged as by OpenCV's INTER_LINEAR. */
static double enlarged(const double *map, struct adl_shape shape, int pixel)
{
    double at[2] = {pixel / SIDE, pixel % SIDE}, share[2];
    int low[2], high[2], sides[2] = {shape.h, shape.w};
    for (int d = 0; d < 2; d++) {
        at[d] = fmax((at[d] + 0.5) * sides[d] / SIDE - 0.5, 0);
        low[d] = (int)floor(at[d]);
        high[d] = low[d] + 1 < sides[d] ? low[d] + 1 : low[d];
        share[d] = at[d] - low[d];
    }
    double above = map[low[0] * shape.w + low[1]] * (1 - share[1]) +
                   map[low[0] * shape.w + high[1]] * share[1];
    double below = map[high[0] * shape.w + low[1]] * (1 - share[1]) +
                   map[high[0] * shape.w + high[1]] * share[1];
    return above * (1 - share[0]) + below * share[0];
}

/* Erases in `images` where the map of network `part` for them is high, as the definition says, with
 * the network alone in the mode of inference. Pixels whose map is about the threshold are taken
 * from `made`, which the step has erased. */
static void erase(const struct net *many, int part, float *images, const float *made)
{
    const struct adl_train_mode mode = {.frozen_batchnorm = true};
    struct net alone;
    double map[PIXELS];
    size_t erased = 0;
    open_net(&alone, make_graph(&adl_backbone_mobilenet_v1, 1), 1, ADL_TAPE_KEPT, 1);
    copy_out(many, part, &alone);
    memcpy(adl_tape_input(alone.tape), images, (size_t)BATCH * PIXELS * 3 * sizeof *images);
    adl_tape_forward(alone.tape, BATCH, adl_optimizer_params(alone.optimizer), &mode);
    int features = adl_graph_output(alone.graph, ADL_OUTPUT_FEATURES);
    struct adl_shape shape = adl_tape_shape(alone.tape, features);
    for (int n = 0; n < BATCH; n++) {
        label_map(&alone, adl_tape_value(alone.tape, features) + n * (int)adl_shape_count(shape),
                  shape, labels[n], map);
        for (int i = 0; i < PIXELS; i++) {
            float *pixel = images + (n * PIXELS + i) * 3;
            double value = enlarged(map, shape, i);
            if (fabs(value - THRESHOLD) < 1e-4)
                memcpy(pixel, made + (n * PIXELS + i) * 3, 3 * sizeof *pixel);
            else if (value >= THRESHOLD)
                memset(pixel, 0, 3 * sizeof *pixel);
            erased += pixel[0] == 0;
        }
    }
    CU_ASSERT(erased > BATCH * 10 && erased < BATCH * PIXELS - 10);
    close_net(&alone);
}

/* Later rounds train as a network alone on the erased images, and change no other network. */
static void later_rounds_see_erased_images(void)
{
    static float images[BATCH * PIXELS * 3];
    for (int part = 2; part <= ROUNDS; part++) {
        struct net many, alone, before;
        draw_images(images);
        open_net(&many, make_graph(&adl_backbone_mobilenet_v1, ROUNDS), part, ADL_TAPE_KEPT, 2);
        open_net(&alone, make_graph(&adl_backbone_mobilenet_v1, 1), 1, ADL_TAPE_SHARED, 1);
        copy_out(&many, part, &alone);
        open_net(&before, make_graph(&adl_backbone_mobilenet_v1, ROUNDS), part, ADL_TAPE_SHARED, 1);
        double loss = take_step(&many, images);
        CU_ASSERT_EQUAL(loss, take_step(&before, images));
        for (int i = 0; i < adl_graph_param_count(many.graph); i++) {
            const struct adl_param *param = adl_graph_param(many.graph, i);
            if (memcmp(adl_optimizer_params(many.optimizer)[i],
                       adl_optimizer_params(before.optimizer)[i], param->count * sizeof(float)))
                TEST_FAIL("%s depends on the tape's memory or threads", param->name);
        }
        close_net(&before);
        open_net(&before, make_graph(&adl_backbone_mobilenet_v1, ROUNDS), part, ADL_TAPE_SHARED, 1);
        for (int r = 1; r < part; r++) {
            char name[20];
            snprintf(name, sizeof name, "round%d.erased%d", part, r);
            const float *made = adl_tape_value(many.tape, adl_graph_find_value(many.graph, name));
            erase(&before, r, images, made);
            if (memcmp(images, made, sizeof images) != 0)
                TEST_FAIL("round %d: other pixels are erased by network %d", part, r);
        }
        CU_ASSERT_EQUAL(take_step(&alone, images), loss);
        compare(&many, part, &alone);
        for (int i = 0; i < adl_graph_param_count(many.graph); i++) {
            const struct adl_param *param = adl_graph_param(many.graph, i);
            if (param->part != part && memcmp(adl_optimizer_params(many.optimizer)[i],
                                              adl_optimizer_params(before.optimizer)[i],
                                              param->count * sizeof(float)) != 0)
                TEST_FAIL("round %d changes %s", part, param->name);
        }
        close_net(&before);
        close_net(&many);
        close_net(&alone);
    }
}

/* Without the method, as when running statistics are made anew, the network sees the whole images.
 */
static void off_it_erases_nothing(void)
{
    static float images[BATCH * PIXELS * 3];
    const struct adl_train_mode mode = {.bn_momentum = 1};
    struct net many, alone;
    draw_images(images);
    open_net(&many, make_graph(&adl_backbone_mobilenet_v1, ROUNDS), ROUNDS, ADL_TAPE_SHARED, 1);
    open_net(&alone, make_graph(&adl_backbone_mobilenet_v1, 1), 1, ADL_TAPE_SHARED, 1);
    copy_out(&many, ROUNDS, &alone);
    memcpy(adl_tape_input(many.tape), images, sizeof images);
    memcpy(adl_tape_input(alone.tape), images, sizeof images);
    adl_tape_forward(many.tape, BATCH, adl_optimizer_params(many.optimizer), &mode);
    adl_tape_forward(alone.tape, BATCH, adl_optimizer_params(alone.optimizer), &mode);
    compare(&many, ROUNDS, &alone);
    close_net(&many);
    close_net(&alone);
}

static void later_networks_follow(void)
{
    struct net many, alone;
    open_net(&many, make_graph(&adl_backbone_mobilenet_v1, ROUNDS), 2, ADL_TAPE_SHARED, 1);
    open_net(&alone, make_graph(&adl_backbone_mobilenet_v1, 1), 1, ADL_TAPE_SHARED, 1);
    copy_out(&many, 2, &alone);
    adl_optimizer_copy_part(many.optimizer, 2);
    compare(&many, 3, &alone);
    close_net(&alone);
    close_net(&many);
}

/* Runs a network, or several, on an image; the caller closes the session. */
static struct adl_session *infer(struct adl_graph *graph, const float *const *params,
                                 const float *image)
{
    struct adl_error err = {0};
    struct adl_plan_options options = {.input_h = SIDE, .input_w = SIDE};
    struct adl_plan *plan = adl_plan_create(graph, params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    CU_ASSERT_FATAL(session != NULL);
    adl_plan_unref(plan);
    memcpy(adl_session_input(session, 0), image, (size_t)PIXELS * 3 * sizeof *image);
    adl_session_run(session, 1);
    return session;
}

/* Takes the maximum of `most` and the min-max normalised map of each class of a network alone. */
static void unite(const struct adl_session *session, const float *classifier, double *most)
{
    const struct adl_plan *plan = adl_session_plan(session);
    struct adl_shape shape = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    const float *features = adl_session_output(session, ADL_OUTPUT_FEATURES, 0);
    double map[PIXELS];
    for (int k = 0; k < CLASSES; k++) {
        double low = INFINITY, high = -INFINITY;
        for (int i = 0; i < shape.h * shape.w; i++) {
            map[i] = 0;
            for (int c = 0; c < shape.c; c++)
                map[i] += (double)features[i * shape.c + c] * (double)classifier[k * shape.c + c];
            low = fmin(low, map[i]);
            high = fmax(high, map[i]);
        }
        for (int i = 0; i < shape.h * shape.w; i++)
            most[i * CLASSES + k] = fmax(most[i * CLASSES + k], (map[i] - low) / (high - low));
    }
}

/* At inference all networks see the whole image, the logits are those of the first, and the class
 * map is the union of all. */
static void inference_unites_the_maps(void)
{
    static float images[BATCH * PIXELS * 3];
    double most[PIXELS * CLASSES] = {0};
    struct net many, alone;
    draw_images(images);
    open_net(&many, make_graph(&adl_backbone_mobilenet_v1, ROUNDS), 1, ADL_TAPE_SHARED, 1);
    open_net(&alone, make_graph(&adl_backbone_mobilenet_v1, 1), 1, ADL_TAPE_SHARED, 1);
    struct adl_session *all =
        infer(many.graph, (const float *const *)adl_optimizer_params(many.optimizer), images);
    for (int part = 1; part <= ROUNDS; part++) {
        float *const *params = adl_optimizer_params(alone.optimizer);
        copy_out(&many, part, &alone);
        struct adl_session *one = infer(alone.graph, (const float *const *)params, images);
        unite(one, params[adl_graph_find_param(alone.graph, "fc.weight")], most);
        if (part == 1)
            CU_ASSERT(memcmp(adl_session_output(one, ADL_OUTPUT_LOGITS, 0),
                             adl_session_output(all, ADL_OUTPUT_LOGITS, 0),
                             CLASSES * sizeof(float)) == 0);
        adl_session_free(one);
    }
    struct adl_shape shape = adl_plan_output_shape(adl_session_plan(all), ADL_OUTPUT_CLASS_MAP);
    const float *map = adl_session_output(all, ADL_OUTPUT_CLASS_MAP, 0);
    CU_ASSERT(shape.h > 1 && shape.c == CLASSES);
    for (size_t i = 0; i < adl_shape_count(shape); i++)
        if (fabs((double)map[i] - most[i]) > 1e-4)
            TEST_FAIL("element %zu is %g, not %g", i, (double)map[i], most[i]);
    for (int i = 0; i < adl_plan_step_count(adl_session_plan(all)); i++) {
        struct adl_step_info info;
        adl_plan_step_info(adl_session_plan(all), i, &info);
        CU_ASSERT(strstr(info.name, "erased") == NULL && strcmp(info.name, "round2.fc") != 0);
    }
    adl_session_free(all);
    close_net(&many);
    close_net(&alone);
}

/* Every backbone can be had several times, with the maps of the network alone. */
static void every_backbone_has_rounds(void)
{
    for (const struct adl_backbone *const *backbone = adl_backbones; *backbone; backbone++) {
        struct adl_graph *alone = make_graph(*backbone, 1);
        for (int rounds = 2; rounds <= ADL_MAX_PARTS; rounds++) {
            struct adl_graph *graph = make_graph(*backbone, rounds);
            int features = adl_graph_output(alone, ADL_OUTPUT_FEATURES);
            int map = adl_graph_output(graph, ADL_OUTPUT_CLASS_MAP);
            struct adl_shape expected = adl_graph_value(alone, features)->shape;
            struct adl_shape shape = adl_graph_value(graph, map)->shape;
            CU_ASSERT(shape.h == expected.h && shape.w == expected.w && shape.c == CLASSES);
            CU_ASSERT_EQUAL(adl_graph_param_count(graph), rounds * adl_graph_param_count(alone));
            CU_ASSERT_EQUAL(adl_graph_part_count(graph), rounds);
            adl_graph_free(graph);
        }
        adl_graph_free(alone);
    }
}

static void what_it_cannot_do_is_refused(void)
{
    static const char *const refused[] = {"ae,adl", "ae,bas", "cutmix,ae", "dropblock,ae"};
    struct adl_error err = {0};
    struct adl_method_set set;
    struct adl_arch arch;
    for (size_t i = 0; i < ADL_COUNT(refused); i++) {
        err = (struct adl_error){0};
        CU_ASSERT(adl_method_set_parse(refused[i], &set, &err) < 0);
        CU_ASSERT(strstr(err.message, "cannot be combined") && strstr(err.message, "ae"));
    }
    TEST_OK(adl_method_set_parse("ae,has,cutout", &set, &err), &err);
    adl_arch_init(&arch, &adl_backbone_vgg16);
    arch.methods = set;
    TEST_OK(adl_arch_check(&arch, &err), &err);
    arch.rounds = ADL_MAX_PARTS + 1;
    CU_ASSERT(adl_arch_check(&arch, &err) < 0);
    arch.rounds = 1;
    CU_ASSERT(adl_arch_check(&arch, &err) < 0);
}

TEST_SUITE(ae, {"round one is plain", round_one_is_plain},
           {"later rounds see erased images", later_rounds_see_erased_images},
           {"off, it erases nothing", off_it_erases_nothing},
           {"later networks follow", later_networks_follow},
           {"inference unites the maps", inference_unites_the_maps},
           {"every backbone has rounds", every_backbone_has_rounds},
           {"what it cannot do is refused", what_it_cannot_do_is_refused});
