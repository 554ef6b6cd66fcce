/* Implements `forward`, which runs tensors through a network, without image code, to compare the
 * engine with another framework. Files contain NCHW tensors, the layout of PyTorch, and the engine
 * uses NHWC; this file transposes. */

#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/pool.h"
#include "base/size.h"
#include "plan/session.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/tensors_in.h"
#include "server/options/arch_options.h"
#include "wsol/cam.h"
#include "wsol/session_cam.h"

/* Images per batch at most; larger batches take more memory and are not faster. */
#define CHUNK_IMAGES 16
#define CHUNK_BYTES (256 * ADL_MIB)

struct settings {
    const char *model, *input, *output, *class_text, *key;
    int threads, precision;
    struct adl_arch_settings arch;
};

/* One run over all images. */
struct forward {
    struct adl_input_tensor in;
    size_t classes;
    struct adl_shape map;                   /* of the features */
    float *logits;                          /* images x classes */
    float *features;                        /* images x K x h x w */
    float *cam;                             /* images x h x w */
    const struct adl_foreground_head *head; /* NULL: the model has none */
    int head_h, head_w;                     /* its grid */
    float *foreground;                      /* images x head_h x head_w */
    double *scratch;                        /* for one image; NULL without a head */
    int class_id;                           /* -1: each image's top-1 */
};

static void to_nchw(const float *nhwc, struct adl_shape shape, float *nchw)
{
    size_t pixels = (size_t)shape.h * (size_t)shape.w, channels = (size_t)shape.c;
    for (size_t c = 0; c < channels; c++)
        for (size_t p = 0; p < pixels; p++)
            nchw[c * pixels + p] = nhwc[p * channels + c];
}

static void compute_foreground(const struct forward *f, const struct adl_session *session,
                               int index, float *foreground)
{
    struct adl_foreground_map last, maps[ADL_LIMIT_HEAD_LAYERS];
    size_t cells = (size_t)f->head_h * (size_t)f->head_w;

    adl_session_foreground(session, index, f->head, &last, maps);
    adl_foreground_probability(f->head, &last, maps, f->scratch + cells, f->scratch);
    for (size_t i = 0; i < cells; i++)
        foreground[i] = (float)f->scratch[i];
}

/* Adds the tensor of the head's map. */
static int add_foreground(struct forward *f, const struct adl_session *session,
                          struct adl_tensors *set, struct adl_error *err)
{
    if (!f->head)
        return 0;
    adl_session_foreground_grid(session, f->head, &f->head_h, &f->head_w);
    size_t h = (size_t)f->head_h, w = (size_t)f->head_w;
    struct adl_tensor *foreground =
        adl_tensors_add(set, "foreground", ADL_F32, 3, (size_t[]){f->in.images, h, w}, err);
    if (!foreground)
        return -1;
    f->foreground = foreground->data;
    f->scratch = adl_malloc(2 * h * w, sizeof *f->scratch);
    return f->scratch ? 0 : adl_fail_nomem(err, "the map of the few-box head");
}

static void run_chunk(const struct forward *f, struct adl_session *session, size_t first, int count)
{
    size_t map_pixels = (size_t)f->map.h * (size_t)f->map.w;

    for (int i = 0; i < count; i++) {
        adl_input_tensor_to_nhwc(&f->in, first + (size_t)i, 1, adl_session_input(session, i));
        adl_session_ask(session, i, f->class_id);
    }
    adl_session_run(session, count);
    for (int i = 0; i < count; i++) {
        size_t image = first + (size_t)i, top = 0;
        const float *logits = adl_session_output(session, ADL_OUTPUT_LOGITS, i);
        memcpy(f->logits + image * f->classes, logits, f->classes * sizeof *logits);
        to_nchw(adl_session_output(session, ADL_OUTPUT_FEATURES, i), f->map,
                f->features + image * adl_shape_count(f->map));
        if (f->class_id < 0)
            adl_top_k(logits, f->classes, 1, &top);
        adl_session_cam(session, i, f->class_id < 0 ? (int)top : f->class_id,
                        &(struct adl_map_rule){0}, f->cam + image * map_pixels);
        if (f->head)
            compute_foreground(f, session, i,
                               f->foreground + image * (size_t)f->head_h * (size_t)f->head_w);
    }
}

static int add_outputs(struct forward *f, struct adl_tensors *set, struct adl_error *err)
{
    size_t h = (size_t)f->map.h, w = (size_t)f->map.w;
    struct adl_tensor *logits =
        adl_tensors_add(set, "logits", ADL_F32, 2, (size_t[]){f->in.images, f->classes}, err);
    struct adl_tensor *features = adl_tensors_add(
        set, "features", ADL_F32, 4, (size_t[]){f->in.images, (size_t)f->map.c, h, w}, err);
    struct adl_tensor *cam =
        adl_tensors_add(set, "cam", ADL_F32, 3, (size_t[]){f->in.images, h, w}, err);

    if (!logits || !features || !cam)
        return -1;
    f->logits = logits->data;
    f->features = features->data;
    f->cam = cam->data;
    return 0;
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    struct adl_model_options load = {.key = s->key};
    struct forward f = {.class_id = -1};
    struct adl_model *model = NULL;
    struct adl_tensors *out = NULL;
    struct adl_plan *plan = NULL;
    struct adl_pool *pool = NULL;
    struct adl_session *session = NULL;
    int result = -1;

    (void)options;
    model = adl_arch_load_model(s->model, &s->arch, &load, err);
    if (!model)
        goto out;
    if (s->class_text) {
        f.class_id = adl_model_find_class(model, s->class_text);
        if (f.class_id < 0) {
            adl_fail(err, ADL_ERR_NOT_FOUND, "%s: has no class \"%s\" among its %zu", s->model,
                     ADL_SHORT(s->class_text), model->class_count);
            goto out;
        }
    }
    ADL_TRY(adl_model_choose_precision(model, s->precision, s->model, err));
    ADL_TRY(adl_input_tensor_read(&f.in, s->input, err));

    struct adl_plan_options plan_options = {.input_h = f.in.shape.h, .input_w = f.in.shape.w};
    plan = adl_model_into_plan(model, &plan_options, err);
    if (!plan)
        goto out;
    f.head = model->foreground;
    f.map = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    f.classes = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS));
    out = adl_tensors_create(err);
    if (!out)
        goto out;
    ADL_TRY(add_outputs(&f, out, err));

    pool = adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    if (!pool)
        goto out;
    size_t chunk = ADL_MIN(ADL_MAX(CHUNK_BYTES / (adl_plan_arena_bytes(plan) + 1), (size_t)1),
                           (size_t)CHUNK_IMAGES);
    chunk = ADL_MIN(chunk, f.in.images);
    session = adl_session_create(plan, pool, (int)chunk, err);
    if (!session)
        goto out;
    ADL_TRY(add_foreground(&f, session, out, err));
    for (size_t first = 0; first < f.in.images; first += chunk)
        run_chunk(&f, session, first, (int)ADL_MIN(chunk, f.in.images - first));
    result = adl_safetensors_write(s->output, out, err);
out:
    adl_free(f.scratch);
    adl_session_free(session);
    adl_pool_free(pool);
    adl_plan_unref(plan);
    adl_tensors_free(out);
    adl_input_tensor_release(&f.in);
    adl_model_free(model);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings, .required = true, .help = "model file or weights"),
    ADL_OPTION_INPUT(struct settings,
                     .help =
                         "safetensors with \"input\" [N,3,H,W], already normalised; - is stdin"),
    ADL_OPTION_OUTPUT(struct settings, .help = "where to write the outputs; - is stdout"),
    {"class", ADL_STRING(struct settings, class_text), .metavar = "K",
     .default_note = "each image's top-1",
     .help = "class of the activation map, given by id or label"},
    ADL_OPTION_KEY(struct settings),
    ADL_OPTION_PRECISION(struct settings),
    ADL_OPTION_THREADS(struct settings, .help = "number of threads; results do not depend on it"),
    ADL_ARCH_OPTIONS(struct settings, arch),
    {0},
};

const struct adl_command adl_command_forward = {
    .name = "forward",
    .summary = "Run tensors through a network and write logits, features and maps",
    .usage = "--model FILE --input IN.safetensors --output OUT.safetensors [options]",
    .description =
        "Reads \"input\", F32 [N,3,H,W]. Writes \"logits\" [N,C]; \"features\" [N,K,h,w], the last "
        "map before pooling; and \"cam\" [N,h,w], the sum over k of w[class,k] * features[k], "
        "neither averaged nor normalised. If the model has a few-box head, also \"foreground\" "
        "[N,h,w], its probability of an object at each position, with the sides of the largest "
        "map that it reads. In networks that end in a class "
        "map, \"features\" is its "
        "input and \"cam\" is the channel of the class. H and W may be any size that the network "
        "accepts.",
    .examples = "  adl-server forward --model m.safetensors --input in.safetensors \\\n"
                "      --output out.safetensors\n",
    .options = table,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
