/* methods/adl: the layer against the reference implementation in double, how the map is
 * drawn, and what the draws depend on. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/golden.h"
#include "support/methods.h"
#include "support/train_step.h"

/* The node of the one ADL layer, after the copy of the input. */
#define ADL_NODE 1

static int open_layer(struct train_step *step, int batch, struct adl_shape shape, int threads)
{
    struct adl_graph *g = train_step_begin(shape.h, shape.w, shape.c);
    return g ? train_step_open(step, g, test_adl_layer(g, TRAIN_STEP_INPUT, "adl"), batch, threads)
             : -1;
}

static float *noise(const char *name, size_t count)
{
    float *values = adl_malloc(count, sizeof *values);
    formula_param(name, 0, 1, count, values);
    return values;
}

/* --- against the reference ----------------------------------------------------------- */

/* One layer with its draw forced; arrays are N x C x H x W, as in PyTorch. */
struct forced {
    const char *name;
    int batch;
    struct adl_shape shape;
    enum adl_draw draw;
    double threshold;
    const float *input, *cotangent;
};

/* The results, N x C x H x W. */
struct outcome {
    float *output, *grad_input;
    float *attention;
};

static void outcome_release(struct outcome *out)
{
    adl_free(out->output);
    adl_free(out->grad_input);
    adl_free(out->attention);
}

static int run_forced(const struct forced *f, struct outcome *out)
{
    struct train_step step;
    struct adl_train_mode mode = {.method_layers = true,
                                  .method_values = test_adl_values(f->draw, 0.75, f->threshold)};
    size_t count = (size_t)f->batch * adl_shape_count(f->shape),
           pixels = count / (size_t)f->shape.c;
    if (open_layer(&step, f->batch, f->shape, 2) < 0)
        return -1;
    float *input = adl_malloc(count, sizeof *input), *cotangent = adl_malloc(count, sizeof *input);
    train_step_to_nhwc(f->input, f->batch, f->shape, input);
    train_step_to_nhwc(f->cotangent, f->batch, f->shape, cotangent);
    train_step_run(&step, input, cotangent, &mode);
    out->output = adl_malloc(count, sizeof *input);
    out->grad_input = adl_malloc(count, sizeof *input);
    out->attention = adl_malloc(pixels, sizeof *input);
    train_step_to_nchw(train_step_result(&step), f->batch, f->shape, out->output);
    train_step_to_nchw(train_step_grad_input(&step), f->batch, f->shape, out->grad_input);
    memcpy(out->attention, adl_tape_saved(step.tape, ADL_NODE), pixels * sizeof *input);
    adl_free(input);
    adl_free(cotangent);
    train_step_close(&step);
    return 0;
}

/* Compares with golden values: a plain array, or an object with a tolerance of its own. */
static void check(const char *layer, const char *key, const json_t *record, const float *got)
{
    char what[128];
    double most = 1;
    size_t count;
    double *want =
        golden_doubles(json_is_array(record) ? record : golden_get(record, "f64"), &count);
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs(want[i]));
    snprintf(what, sizeof what, "%s %s", layer, key);
    test_close(what, got, want, count,
               json_is_array(record) ? 1e-6 * most : golden_double(record, "tol"));
    adl_free(want);
}

/* The output has to be 0 where the mask drops, and the unchanged input elsewhere. */
static void check_dropped(const struct forced *f, const json_t *mask_json, const float *output)
{
    size_t pixels, plane = (size_t)f->shape.h * (size_t)f->shape.w, c = (size_t)f->shape.c;
    double *mask = golden_doubles(mask_json, &pixels);
    size_t wrong = 0;
    for (size_t i = 0; i < pixels * c; i++) {
        bool kept = mask[i / (c * plane) * plane + i % plane] > 0;
        wrong += output[i] != (kept ? f->input[i] : 0);
    }
    if (wrong)
        TEST_FAIL("%s: %zu values do not follow from input and mask", f->name, wrong);
    adl_free(mask);
}

static struct adl_shape read_shape(const json_t *json, int *batch)
{
    size_t count;
    int *s = golden_ints(json, &count);
    struct adl_shape shape = {s[2], s[3], s[1]};
    *batch = s[0];
    adl_free(s);
    return shape;
}

/* Runs a layer and compares it with the golden values of its attention, output, input
 * gradient and, where it drops, mask. */
static void check_forced(const struct forced *f, const json_t *attention, const json_t *output,
                         const json_t *grad_input, const json_t *mask)
{
    struct outcome out = {0};
    if (run_forced(f, &out) == 0) {
        check(f->name, "attention", attention, out.attention);
        check(f->name, "output", output, out.output);
        check(f->name, "gradient of the input", grad_input, out.grad_input);
        if (f->draw == ADL_DRAW_DROP)
            check_dropped(f, mask, out.output);
    }
    outcome_release(&out);
}

static void equals_the_reference_layer(void)
{
    json_t *golden = golden_load("adl/adl_layer.json"), *item;
    size_t i;
    json_array_foreach(golden_get(golden, "cases"), i, item)
    {
        size_t count;
        bool drop = strcmp(golden_string(item, "outcome"), "drop_mask") == 0;
        struct forced f = {.name = golden_string(item, "name"),
                           .draw = drop ? ADL_DRAW_DROP : ADL_DRAW_IMPORTANCE,
                           .threshold = golden_double(item, "threshold")};
        f.shape = read_shape(golden_get(item, "shape"), &f.batch);
        float *input = golden_floats(golden_get(item, "input"), &count);
        /* Evenly spaced from -1 to 1, torch.linspace. */
        float *cotangent = adl_malloc(count, sizeof *cotangent);
        for (size_t j = 0; j < count; j++)
            cotangent[j] = count > 1 ? (float)(-1 + 2 * (double)j / (double)(count - 1)) : -1;
        f.input = input;
        f.cotangent = cotangent;
        check_forced(&f, golden_get(item, "attention"), golden_get(item, "output"),
                     golden_get(item, "grad_input"), json_object_get(item, "drop_mask"));
        adl_free(input);
        adl_free(cotangent);
    }
    json_decref(golden);
}

static void equals_autograd(void)
{
    json_t *golden = golden_load("methods/adl.json"), *item;
    size_t i;
    json_array_foreach(golden_get(golden, "cases"), i, item)
    {
        if (!json_object_get(item, "gamma"))
            continue; /* rows of the draw's rule, tested below */
        bool drop = strcmp(golden_string(item, "outcome"), "drop") == 0;
        const json_t *in = golden_get(golden_get(item, "inputs"), "input");
        const json_t *g = golden_get(golden_get(item, "inputs"), "cotangent");
        const json_t *results = golden_get(item, "results");
        struct forced f = {.name = golden_string(item, "case"),
                           .draw = drop ? ADL_DRAW_DROP : ADL_DRAW_IMPORTANCE,
                           .threshold = golden_double(item, "gamma")};
        f.shape = read_shape(golden_get(in, "shape"), &f.batch);
        size_t count = (size_t)f.batch * adl_shape_count(f.shape);
        float *input = adl_malloc(count, sizeof *input);
        formula_image(golden_string(in, "name"), f.batch, f.shape.c, f.shape.h, f.shape.w, input);
        for (size_t j = 0; json_object_get(in, "then") && j < count; j++)
            input[j] = fmaxf(input[j], 0);
        float *cotangent = noise(golden_string(g, "name"), count);
        f.input = input;
        f.cotangent = cotangent;
        check_forced(&f, golden_get(results, "attention"), golden_get(results, "output"),
                     golden_get(results, "grad.input"),
                     json_object_get(json_object_get(results, "drop_mask"), "f64"));
        adl_free(input);
        adl_free(cotangent);
    }
    json_decref(golden);
}

/* --- the draw --------------------------------------------------------------------------- */

/* Two pixels of one channel with the values 1 and 4. A drop mask at threshold 0.5 turns
 * them into 1 and 0, the importance map leaves both positive. */
static const struct adl_shape two_pixels = {1, 2, 1};

/* Runs a batch of such images; dropped[i]: image i got the drop mask. */
static void draw_once(struct train_step *step, const struct adl_train_mode *mode, bool *dropped)
{
    float input[16], cotangent[16] = {0};
    for (int i = 0; i < 2 * step->batch; i++)
        input[i] = i % 2 ? 4 : 1;
    train_step_run(step, input, cotangent, mode);
    for (int i = 0; i < step->batch; i++)
        dropped[i] = train_step_result(step)[2 * i + 1] == 0;
}

/* A key for which the layer's uniform number lies in draw .. draw + width. */
static uint64_t find_key(const struct train_step *step, double draw, double width)
{
    struct adl_train_mode mode = {0};
    struct adl_train_call call = {.node = adl_graph_node(step->graph, ADL_NODE), .mode = &mode};
    for (mode.key = 0; mode.key < 1000000; mode.key++) {
        double u = adl_train_uniform(&call, 0);
        if (u >= draw && u < draw + width)
            return mode.key;
    }
    TEST_FAIL("found no key that draws %g", draw);
    return 0;
}

static void check_choice(struct train_step *step, double rate, double draw, bool want)
{
    struct adl_train_mode mode = {.method_layers = true,
                                  .method_values = test_adl_values(ADL_DRAW_RANDOM, rate, 0.5)};
    bool dropped;
    mode.key = find_key(step, draw, 5e-4);
    draw_once(step, &mode, &dropped);
    if (dropped != want)
        TEST_FAIL("drop rate %g, draw %g: the drop mask was %staken", rate, draw,
                  dropped ? "" : "not ");
    else
        CU_PASS("");
}

static void takes_the_mask_as_the_reference(void)
{
    struct train_step step;
    json_t *layer = golden_load("adl/adl_layer.json"), *methods = golden_load("methods/adl.json");
    json_t *item, *rows = NULL, *row;
    size_t i;
    if (!layer || !methods || open_layer(&step, 1, two_pixels, 1) < 0)
        return;
    json_array_foreach(golden_get(layer, "choice_cases"), i, item)
        check_choice(&step, golden_double(item, "drop_rate"), golden_double(item, "draw"),
                     json_is_true(golden_get(item, "drop_mask_taken")));
    json_array_foreach(golden_get(methods, "cases"), i, item) rows =
        json_object_get(item, "rows") ? json_object_get(item, "rows") : rows;
    json_array_foreach(rows, i, row)
    {
        size_t count;
        double *v = golden_doubles(row, &count);
        check_choice(&step, v[0], v[1], v[2] > 0);
        adl_free(v);
    }
    CU_ASSERT(i > 20);
    train_step_close(&step);
    json_decref(layer);
    json_decref(methods);
}

static void drops_at_the_given_rate(void)
{
    enum { KEYS = 20000 };
    struct train_step step;
    static const double rates[] = {0, 0.1, 0.5, 0.75, 1};
    if (open_layer(&step, 1, two_pixels, 1) < 0)
        return;
    for (size_t r = 0; r < ADL_COUNT(rates); r++) {
        struct adl_train_mode mode = {.method_layers = true,
                                      .method_values =
                                          test_adl_values(ADL_DRAW_RANDOM, rates[r], 0.5)};
        double drops = 0;
        for (mode.key = 0; mode.key < KEYS; mode.key++) {
            bool dropped;
            draw_once(&step, &mode, &dropped);
            drops += dropped;
        }
        /* Five standard deviations of the share; exact at rates 0 and 1. */
        double room = 5 * sqrt(rates[r] * (1 - rates[r]) / KEYS);
        CU_ASSERT_DOUBLE_EQUAL(drops / KEYS, rates[r], room);
    }
    train_step_close(&step);
}

static void draws_once_for_the_batch(void)
{
    struct train_step step;
    struct adl_train_mode mode = {.method_layers = true,
                                  .method_values = test_adl_values(ADL_DRAW_RANDOM, 0.5, 0.5)};
    int mixed = 0, drops = 0;
    if (open_layer(&step, 8, two_pixels, 1) < 0)
        return;
    for (mode.key = 0; mode.key < 64; mode.key++) {
        bool dropped[8];
        draw_once(&step, &mode, dropped);
        for (int i = 1; i < 8; i++)
            mixed += dropped[i] != dropped[0];
        drops += dropped[0];
    }
    CU_ASSERT_EQUAL(mixed, 0);
    CU_ASSERT(drops > 8 && drops < 56);
    train_step_close(&step);
}

/* Image i has draw i, whatever the size of the batch and the number of threads. */
static void draws_of_images_stand_alone(void)
{
    bool first[64][8];
    for (int threads = 1; threads <= 3; threads++)
        for (int batch = 8; batch >= 1; batch -= 3) {
            struct train_step step;
            struct adl_train_mode mode = {
                .method_layers = true,
                .method_values = test_method_values("adl-drop-rate", 0.5, "adl-threshold", 0.5,
                                                    "adl-per-image", 1.0, NULL)};
            int drops = 0, equal_neighbours = 0;
            if (open_layer(&step, batch, two_pixels, threads) < 0)
                return;
            for (mode.key = 0; mode.key < 64; mode.key++) {
                bool dropped[8];
                draw_once(&step, &mode, dropped);
                if (threads == 1 && batch == 8)
                    memcpy(first[mode.key], dropped, sizeof dropped);
                CU_ASSERT(memcmp(first[mode.key], dropped, (size_t)batch) == 0);
                for (int i = 0; i < batch; i++) {
                    drops += dropped[i];
                    equal_neighbours += i > 0 && dropped[i] == dropped[i - 1];
                }
            }
            CU_ASSERT(batch < 8 || (drops > 200 && drops < 312));
            CU_ASSERT(batch < 8 || (equal_neighbours > 170 && equal_neighbours < 278));
            train_step_close(&step);
        }
}

/* Two layers of one network draw independently. */
static void layers_draw_independently(void)
{
    struct train_step step;
    struct adl_graph *g = train_step_begin(1, 2, 1);
    struct adl_train_mode mode = {.method_layers = true,
                                  .method_values = test_adl_values(ADL_DRAW_RANDOM, 0.5, 0.5)};
    int a = test_adl_layer(g, TRAIN_STEP_INPUT, "a"), b = test_adl_layer(g, TRAIN_STEP_INPUT, "b");
    float input[2] = {1, 4}, cotangent[4] = {0};
    int differ = 0;
    if (train_step_open(&step, g, adl_concat(g, (int[]){a, b}, 2, "both"), 1, 1) < 0)
        return;
    for (mode.key = 0; mode.key < 64; mode.key++) {
        train_step_run(&step, input, cotangent, &mode);
        differ += (train_step_result(&step)[2] == 0) != (train_step_result(&step)[3] == 0);
    }
    CU_ASSERT(differ > 12 && differ < 52);
    train_step_close(&step);
}

/* --- the variants ------------------------------------------------------------------------ */

static void is_the_identity(const struct adl_train_mode *mode, int threads)
{
    struct train_step step;
    if (open_layer(&step, 3, (struct adl_shape){5, 3, 4}, threads) < 0)
        return;
    size_t count = train_step_count(&step, 0);
    float *input = noise("input", count), *cotangent = noise("cotangent", count);
    train_step_run(&step, input, cotangent, mode);
    CU_ASSERT(memcmp(train_step_result(&step), input, count * sizeof *input) == 0);
    CU_ASSERT(memcmp(train_step_grad_input(&step), cotangent, count * sizeof *input) == 0);
    adl_free(input);
    adl_free(cotangent);
    train_step_close(&step);
}

static void switched_off_is_the_identity(void)
{
    is_the_identity(
        &(struct adl_train_mode){.method_values = test_adl_values(ADL_DRAW_DROP, 0.75, 0.9)}, 1);
    is_the_identity(
        &(struct adl_train_mode){.method_values = test_adl_values(ADL_DRAW_IMPORTANCE, 0.75, 0.9)},
        2);
}

static void ablation_replaces_the_importance_map(void)
{
    is_the_identity(
        &(struct adl_train_mode){.method_layers = true,
                                 .method_values = test_method_values(
                                     "adl-draw", (double)ADL_DRAW_IMPORTANCE, "adl-threshold", 0.8,
                                     "adl-no-importance", 1.0, NULL)},
        1);
    /* The drop mask is not affected. */
    struct train_step step;
    struct adl_train_mode mode = {
        .method_layers = true,
        .method_values = test_method_values("adl-draw", (double)ADL_DRAW_DROP, "adl-threshold", 0.5,
                                            "adl-no-importance", 1.0, NULL)};
    bool dropped;
    if (open_layer(&step, 1, two_pixels, 1) < 0)
        return;
    draw_once(&step, &mode, &dropped);
    CU_ASSERT(dropped);
    train_step_close(&step);
}

TEST_SUITE(adl, {"equals the reference's layer", equals_the_reference_layer},
           {"equals PyTorch's autograd", equals_autograd},
           {"takes the drop mask when the reference does", takes_the_mask_as_the_reference},
           {"drops at the given rate", drops_at_the_given_rate},
           {"draws once for the batch", draws_once_for_the_batch},
           {"draws for images depend on nothing else", draws_of_images_stand_alone},
           {"layers draw independently", layers_draw_independently},
           {"switched off is the identity", switched_off_is_the_identity},
           {"ablation replaces the importance map", ablation_replaces_the_importance_map});
