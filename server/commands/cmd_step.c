/* Implements `step`, which takes training steps on a given batch of tensors, to compare loss,
 * gradients and updated parameters with another framework. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/plural.h"
#include "base/pool.h"
#include "methods/methods.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/tensors_in.h"
#include "server/options/arch_options.h"
#include "server/options/method_options.h"
#include "train/optimizer.h"
#include "train/tape.h"

struct settings {
    const char *model, *input, *output, *key;
    int steps, seed, threads;
    struct adl_arch_settings arch;
    struct adl_method_settings method;
};

/* Reads the tensor "labels": I64 [N], each a class of the model. */
static int read_labels(const char *path, const struct adl_tensors *set, size_t images, int classes,
                       int *labels, struct adl_error *err)
{
    const struct adl_tensor *tensor = adl_tensors_find(set, "labels");
    if (!tensor)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: has no tensor \"labels\"", path);
    if (tensor->dtype != ADL_I64 || tensor->rank != 1 || tensor->count != images)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"labels\" has to be I64 [%zu]", path, images);
    for (size_t i = 0; i < images; i++) {
        int64_t label = ((const int64_t *)tensor->data)[i];
        if (label < 0 || label >= classes)
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: label %lld of image %zu is not one of the %d class%s", path,
                            (long long)label, i, classes, ADL_ES(classes));
        labels[i] = (int)label;
    }
    return 0;
}

/* Reads the tensor "labels" of images that may have several classes: I64 or F32 [N,C], the target
 * of each class of each image. */
static int read_present(const char *path, const struct adl_tensor *tensor, size_t images,
                        int classes, float *present, struct adl_error *err)
{
    if (tensor->shape[0] != images || tensor->shape[1] != (size_t)classes ||
        (tensor->dtype != ADL_I64 && tensor->dtype != ADL_F32))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: \"labels\" has to be I64 [%zu], or I64 or F32 [%zu,%d] if images may "
                        "have several classes",
                        path, images, images, classes);
    for (size_t i = 0; i < tensor->count; i++) {
        double value = tensor->dtype == ADL_I64 ? (double)((const int64_t *)tensor->data)[i]
                                                : (double)((const float *)tensor->data)[i];
        if (!(value >= 0 && value <= 1))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: the target %g of image %zu is not from 0 to 1", path, value,
                            i / (size_t)classes);
        present[i] = (float)value;
    }
    return 0;
}

/* Returns the tensor of targets if images may have several classes; NULL: each has a label. */
static const struct adl_tensor *targets_of(const struct adl_tensors *set)
{
    const struct adl_tensor *tensor = adl_tensors_find(set, "labels");
    return tensor && tensor->rank == 2 ? tensor : NULL;
}

/* Adds a copy of each array as PREFIX.NAME; parameters without one (NULL), such as
 * the gradients of running statistics, are skipped. */
static int add_all(struct adl_tensors *out, const char *prefix, const struct adl_graph *graph,
                   float *const *arrays, struct adl_error *err)
{
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        char name[ADL_LIMIT_TENSOR_NAME_BYTES];
        if (!arrays[i])
            continue;
        snprintf(name, sizeof name, "%s.%s", prefix, param->name);
        struct adl_tensor *tensor =
            adl_tensors_add(out, name, ADL_F32, param->rank, param->shape, err);
        if (!tensor)
            return -1;
        memcpy(tensor->data, arrays[i], param->count * sizeof(float));
    }
    return 0;
}

struct run {
    const struct settings *settings;
    struct adl_model *model;
    struct adl_pool *pool;
    struct adl_tape *tape;
    struct adl_optimizer *optimizer;
    struct adl_tensors *out;
    struct adl_input_tensor input;
    int *labels;
    float *present;   /* N x C targets of images with several classes; NULL: each has a label */
    float *images;    /* N x H x W x 3 */
    size_t *partners; /* of the images, for a method that mixes them */
};

/* Reads the labels of the images, or their targets. */
static int read_truth(struct run *r, struct adl_error *err)
{
    const char *path = r->settings->input;
    const int classes = r->model->arch.num_classes;
    const struct adl_tensor *targets = targets_of(r->input.set);

    if (!targets)
        return read_labels(path, r->input.set, r->input.images, classes, r->labels, err);
    if (adl_method_set_check_labels(r->model->arch.methods, err) < 0)
        return -1;
    r->present = adl_malloc(r->input.images * (size_t)classes, sizeof *r->present);
    if (!r->present)
        return adl_fail_nomem(err, "the batch");
    return read_present(path, targets, r->input.images, classes, r->present, err);
}

static int prepare(struct run *r, struct adl_error *err)
{
    const struct settings *s = r->settings;
    struct adl_model_options load = {.key = s->key};
    struct adl_arch_settings arch = s->arch;

    /* Methods that take no part need no layers, so the names of the file are kept. */
    struct adl_method_set methods = adl_arch_settings_methods(&arch);
    if (adl_method_set_network(methods).bits &&
        !adl_method_takes_part(methods, s->method.values, INFINITY))
        arch.methods = -1;
    r->model = adl_arch_load_model(s->model, &arch, &load, err);
    if (!r->model || adl_input_tensor_read(&r->input, s->input, err) < 0)
        return -1;
    r->labels = adl_calloc(r->input.images, sizeof *r->labels);
    r->partners = adl_calloc(r->input.images, sizeof *r->partners);
    r->images = adl_malloc(r->input.images * adl_shape_count(r->input.shape), sizeof *r->images);
    if (!r->labels || !r->partners || !r->images)
        return adl_fail_nomem(err, "the batch");
    adl_input_tensor_to_nhwc(&r->input, 0, r->input.images, r->images);
    if (read_truth(r, err) < 0)
        return -1;
    r->pool = adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    if (!r->pool)
        return -1;
    r->tape = adl_tape_create(r->model->graph, r->input.shape.h, r->input.shape.w,
                              (int)r->input.images, adl_method_memory(&s->method), r->pool, err);
    r->optimizer = r->tape ? adl_optimizer_of(&s->method.optimizer, r->model, err) : NULL;
    r->out = r->optimizer ? adl_tensors_create(err) : NULL;
    return r->out ? 0 : -1;
}

/* Writes the batch to the network's input, as the methods change it. */
static void write_input(struct run *r, uint64_t key, struct adl_targets *targets)
{
    struct adl_method_batch batch = {.images = r->images,
                                     .input = adl_tape_input(r->tape),
                                     .count = r->input.images,
                                     .height = r->input.shape.h,
                                     .width = r->input.shape.w,
                                     .values = r->settings->method.values,
                                     .key = key,
                                     .partners = r->partners};
    adl_method_input(r->model->arch.methods, &batch);
    targets->partners = r->partners;
    targets->share = batch.share;
}

static int train(struct run *r, struct adl_error *err)
{
    const struct settings *s = r->settings;
    const struct adl_graph *graph = r->model->graph;
    struct adl_train_mode mode = adl_method_mode(&s->method, r->model->arch.methods);
    float *const *params = adl_optimizer_params(r->optimizer);
    size_t images = r->input.images;
    struct adl_targets targets = {
        .labels = r->labels, .present = r->present, .smoothing = s->method.label_smoothing};

    mode.labels = r->present ? NULL : r->labels;
    struct adl_tensor *loss =
        adl_tensors_add(r->out, "loss", ADL_F32, 1, (size_t[]){(size_t)s->steps}, err);
    if (!loss)
        return -1;
    float *losses = loss->data;
    for (int step = 0; step < s->steps; step++) {
        mode.key = (uint64_t)s->seed * 0x100000000u + (uint64_t)step;
        write_input(r, mode.key, &targets);
        adl_tape_forward(r->tape, (int)images, params, &mode);
        losses[step] =
            (float)adl_method_loss(r->model->arch.methods, r->tape, &targets, &mode, 1, NULL);
        adl_optimizer_zero_grads(r->optimizer);
        adl_tape_backward(r->tape, params, &mode, adl_optimizer_grads(r->optimizer));
        if (step == 0 && add_all(r->out, "grad", graph, adl_optimizer_grads(r->optimizer), err) < 0)
            return -1;
        adl_optimizer_take_step(&s->method.optimizer, r->optimizer, s->method.optimizer.lr,
                                r->pool);
    }
    if (add_all(r->out, "param", graph, params, err) < 0)
        return -1;
    return adl_safetensors_write(s->output, r->out, err);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    struct settings s = *(const struct settings *)settings;
    struct run r = {.settings = &s};
    struct adl_str remarks = {0};
    adl_optimizer_note_given(&s.method.optimizer, options);
    adl_optimizer_note_unused(&s.method.optimizer, options, "step", &remarks);
    fputs(remarks.data && !remarks.failed ? remarks.data : "", stderr);
    adl_str_release(&remarks);
    int result = prepare(&r, err);
    if (result == 0)
        result = train(&r, err);
    adl_tensors_free(r.out);
    adl_optimizer_free(r.optimizer);
    adl_tape_free(r.tape);
    adl_pool_free(r.pool);
    adl_free(r.images);
    adl_free(r.partners);
    adl_free(r.labels);
    adl_free(r.present);
    adl_input_tensor_release(&r.input);
    adl_model_free(r.model);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings, .required = true, .help = "weights to start from"),
    ADL_OPTION_INPUT(struct settings, .help = "safetensors with \"input\" [N,3,H,W], already "
                                              "normalised, and \"labels\" I64 [N], or [N,C] "
                                              "of images that may have several classes"),
    ADL_OPTION_OUTPUT(struct settings,
                      .help = "where to write losses, gradients and parameters; - is stdout"),
    {"steps", ADL_INT(struct settings, steps), .min = 1, .max = 1000000, .value = "1",
     .metavar = "N", .help = "number of steps, all on the same batch"},
    {"seed", ADL_INT(struct settings, seed), .min = 0, .max = 2147483647, .value = "0",
     .metavar = "N", .help = "seed of ADL and dropout"},
    ADL_OPTION_KEY(struct settings),
    ADL_OPTION_THREADS(struct settings, .help = "number of threads; results do not depend on it"),
    ADL_STEP_OPTIONS(struct settings, method),
    ADL_ARCH_OPTIONS(struct settings, arch),
    {0},
};

static const struct adl_option *options_table(void)
{
    static struct adl_method_table all;
    return adl_method_table_fill(&all, table, offsetof(struct settings, method));
}

const struct adl_command adl_command_step = {
    .name = "step",
    .summary = "Take training steps on given tensors, to compare with another framework",
    .usage = "--model FILE --input IN.safetensors --output OUT.safetensors [options]",
    .description =
        "Trains on one batch with cross-entropy, or with binary cross-entropy if \"labels\" is "
        "[N,C]. Writes \"loss\", F32 [steps], each value "
        "from before the step's update; \"grad.NAME\" of the first step, without weight decay; and "
        "\"param.NAME\" after the last step, including the running statistics of batch norm.",
    .examples = "  adl-server step --model m.safetensors --input batch.safetensors \\\n"
                "      --output out.safetensors --method adl --adl-draw drop --steps 3\n",
    .make_options = options_table,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
