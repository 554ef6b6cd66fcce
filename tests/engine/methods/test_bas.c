/* methods/bas: loss and gradients against PyTorch, which paths pass no gradient, and the same bits
 * for any threads and memory. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/arch.h"
#include "plan/session.h"
#include "support/bas_net.h"
#include "support/formula.h"
#include "support/method_step.h"
#include "train/init.h"
#include "wsol/cam.h"
#include "wsol/session_cam.h"

/* Loss, sums and norms of the gradients of the same network in PyTorch, in double: the formulas at
 * the head of methods/bas.c with detach() for what is detached and for the copy's parameters,
 * F.batch_norm in training mode and F.adaptive_avg_pool2d. */
static void agrees_with_pytorch(void)
{
    static const struct {
        const char *name;
        double sum, norm;
    } want[] = {{"stem.weight", -0.147625409, 0.111347743},
                {"stem_bn.weight", 0.030964776, 0.033285165},
                {"stem_bn.bias", 0.001594759, 0.090045037},
                {"up.weight", 0.270722680, 0.190210102},
                {"up_bn.weight", 0.021027731, 0.067328737},
                {"up_bn.bias", 0.143045921, 0.258280355},
                {"classifier_cls.0.weight", -2.376002972, 1.602613734},
                {"classifier_cls.0.bias", -0.163570661, 0.749940480},
                {"classifier_cls.2.weight", 8.990200839, 1.875898638},
                {"classifier_cls.2.bias", 0.497592968, 0.421432199},
                {"classifier_cls.4.weight", 0, 2.054046457},
                {"classifier_cls.4.bias", 0, 0.803802458},
                {"classifier_loc.0.weight", 3.533609926, 0.425183715},
                {"classifier_loc.0.bias", 0.374959173, 0.229192179}};
    struct bas_net net;
    bas_net_open(&net, ADL_TAPE_SHARED);
    bas_net_forward(&net);
    bas_net_backward(&net);
    CU_ASSERT_DOUBLE_EQUAL(net.loss, 4.459025125402, 2e-6);
    for (size_t i = 0; i < ADL_COUNT(want); i++) {
        int id = adl_graph_find_param(net.step.graph, want[i].name);
        double sum = 0, squares = 0;
        for (size_t j = 0; j < adl_graph_param(net.step.graph, id)->count; j++) {
            sum += (double)net.step.grads[id][j];
            squares += pow((double)net.step.grads[id][j], 2);
        }
        if (fabs(sum - want[i].sum) > 1e-5 || fabs(sqrt(squares) - want[i].norm) > 1e-5)
            TEST_FAIL("%s: sum %.9f, norm %.9f, not %.9f and %.9f", want[i].name, sum,
                      sqrt(squares), want[i].sum, want[i].norm);
    }
    bas_net_close(&net);
}

/* --- which paths pass a gradient --------------------------------------------------------- */

static bool is_zero(const struct bas_net *net, const char *name)
{
    int id = adl_graph_find_param(net->step.graph, name);
    for (size_t j = 0; j < adl_graph_param(net->step.graph, id)->count; j++)
        if (net->step.grads[id][j] != 0)
            return false;
    return true;
}

/* The gradient of the background's logits alone reaches the map and what is below it, but not the
 * layers that the background passes through. */
static void the_background_trains_no_upper_layer(void)
{
    static const char *const none[] = {"up.weight",
                                       "up_bn.weight",
                                       "up_bn.bias",
                                       "classifier_cls.0.weight",
                                       "classifier_cls.0.bias",
                                       "classifier_cls.4.weight",
                                       "classifier_cls.4.bias"};
    static const char *const some[] = {"classifier_loc.0.weight", "classifier_loc.0.bias",
                                       "stem.weight", "stem_bn.bias"};
    struct bas_net net;
    bas_net_open(&net, ADL_TAPE_SHARED);
    bas_net_forward(&net);
    for (int tap = 0; tap < adl_graph_tap_count(net.step.graph); tap++) {
        struct adl_shape shape = adl_tape_shape(net.step.tape, adl_graph_tap(net.step.graph, tap));
        for (size_t i = 0; i < BAS_N * adl_shape_count(shape); i++)
            adl_tape_tap_grad(net.step.tape, tap)[i] = tap == BAS_BACKGROUND ? 1 : 0;
    }
    memset(adl_tape_logits_grad(net.step.tape), 0, sizeof(float) * BAS_N * BAS_CLASSES);
    bas_net_backward(&net);
    for (size_t i = 0; i < ADL_COUNT(none); i++)
        if (!is_zero(&net, none[i]))
            TEST_FAIL("the background has a gradient for %s", none[i]);
    for (size_t i = 0; i < ADL_COUNT(some); i++)
        if (is_zero(&net, some[i]))
            TEST_FAIL("the background has no gradient for %s", some[i]);
    bas_net_close(&net);
}

/* The running statistics are those of a step without the method: the copy leaves no trace. Without
 * the method the loss is the plain cross-entropy, and the map is not trained. */
static void the_copy_keeps_running_statistics(void)
{
    static const char *const names[] = {"stem_bn.running_mean", "stem_bn.running_var",
                                        "up_bn.running_mean", "up_bn.running_var"};
    struct bas_net with, without;
    bas_net_open(&with, ADL_TAPE_SHARED);
    bas_net_open(&without, ADL_TAPE_SHARED);
    without.mode.method_layers = false;
    bas_net_forward(&with);
    bas_net_forward(&without);
    bas_net_backward(&without);
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        int id = adl_graph_find_param(with.step.graph, names[i]);
        size_t bytes = adl_graph_param(with.step.graph, id)->count * sizeof(float);
        if (memcmp(with.step.params[id], without.step.params[id], bytes) != 0)
            TEST_FAIL("%s differs", names[i]);
    }
    CU_ASSERT(without.loss < with.loss);
    CU_ASSERT(is_zero(&without, "classifier_loc.0.weight") && !is_zero(&without, "up.weight"));
    bas_net_close(&with);
    bas_net_close(&without);
}

/* Gradients that are divided, as for accumulated batches. */
static void gradients_are_divided(void)
{
    struct bas_net net;
    bas_net_open(&net, ADL_TAPE_SHARED);
    bas_net_forward(&net);
    float background = 0, map = adl_tape_tap_grad(net.step.tape, BAS_MAP)[0];
    for (int i = 0; i < BAS_N * BAS_CLASSES; i++)
        background += adl_tape_tap_grad(net.step.tape, BAS_BACKGROUND)[i];
    const struct adl_targets targets = {.labels = bas_labels};
    adl_method_loss(adl_method_alone(&adl_method_bas), net.step.tape, &targets, &net.mode, 4, NULL);
    CU_ASSERT_EQUAL(adl_tape_tap_grad(net.step.tape, BAS_MAP)[0], map / 4);
    for (int i = 0; i < BAS_N * BAS_CLASSES; i++)
        background -= 4 * adl_tape_tap_grad(net.step.tape, BAS_BACKGROUND)[i];
    CU_ASSERT_EQUAL(background, 0);
    bas_net_close(&net);
}

/* --- in a backbone ----------------------------------------------------------------------- */

enum { IMAGE = 64, IMAGE_CLASSES = 5, BATCH = 2 };

/* Makes the network of a backbone with one of the heads, by its name in files. */
static struct adl_graph *backbone_graph(const struct adl_backbone *backbone, const char *head)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    json_t *json = json_pack("{s:s, s:i, s:s, s:s}", "name", backbone->name, "num_classes",
                             IMAGE_CLASSES, "method", "bas", "bas_head", head);
    CU_ASSERT_FATAL(adl_arch_from_json(&arch, json, &err) == 0);
    json_decref(json);
    arch.width = 0.25;
    struct adl_graph *graph = adl_arch_build(&arch, IMAGE, IMAGE, &err);
    CU_ASSERT_FATAL(graph != NULL);
    return graph;
}

static void same_bits(const char *head)
{
    struct adl_graph *graph = backbone_graph(&adl_backbone_mobilenet_v1, head);
    uint64_t bits = method_step_bits(graph, &adl_method_bas, ADL_TAPE_SHARED, 1);
    CU_ASSERT_EQUAL(method_step_bits(graph, &adl_method_bas, ADL_TAPE_SHARED, 2), bits);
    CU_ASSERT_EQUAL(method_step_bits(graph, &adl_method_bas, ADL_TAPE_SHARED, 3), bits);
    CU_ASSERT_EQUAL(method_step_bits(graph, &adl_method_bas, ADL_TAPE_KEPT, 1), bits);
    bits = method_step_bits(graph, &adl_method_bas, ADL_TAPE_BF16, 1);
    CU_ASSERT_EQUAL(method_step_bits(graph, &adl_method_bas, ADL_TAPE_BF16, 2), bits);
    adl_graph_free(graph);
}

static void the_same_bits_for_any_threads_and_memory(void)
{
    same_bits("published");
    same_bits("light");
}

/* The light head has a classifier like that of the network without the method, and for the map one
 * weight a channel and class; files say which head it is. */
static void the_light_head_is_small(void)
{
    static const char *const heads[] = {"published", "light"};
    struct adl_error err = {0};
    struct adl_arch arch;
    size_t counts[2] = {0};

    for (int i = 0; i < 2; i++) {
        struct adl_graph *graph = backbone_graph(&adl_backbone_mobilenet_v1, heads[i]);
        for (int p = 0; p < adl_graph_param_count(graph); p++)
            if (adl_arch_is_branch(adl_graph_param(graph, p)->name))
                counts[i] += adl_graph_param(graph, p)->count;
        adl_graph_free(graph);
    }
    const size_t last = 256, fine = 128, classes = IMAGE_CLASSES;
    CU_ASSERT_EQUAL(counts[1], (last + 1) * classes + (fine + 1) * classes);
    CU_ASSERT_EQUAL(counts[0], 2 * 9 * last * last + 2 * last + (last + 1) * classes +
                                   (9 * fine + 1) * classes);

    adl_arch_init(&arch, &adl_backbone_mobilenet_v1);
    arch.methods = adl_method_alone(&adl_method_bas);
    arch.num_classes = IMAGE_CLASSES;
    for (int i = 0; i < 2; i++) {
        json_t *json = adl_arch_to_json(&arch);
        const char *said = json_string_value(json_object_get(json, "bas_head"));
        CU_ASSERT(i == 0 ? said == NULL : said && !strcmp(said, "light"));
        json_object_set_new(json, "bas_head", json_string(i == 0 ? "light" : "heavy"));
        CU_ASSERT_EQUAL(adl_arch_from_json(&arch, json, &err), i == 0 ? 0 : -1);
        json_decref(json);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "bas_head is neither"));
}

/* Whether two arrays agree up to rounding. */
static bool is_close(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(b[i]))))
            return false;
    return true;
}

/* Checks the maps that rules make from a session's outputs. */
static void check_rules(const struct adl_session *session, size_t pixels)
{
    const float *maps = adl_session_output(session, ADL_OUTPUT_CLASS_MAP, 0);
    const float *logits = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
    float cam[IMAGE], alone[IMAGE];
    size_t worst = 0, best[2];
    CU_ASSERT_FATAL(pixels <= IMAGE);
    for (size_t i = 1; i < IMAGE_CLASSES; i++)
        worst = logits[i] < logits[worst] ? i : worst;
    adl_top_k(logits, IMAGE_CLASSES, 2, best);
    adl_session_cam(session, 0, (int)worst, &(struct adl_map_rule){0}, alone);
    for (size_t i = 0; i < pixels; i++)
        CU_ASSERT_EQUAL(alone[i], maps[i * IMAGE_CLASSES + worst]);
    /* There are no weights that could be left out. */
    adl_session_cam(session, 0, (int)worst,
                    &(struct adl_map_rule){.weights = ADL_MAP_WEIGHTS_POSITIVE, .classes = 1}, cam);
    CU_ASSERT_EQUAL(memcmp(cam, alone, pixels * sizeof *cam), 0);
    /* The class asked for is among the classes, even the worst one. */
    adl_session_cam(session, 0, (int)worst, &(struct adl_map_rule){.classes = 2}, cam);
    for (size_t i = 0; i < pixels; i++) {
        const float *at = maps + i * IMAGE_CLASSES;
        CU_ASSERT_DOUBLE_EQUAL(cam[i], ((double)at[best[0]] + (double)at[worst]) / 2, 1e-7);
    }
    adl_session_cam(session, 0, (int)best[1], &(struct adl_map_rule){.classes = 2}, cam);
    for (size_t i = 0; i < pixels; i++) {
        const float *at = maps + i * IMAGE_CLASSES;
        CU_ASSERT_DOUBLE_EQUAL(cam[i], ((double)at[best[0]] + (double)at[best[1]]) / 2, 1e-7);
    }
    /* More classes than there are. */
    adl_session_cam(session, 0, 0, &(struct adl_map_rule){.classes = 999}, cam);
    CU_ASSERT_DOUBLE_EQUAL(cam[0], (maps[0] + maps[1] + maps[2] + maps[3] + maps[4]) / 5, 1e-6);
}

/* Returns whether the tests below use a backbone: those with attention are built as resnet50 is,
 * and deeper ones as resnet18 is.
 * The gates of CBAM begin at 0, where no gradient reaches what is before them, and those of BAM
 * nearly double each stage's map, which with random weights makes rounding visible. */
static bool is_tested(const struct adl_backbone *backbone)
{
    if (!strncmp(backbone->name, "res", 3))
        return !strcmp(backbone->name, "resnet18") || !strcmp(backbone->name, "resnet50");
    return backbone->has_fine_base;
}

/* At inference the network is that of training with running statistics, without the branches of
 * training; its class map is M. */
static void check_inference(const struct adl_backbone *backbone, const char *head)
{
    struct adl_error err = {0};
    const struct adl_train_mode mode = {.frozen_batchnorm = true};
    struct adl_graph *graph = backbone_graph(backbone, head);
    size_t count = (size_t)adl_graph_param_count(graph);
    float **params = adl_calloc(count, sizeof *params);
    for (size_t i = 0; i < count; i++) {
        params[i] = adl_malloc(adl_graph_param(graph, (int)i)->count, sizeof(float));
        adl_init_param(adl_graph_param(graph, (int)i), 1, params[i]);
    }
    struct adl_plan *plan =
        adl_plan_create(graph, (const float *const *)params,
                        &(struct adl_plan_options){.input_h = IMAGE, .input_w = IMAGE}, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    struct adl_tape *tape = adl_tape_create(graph, IMAGE, IMAGE, 1, ADL_TAPE_KEPT, NULL, &err);
    CU_ASSERT_FATAL(session != NULL && tape != NULL);
    formula_param("bas image", 0, 1.5, (size_t)IMAGE * IMAGE * 3, adl_tape_input(tape));
    memcpy(adl_session_input(session, 0), adl_tape_input(tape), sizeof(float) * IMAGE * IMAGE * 3);
    adl_tape_forward(tape, 1, params, &mode);
    adl_session_run(session, 1);
    struct adl_shape shape = adl_plan_output_shape(plan, ADL_OUTPUT_CLASS_MAP);
    CU_ASSERT(shape.h == IMAGE / 8 && shape.w == IMAGE / 8 && shape.c == IMAGE_CLASSES);
    CU_ASSERT(is_close(adl_session_output(session, ADL_OUTPUT_LOGITS, 0), adl_tape_logits(tape),
                       IMAGE_CLASSES));
    CU_ASSERT(is_close(adl_session_output(session, ADL_OUTPUT_CLASS_MAP, 0),
                       adl_tape_value(tape, adl_graph_output(graph, ADL_OUTPUT_CLASS_MAP)),
                       adl_shape_count(shape)));
    check_rules(session, (size_t)shape.h * (size_t)shape.w);
    for (int i = 0; i < adl_plan_step_count(plan); i++) {
        struct adl_step_info info;
        adl_plan_step_info(plan, i, &info);
        CU_ASSERT_PTR_NULL(strstr(info.name, "background"));
    }
    for (size_t i = 0; i < count; i++)
        adl_free(params[i]);
    adl_free(params);
    adl_tape_free(tape);
    adl_session_free(session);
    adl_plan_unref(plan);
    adl_graph_free(graph);
}

static void inference_gives_the_map(void)
{
    for (const struct adl_backbone *const *backbone = adl_backbones; *backbone; backbone++)
        if (is_tested(*backbone))
            check_inference(*backbone, "published");
    check_inference(&adl_backbone_mobilenet_v1, "light");
}

/* A step of each backbone: threads change no bit, and a gradient reaches every layer. */
static void every_backbone_trains(void)
{
    for (const struct adl_backbone *const *backbone = adl_backbones; *backbone; backbone++) {
        if (!is_tested(*backbone) || (TEST_WATCHED && *backbone != &adl_backbone_mobilenet_v1))
            continue;
        struct adl_graph *graph = backbone_graph(*backbone, "published");
        uint64_t bits = method_step_bits(graph, &adl_method_bas, ADL_TAPE_SHARED, 2);
        if (bits != method_step_bits(graph, &adl_method_bas, ADL_TAPE_SHARED, 1))
            TEST_FAIL("%s: other bits with two threads", (*backbone)->name);
        adl_graph_free(graph);
    }
}

/* Other backbones, and the large map, are refused in words. */
static void what_it_cannot_do_is_refused(void)
{
    for (const struct adl_backbone *const *backbone = adl_backbones; *backbone; backbone++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        adl_arch_init(&arch, *backbone);
        arch.methods = adl_method_alone(&adl_method_bas);
        arch.large_feature_map = (*backbone)->has_fine_base;
        CU_ASSERT(adl_arch_check(&arch, &err) < 0 && err.kind == ADL_ERR_ARG);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "bas"));
    }
}

TEST_SUITE(bas, {"agrees with PyTorch", agrees_with_pytorch},
           {"the background trains no upper layer", the_background_trains_no_upper_layer},
           {"the copy keeps running statistics", the_copy_keeps_running_statistics},
           {"gradients are divided", gradients_are_divided},
           {"the same bits for any threads and memory", the_same_bits_for_any_threads_and_memory},
           {"the light head is small", the_light_head_is_small},
           {"inference gives the map", inference_gives_the_map},
           {"every backbone trains", every_backbone_trains},
           {"what it cannot do is refused", what_it_cannot_do_is_refused});
TEST_SLOW(inference_gives_the_map);
TEST_SLOW(every_backbone_trains);
