/* train/checkpoint: a training state survives a round trip through a file bit by bit; a
 * damaged file is refused and changes nothing. */

#include "support/test.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/hostile.h"
#include "train/checkpoint.h"

#define TEXT "{\"epoch\": 3, \"note\": \"\\u00e9 \\\\ \\n\"}"

/* A network with batch norm, so that some parameters have no velocity. */
static struct adl_graph *make_graph(int classes)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){1, 1, 2}, &err);
    int x = adl_linear(g, adl_batchnorm(g, 0, "bn", 1e-5), "fc", classes, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, x);
    TEST_OK(adl_graph_finish(g, &err), &err);
    return g;
}

/* An optimizer whose parameters and velocities are number streams derived from `name`,
 * with some values that text would lose. */
static struct adl_optimizer *make_optimizer(const struct adl_graph *g, const char *name)
{
    struct adl_error err = {0};
    int count = adl_graph_param_count(g);
    float *start[16];
    for (int i = 0; i < count; i++) {
        char stream[64];
        const struct adl_param *p = adl_graph_param(g, i);
        snprintf(stream, sizeof stream, "%s.%s", name, p->name);
        start[i] = adl_malloc(p->count, sizeof **start);
        formula_param(stream, 0, 1, p->count, start[i]);
    }
    start[0][0] = -0.0f;
    start[1][0] = 1e-42f;
    struct adl_optimizer *o = adl_optimizer_create(g, (const float *const *)start, &err);
    CU_ASSERT_FATAL(o != NULL);
    for (int i = 0; i < count; i++) {
        if (adl_optimizer_velocities(o)[i])
            formula_param(name, 0, 3, adl_graph_param(g, i)->count, adl_optimizer_velocities(o)[i]);
        adl_free(start[i]);
    }
    return o;
}

static bool same(const struct adl_graph *g, const struct adl_optimizer *a,
                 const struct adl_optimizer *b)
{
    for (int i = 0; i < adl_graph_param_count(g); i++) {
        size_t bytes = adl_graph_param(g, i)->count * sizeof(float);
        const float *va = adl_optimizer_velocities(a)[i], *vb = adl_optimizer_velocities(b)[i];
        if (memcmp(adl_optimizer_params(a)[i], adl_optimizer_params(b)[i], bytes) != 0 ||
            (va && memcmp(va, vb, bytes) != 0))
            return false;
    }
    return true;
}

static const char *path_of(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), name);
    return path;
}

static void round_trip_keeps_every_bit(void)
{
    struct adl_error err = {0};
    char *text = NULL;
    struct adl_graph *g = make_graph(3);
    struct adl_optimizer *a = make_optimizer(g, "a"), *b = make_optimizer(g, "b");
    CU_ASSERT(!same(g, a, b));
    TEST_OK(adl_checkpoint_save(path_of("state"), g, a, TEXT, &err), &err);
    TEST_OK(adl_checkpoint_load(path_of("state"), g, b, &text, &err), &err);
    CU_ASSERT(same(g, a, b));
    CU_ASSERT(text && strcmp(text, TEXT) == 0);
    adl_free(text);
    adl_optimizer_free(a);
    adl_optimizer_free(b);
    adl_graph_free(g);
}

/* Averages and squares are part of the state, and have to be wanted by both sides. */
static void averages_are_kept_too(void)
{
    struct adl_error err = {0};
    char *text = NULL;
    struct adl_graph *g = make_graph(3);
    struct adl_optimizer *a = make_optimizer(g, "a"), *b = make_optimizer(g, "b");
    struct adl_optimizer *without = make_optimizer(g, "b");
    TEST_OK(adl_optimizer_keep_averages(a, &err), &err);
    TEST_OK(adl_optimizer_keep_averages(b, &err), &err);
    TEST_OK(adl_optimizer_keep_squares(a, &err), &err);
    TEST_OK(adl_optimizer_keep_squares(b, &err), &err);
    for (int i = 0; i < adl_graph_param_count(g); i++) {
        size_t count = adl_graph_param(g, i)->count;
        formula_param("average", 0, 2, count, adl_optimizer_averages(a)[i]);
        if (adl_optimizer_squares(a)[i])
            formula_param("square", 3, 2, count, adl_optimizer_squares(a)[i]);
    }
    TEST_OK(adl_checkpoint_save(path_of("averages"), g, a, TEXT, &err), &err);
    CU_ASSERT(adl_checkpoint_load(path_of("averages"), g, without, &text, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    err = (struct adl_error){0};
    TEST_OK(adl_checkpoint_load(path_of("averages"), g, b, &text, &err), &err);
    CU_ASSERT(same(g, a, b));
    for (int i = 0; i < adl_graph_param_count(g); i++) {
        size_t bytes = adl_graph_param(g, i)->count * sizeof(float);
        const float *square = adl_optimizer_squares(a)[i];
        CU_ASSERT(!memcmp(adl_optimizer_averages(a)[i], adl_optimizer_averages(b)[i], bytes));
        CU_ASSERT(!square || !memcmp(square, adl_optimizer_squares(b)[i], bytes));
    }
    TEST_OK(adl_checkpoint_save(path_of("averages"), g, without, TEXT, &err), &err);
    adl_free(text);
    text = NULL;
    CU_ASSERT(adl_checkpoint_load(path_of("averages"), g, b, &text, &err) < 0);
    CU_ASSERT(strstr(err.message, "average.") != NULL);
    adl_optimizer_averages(b)[0][0] = NAN;
    CU_ASSERT(!adl_checkpoint_is_finite(g, b, NULL));
    adl_optimizer_free(without);
    adl_optimizer_free(a);
    adl_optimizer_free(b);
    adl_graph_free(g);
}

/* Nothing can be resumed from a value that is not finite, so the old file stays. */
static void values_that_are_not_finite_are_not_saved(void)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    struct adl_graph *g = make_graph(3);
    struct adl_optimizer *good = make_optimizer(g, "a"), *b = make_optimizer(g, "b");
    struct adl_error err = {0};
    char *text = NULL;
    TEST_OK(adl_checkpoint_save(path_of("finite"), g, good, TEXT, &err), &err);
    for (int i = 0; i < 2 * adl_graph_param_count(g); i++) {
        int id = i / 2;
        size_t last = adl_graph_param(g, id)->count - 1;
        float *values = i % 2 ? adl_optimizer_velocities(b)[id] : adl_optimizer_params(b)[id];
        for (size_t k = 0; values && k < ADL_COUNT(bad); k++) {
            float kept = values[last];
            const char *name = NULL;
            err = (struct adl_error){0};
            CU_ASSERT(adl_checkpoint_is_finite(g, b, NULL));
            values[last] = bad[k];
            CU_ASSERT(!adl_checkpoint_is_finite(g, b, &name));
            CU_ASSERT(name && strcmp(name, adl_graph_param(g, id)->name) == 0);
            CU_ASSERT(adl_checkpoint_save(path_of("finite"), g, b, TEXT, &err) < 0);
            CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
            values[last] = kept;
        }
    }
    err = (struct adl_error){0};
    TEST_OK(adl_checkpoint_load(path_of("finite"), g, b, &text, &err), &err);
    CU_ASSERT(same(g, good, b));
    adl_free(text);
    adl_optimizer_free(good);
    adl_optimizer_free(b);
    adl_graph_free(g);
}

/* --- refusals -------------------------------------------------------------------------- */

/* The optimizer that is loaded into, and the state that it must still have after a
 * refusal. */
static struct adl_graph *graph;
static struct adl_optimizer *target, *untouched;

static void open_target(void)
{
    graph = make_graph(3);
    target = make_optimizer(graph, "b");
    untouched = make_optimizer(graph, "b");
}

static void close_target(void)
{
    adl_optimizer_free(target);
    adl_optimizer_free(untouched);
    adl_graph_free(graph);
}

static void restore_target(void)
{
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        size_t bytes = adl_graph_param(graph, i)->count * sizeof(float);
        memcpy(adl_optimizer_params(target)[i], adl_optimizer_params(untouched)[i], bytes);
        if (adl_optimizer_velocities(target)[i])
            memcpy(adl_optimizer_velocities(target)[i], adl_optimizer_velocities(untouched)[i],
                   bytes);
    }
}

static int load_bytes(const void *bytes, size_t length, struct adl_error *err)
{
    char *text = NULL;
    /* The file is overwritten in place; replacing it would cost a flush each time on some file
     * systems. */
    int file = open(path_of("hostile"), O_CREAT | O_WRONLY, 0666);
    CU_ASSERT_FATAL(file >= 0 && pwrite(file, bytes, length, 0) == (ssize_t)length);
    CU_ASSERT_FATAL(ftruncate(file, (off_t)length) == 0 && close(file) == 0);
    if (adl_checkpoint_load(path_of("hostile"), graph, target, &text, err) < 0) {
        if (!same(graph, target, untouched) || text)
            TEST_FAIL("a refused state of %zu bytes changed the optimizer", length);
        return -1;
    }
    adl_free(text);
    restore_target();
    return 0;
}

static char *saved_bytes(size_t *length)
{
    struct adl_error err = {0};
    struct adl_optimizer *a = make_optimizer(graph, "a");
    TEST_OK(adl_checkpoint_save(path_of("state"), graph, a, TEXT, &err), &err);
    adl_optimizer_free(a);
    char *bytes = adl_file_read(path_of("state"), 1 << 20, length, &err);
    CU_ASSERT_FATAL(bytes != NULL);
    return bytes;
}

static void damage_changes_nothing(void)
{
    size_t length;
    open_target();
    char *bytes = saved_bytes(&length);
    hostile_truncate(load_bytes, bytes, length);
    hostile_mutate(load_bytes, bytes, length);
    hostile_starve(load_bytes, bytes, length);
    adl_free(bytes);
    close_target();
}

/* Writes a good state but with one tensor missing, of another shape or added, or without
 * the text, and expects that it is refused. */
enum fault {
    LEFT_OUT,
    MISSHAPEN,
    OTHER_TYPE,
    OTHER_RANK,
    RENAMED,
    NOT_FINITE,
    ADDED,
    NO_TEXT,
    FAULTS
};

static struct adl_tensors *with_fault(const struct adl_tensors *good, size_t at, enum fault fault,
                                      struct adl_error *err)
{
    struct adl_tensors *out = adl_tensors_create(err);
    for (size_t i = 0; out && i < adl_tensors_count(good); i++) {
        const struct adl_tensor *t = adl_tensors_at(good, i);
        size_t shape[ADL_LIMIT_RANK] = {0};
        enum fault here = i == at ? fault : FAULTS;
        int rank = t->rank + (here == OTHER_RANK);
        memcpy(shape, t->shape, (size_t)t->rank * sizeof *shape);
        shape[t->rank] = 1;
        shape[0] += here == MISSHAPEN;
        if (here == LEFT_OUT)
            continue;
        struct adl_tensor *copy =
            adl_tensors_add(out, here == RENAMED ? "param.stranger" : t->name,
                            here == OTHER_TYPE ? ADL_F64 : t->dtype, rank, shape, err);
        CU_ASSERT_FATAL(copy != NULL);
        if (here != OTHER_TYPE)
            memcpy(copy->data, t->data, t->count * sizeof(float));
        if (here == NOT_FINITE)
            ((float *)copy->data)[t->count - 1] = NAN;
    }
    if (fault == ADDED)
        CU_ASSERT_FATAL(adl_tensors_add(out, "param.more", ADL_F32, 0, NULL, err) != NULL);
    if (fault != NO_TEXT)
        TEST_OK(adl_tensors_set_meta(out, "adl_state", TEXT, err), err);
    return out;
}

static void other_networks_are_refused(void)
{
    struct adl_error err = {0};
    size_t length;
    open_target();
    adl_free(saved_bytes(&length));
    struct adl_tensors *good = adl_safetensors_read(path_of("state"), &err);
    CU_ASSERT_FATAL(good != NULL);
    for (enum fault fault = LEFT_OUT; fault < FAULTS; fault++)
        for (size_t at = 0; at < adl_tensors_count(good); at++) {
            char *text = NULL;
            err = (struct adl_error){0};
            struct adl_tensors *bad = with_fault(good, at, fault, &err);
            TEST_OK(adl_safetensors_write(path_of("bad"), bad, &err), &err);
            adl_tensors_free(bad);
            CU_ASSERT(adl_checkpoint_load(path_of("bad"), graph, target, &text, &err) < 0);
            CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
            CU_ASSERT(strstr(err.message, "/bad: ") != NULL);
            CU_ASSERT(same(graph, target, untouched) && text == NULL);
        }
    adl_tensors_free(good);

    /* The file is good, but the graph that reads it is another. */
    struct adl_graph *larger = make_graph(4);
    struct adl_optimizer *o = make_optimizer(larger, "b");
    char *text = NULL;
    err = (struct adl_error){0};
    CU_ASSERT(adl_checkpoint_load(path_of("state"), larger, o, &text, &err) < 0);
    CU_ASSERT(strstr(err.message, "fc.weight") != NULL);
    err = (struct adl_error){0};
    CU_ASSERT(adl_checkpoint_load(path_of("nothing"), larger, o, &text, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOT_FOUND);
    adl_optimizer_free(o);
    adl_graph_free(larger);
    close_target();
}

/* A save that fails leaves the previous file as it was. */
static void failed_saves_keep_the_old_state(void)
{
    struct adl_error err = {0};
    size_t length, now;
    open_target();
    char *before = saved_bytes(&length);
    size_t blocks = adl_mem_stats().live_blocks;
    int saved = -1;
    for (uint64_t n = 1; saved < 0; n++) {
        err = (struct adl_error){0};
        adl_mem_fail_nth(n);
        saved = adl_checkpoint_save(path_of("state"), graph, target, "{}", &err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        if (saved == 0)
            break;
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
        err = (struct adl_error){0};
        char *after = adl_file_read(path_of("state"), 1 << 20, &now, &err);
        CU_ASSERT(after && now == length && memcmp(after, before, length) == 0);
        adl_free(after);
    }
    adl_free(before);
    err = (struct adl_error){0};
    CU_ASSERT(adl_checkpoint_save("/nonexistent/folder/state", graph, target, "{}", &err) < 0);
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND || err.kind == ADL_ERR_IO);
    close_target();
}

TEST_SUITE(checkpoint, {"a round trip keeps every bit", round_trip_keeps_every_bit},
           {"averages are kept too", averages_are_kept_too},
           {"values that are not finite are not saved", values_that_are_not_finite_are_not_saved},
           {"damage changes nothing", damage_changes_nothing},
           {"the state of another network is refused", other_networks_are_refused},
           {"a failed save keeps the old state", failed_saves_keep_the_old_state});
