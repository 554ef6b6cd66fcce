/* Implements `localize`, which finds classes and boxes in image files.
 *
 * Images are processed in groups. The images of a group are read and decoded in parallel, run
 * through the network as one batch, and localized in parallel; then the results are reported in
 * the order of the command line. Groups do not overlap: every thread is busy within a group, and
 * with one group at a time the memory is limited. */

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/pool.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "models/file/load.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/localize_outputs.h"
#include "server/commands/localize_video.h"
#include "server/options/map_options.h"
#include "server/tasks/default_model.h"
#include "server/tasks/directory.h"
#include "server/tasks/image_list.h"
#include "server/tasks/int8_model.h"
#include "server/tasks/progress.h"
#include "server/tasks/reply_json.h"
#include "server/tasks/video.h"

/* Images per thread in a group: enough that one slow image does not leave the
 * other threads idle for long. */
#define GROUP_PER_THREAD 4
#define GROUP_MAX 32

struct settings {
    const char *model, *class_text, *calibrate;
    struct adl_output_places out;
    int top_k;
    double label_threshold;
    struct adl_map_settings map;
    int boxes, threads, precision;
    const char *video;
    double fps, smooth;
};

/* One image of a group. */
struct item {
    const char *path;
    struct adl_predict_input input;
    struct adl_predictions predictions;
    struct adl_reply_timing timing;
    int slot; /* in the batch */
    void *overlay;
    size_t overlay_bytes;
    struct adl_grey_masks masks;
    struct adl_error err; /* why it could not be localized */
};

struct run {
    const struct settings *settings;
    const char *model_path;
    char shipped[ADL_DEFAULT_MODEL_PATH]; /* path of the model that ships, if it is used */
    struct adl_model *model;
    char model_name[64];
    struct adl_predict_query query;
    struct adl_pool *pool;
    struct adl_views *views;
    struct adl_view_run batch; /* how a group is run */
    int view;                  /* that runs now */
    struct adl_image_list images;
    struct adl_localize_outputs out;
    struct item *items; /* group_size of them */
    size_t group_size;
    size_t failed;
    size_t bad_operands; /* operands that match nothing or cannot be read */
    struct adl_progress progress;
};

/* --- the stages of a group ------------------------------------------------------- */

static void decode_item(void *context, size_t i, int worker)
{
    struct run *run = context;
    struct item *item = &run->items[i];
    const struct adl_predict_decode how = {.keep_image = run->settings->out.overlay};
    uint64_t start = adl_clock_ns();

    (void)worker;
    (void)!adl_predict_read(item->path, &how, &run->batch.sizes, &item->input, &item->err);
    item->timing.decode = adl_clock_ms(start, adl_clock_ns());
}

static void load_item(void *context, size_t i, int worker)
{
    struct run *run = context;
    struct item *item = &run->items[i];

    (void)worker;
    if (item->err.kind)
        return;
    adl_predict_load(run->model, &item->input, &run->batch, run->view, item->slot);
    adl_session_ask(run->batch.items[run->view].session, item->slot, run->query.class_id);
}

static int locate(const struct run *run, struct item *item)
{
    int width = item->input.info.width, height = item->input.info.height;

    if (adl_predict_collect(&run->batch, run->view, item->slot, &run->query, &item->predictions,
                            &item->err) < 0)
        return -1;
    if (run->view < run->batch.count - 1)
        return 0;
    if (adl_predict_locate(&item->predictions, &run->query, width, height, NULL, &item->err) < 0)
        return -1;
    if (run->settings->out.masks &&
        adl_grey_masks_make(&item->predictions, 0, width, height, &item->masks, &item->err) < 0)
        return -1;
    if (!run->settings->out.overlay)
        return 0;
    return adl_reply_overlay(&item->input.image, run->model, &item->predictions, 0, ADL_IMAGE_JPEG,
                             &item->overlay, &item->overlay_bytes, &item->err);
}

static void locate_item(void *context, size_t i, int worker)
{
    const struct run *run = context;
    struct item *item = &run->items[i];
    uint64_t start = adl_clock_ns();

    (void)worker;
    if (!item->err.kind && locate(run, item) < 0)
        adl_error_context(&item->err, "%s", item->path);
    item->timing.postprocess += adl_clock_ms(start, adl_clock_ns());
}

static void run_group(struct run *run, size_t count)
{
    double inference = 0;
    int batch = 0;

    adl_pool_for(run->pool, count, decode_item, run);
    for (size_t i = 0; i < count; i++)
        if (!run->items[i].err.kind)
            run->items[i].slot = batch++;
    if (!batch)
        return;
    for (run->view = 0; run->view < run->batch.count; run->view++) {
        adl_pool_for(run->pool, count, load_item, run);
        uint64_t start = adl_clock_ns();
        adl_session_run(run->batch.items[run->view].session, batch);
        inference += adl_clock_ms(start, adl_clock_ns()) / batch;
        adl_pool_for(run->pool, count, locate_item, run);
    }
    for (size_t i = 0; i < count; i++) {
        struct adl_reply_timing *t = &run->items[i].timing;
        t->inference = inference;
        t->total = t->decode + t->inference + t->postprocess;
    }
}

/* Writes the results of one image, or why there are none. */
static int report(struct run *run, const struct item *item, struct adl_error *err)
{
    const struct adl_localized image = {.path = item->path,
                                        .width = item->input.info.width,
                                        .height = item->input.info.height,
                                        .predictions = &item->predictions,
                                        .timing = &item->timing,
                                        .overlay = item->overlay,
                                        .overlay_bytes = item->overlay_bytes,
                                        .masks = &item->masks};

    /* Results and progress bar may share a terminal. */
    adl_progress_clear(&run->progress);
    if (!item->err.kind)
        return adl_localize_outputs_add(&run->out, &image, err);
    fprintf(stderr, "adl-server: localize: %s\n", item->err.message);
    run->failed++;
    return 0;
}

static void release_item(struct item *item)
{
    adl_predict_input_release(&item->input);
    adl_predictions_release(&item->predictions);
    adl_free(item->overlay);
    adl_grey_masks_release(&item->masks);
    *item = (struct item){0};
}

/* --- the run ------------------------------------------------------------------------ */

static int make_query(struct run *run, struct adl_error *err)
{
    const struct settings *s = run->settings;

    if (adl_views_prepare(run->views, &run->query.map, false, &run->batch, err) < 0)
        return -1;
    adl_predict_query_certainty(&run->query, run->model);
    if (!s->class_text)
        return 0;
    run->query.class_id = adl_model_find_class(run->model, s->class_text);
    if (run->query.class_id < 0)
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: has no class \"%s\" among its %zu",
                        run->model_path, ADL_SHORT(s->class_text), run->model->class_count);
    return 0;
}

static int open_model(struct run *run, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = run->settings;

    run->model_path = adl_model_or_default(s->model, run->shipped, err);
    if (!run->model_path)
        return -1;
    const char *slash = strrchr(run->model_path, '/');
    const char *name = slash ? slash + 1 : run->model_path;
    const char *dot = strrchr(name, '.');

    snprintf(run->model_name, sizeof run->model_name, "%.*s",
             (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name)), name);
    run->model = adl_model_load(run->model_path, NULL, err);
    if (!run->model ||
        adl_int8_choose_shown(run->model, s->precision, run->model_path, s->calibrate, err) < 0)
        return -1;
    run->query = (struct adl_predict_query){
        .class_id = -1,
        .top_k = (size_t)s->top_k,
        .label_threshold = adl_options_given(options, "label-threshold") ? s->label_threshold : -1,
        .map = run->model->map,
        .boxes = (enum adl_box_mode)s->boxes};
    if (adl_map_options_apply(&s->map, options, run->model->foreground, &run->query.map, err) < 0 ||
        adl_model_keep_layer(run->model, &run->query.map.views, err) < 0)
        return -1;
    int threads = s->threads ? s->threads : adl_pool_default_threads();
    run->group_size = ADL_MIN((size_t)threads * GROUP_PER_THREAD, (size_t)GROUP_MAX);
    if (!s->video)
        run->group_size = ADL_MIN(run->group_size, run->images.count);
    run->pool = adl_pool_create(threads, err);
    if (!run->pool)
        return -1;
    run->views = adl_model_into_views(run->model, run->pool, (int)run->group_size, err);
    run->items = adl_calloc(run->group_size, sizeof *run->items);
    if (run->views && !run->items)
        adl_fail_nomem(err, "a group of images");
    return err->kind ? -1 : 0;
}

/* Checks what does not go with a video: what is of several boxes, or of a data set of images. */
static int check_video(const struct settings *s, const struct adl_options *options,
                       struct adl_error *err)
{
    static const char *const of_images[] = {
        "masks", "coco",  "coco-annotations", "yolo",  "voc",    "label-studio",
        "csv",   "top-k", "label-threshold",  "boxes", "heatmap"};
    static const char *const of_video[] = {"fps", "smooth"};

    if (!s->video && options->operand_count == 0)
        return adl_fail(err, ADL_ERR_ARG, "too few arguments; usage: adl-server localize %s",
                        options->command->usage);
    if (s->video && options->operand_count > 0)
        return adl_fail(err, ADL_ERR_ARG, "--video takes no IMAGE as well");
    for (size_t i = 0; s->video && i < ADL_COUNT(of_images); i++)
        if (adl_options_given(options, of_images[i]))
            return adl_fail(err, ADL_ERR_ARG, "--%s is for images; omit it with --video",
                            of_images[i]);
    for (size_t i = 0; !s->video && i < ADL_COUNT(of_video); i++)
        if (adl_options_given(options, of_video[i]))
            return adl_fail(err, ADL_ERR_ARG, "--%s needs --video", of_video[i]);
    return 0;
}

/* Checks the constraints between options that the table cannot express. */
static int check_usage(const struct settings *s, const struct adl_options *options,
                       struct adl_error *err)
{
    if (check_video(s, options, err) < 0)
        return -1;
    if (!s->out.json && adl_options_given(options, "heatmap"))
        return adl_fail(err, ADL_ERR_ARG,
                        "--heatmap needs --json; use --overlay DIR to draw the maps");
    return adl_localize_outputs_check(&s->out, err);
}

static int open_outputs(struct run *run, struct adl_error *err)
{
    run->out = (struct adl_localize_outputs){
        .places = &run->settings->out, .model = run->model, .model_name = run->model_name};
    return adl_localize_outputs_open(&run->out, &run->images, err);
}

static int localize_all(struct run *run, struct adl_error *err)
{
    size_t total = run->images.count;
    int result = 0;

    adl_progress_start(&run->progress, "images", total);
    for (size_t first = 0; first < total && result == 0; first += run->group_size) {
        size_t count = ADL_MIN(run->group_size, total - first);
        for (size_t i = 0; i < count; i++)
            run->items[i].path = run->images.paths[first + i];
        run_group(run, count);
        for (size_t i = 0; i < count; i++) {
            if (result == 0)
                result = report(run, &run->items[i], err);
            release_item(&run->items[i]);
        }
        adl_progress_update(&run->progress, first + count);
    }
    adl_progress_finish(&run->progress);
    return result;
}

static void print_problem(struct run *run, const char *message)
{
    fprintf(stderr, "adl-server: localize: %s\n", message);
    run->bad_operands++;
}

/* Makes the list of images. An operand that matches nothing, and each directory among the matches
 * of a pattern or below an operand that cannot be read, is reported and counted like an unreadable
 * image. If no image is left, this fails instead. */
static int list_images(struct run *run, const struct adl_options *options, struct adl_error *err)
{
    for (int i = 0; i < options->operand_count; i++) {
        size_t said = run->images.problem_count;
        int added = adl_image_list_add(&run->images, options->operands[i], err);
        for (; said < run->images.problem_count; said++)
            print_problem(run, run->images.problems[said].message);
        if (added == 0)
            continue;
        bool last = i + 1 == options->operand_count && run->images.count == 0;
        if (err->kind == ADL_ERR_NOMEM || last)
            return -1;
        print_problem(run, err->message);
        adl_error_clear(err);
    }
    return 0;
}

static int localize_video(const struct run *run, struct adl_error *err)
{
    const struct settings *s = run->settings;
    const struct adl_localize_video video = {.path = s->video,
                                             .rate = s->fps,
                                             .still = s->smooth,
                                             .json = s->out.json,
                                             .overlay = s->out.overlay,
                                             .model = run->model,
                                             .model_name = run->model_name,
                                             .query = &run->query,
                                             .batch = &run->batch,
                                             .pool = run->pool,
                                             .group = run->group_size};
    if (s->out.overlay && adl_make_directory(s->out.overlay, err) < 0)
        return -1;
    return adl_localize_video(&video, err);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    struct run run = {.settings = settings};
    int result = -1;

    ADL_TRY(check_usage(run.settings, options, err));
    ADL_TRY(list_images(&run, options, err));
    ADL_TRY(open_model(&run, options, err));
    ADL_TRY(make_query(&run, err));
    if (run.settings->video) {
        result = localize_video(&run, err);
        goto out;
    }
    ADL_TRY(open_outputs(&run, err));
    if (run.images.left_out > 0)
        fprintf(stderr, "adl-server: localize: left out %zu %s %s\n", run.images.left_out,
                run.images.left_out == 1 ? "path that is not an image by its name:"
                                         : "paths that are not images by their names, such as",
                run.images.left_first);
    ADL_TRY(localize_all(&run, err));
    ADL_TRY(adl_localize_outputs_finish(&run.out, err));
    if (run.failed || run.bad_operands) {
        size_t all = run.images.count + run.bad_operands;
        adl_fail(err, ADL_ERR_FORMAT, "%zu of %zu image%s could not be localized",
                 run.failed + run.bad_operands, all, ADL_S(all));
        goto out;
    }
    result = 0;
out:
    adl_localize_outputs_close(&run.out);
    adl_free(run.items);
    adl_views_free(run.views);
    adl_pool_free(run.pool);
    adl_model_free(run.model);
    adl_image_list_release(&run.images);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings, .default_note = "the model that ships", .help = "model file"),
    {"json", ADL_FLAG(struct settings, out.json),
     .help = "print one JSON object per line: the HTTP response with \"file\" instead of "
             "\"request_id\""},
    {"overlay", ADL_STRING(struct settings, out.overlay), .metavar = "DIR",
     .help = "write each image with heat map, boxes and label to this directory, as JPEG"},
    {"masks", ADL_STRING(struct settings, out.masks), .metavar = "DIR",
     .help = "write the map of each image's first class, as grey PNG of the image's size, to "
             "DIR/NAME_map.png, and its cut at the threshold, 0 and 255, to DIR/NAME.png"},
    {"coco", ADL_STRING(struct settings, out.coco), .metavar = "FILE",
     .help = "write COCO results to FILE, and its images and categories to STEM_images.json"},
    {"coco-annotations", ADL_STRING(struct settings, out.annotations), .metavar = "FILE",
     .help = "write one COCO file with info, images, annotations and categories, which annotation "
             "tools open"},
    {"yolo", ADL_STRING(struct settings, out.exports.yolo), .metavar = "DIR",
     .help = "write the boxes for YOLO: data.yaml, classes.txt and labels/NAME.txt"},
    {"voc", ADL_STRING(struct settings, out.exports.voc), .metavar = "DIR",
     .help = "write the boxes as Pascal VOC's XML, to Annotations/NAME.xml"},
    {"label-studio", ADL_STRING(struct settings, out.exports.label_studio), .metavar = "FILE",
     .help = "write the boxes as predictions that Label Studio imports and a person corrects"},
    {"csv", ADL_STRING(struct settings, out.exports.csv), .metavar = "FILE",
     .help = "write a line of comma-separated values for each box"},
    {"top-k", ADL_INT(struct settings, top_k), .letter = 'k', .min = 1, .max = ADL_LIMIT_TOP_K,
     .metavar = "N", .default_note = "1, or the classes that are present",
     .help = "number of classes to report per image"},
    {"label-threshold", ADL_DOUBLE(struct settings, label_threshold), .min = 0, .max = 1,
     .metavar = "P", .default_note = "the model's, 0.5",
     .help = "probability from which on a class is present, of a model trained with --multi-label"},
    {"class", ADL_STRING(struct settings, class_text), .metavar = "CLASS",
     .default_note = "the predicted ones", .help = "localize this class, given by id or label"},
    ADL_MAP_OPTIONS(struct settings, map, "threshold at which the normalised map is cut"),
    {"boxes", ADL_CHOICE(struct settings, boxes), .choices = adl_box_mode_names, .value = "largest",
     .metavar = "MODE",
     .help = "one box around the largest region, a box around each region, or a box around each "
             "object, where regions are parted between their peaks"},
    {"heatmap", ADL_CHOICE(struct settings, out.heatmap), .choices = adl_reply_heatmap_names,
     .value = "none", .metavar = "FORM", .help = "form of the class maps in the JSON output"},
    {"video", ADL_STRING(struct settings, video), .metavar = "FILE",
     .help = "localize the frames of a video, or of - for stdin, in place of images, through the "
             "program ffmpeg: a line a frame with its time in seconds, and a box that is smoothed "
             "over time"},
    {"fps", ADL_DOUBLE(struct settings, fps), .value = "10", .min = ADL_VIDEO_RATE_MIN,
     .max = ADL_VIDEO_RATE_MAX, .metavar = "N", .help = "frames a second of --video"},
    {"smooth", ADL_DOUBLE(struct settings, smooth), .value = "1", .min = 0, .max = 100,
     .metavar = "HZ",
     .help = "cutoff of the filter that smooths the box of a --video while it stands still; it "
             "rises with the box's speed. 0: not smoothed"},
    ADL_OPTION_PRECISION(struct settings),
    ADL_OPTION_CALIBRATE(struct settings),
    ADL_OPTION_THREADS(struct settings, .help = "number of threads; results do not depend on it"),
    {0},
};

const struct adl_command adl_command_localize = {
    .name = "localize",
    .summary = "Find what images show and where",
    .usage = "[--model FILE] [options] IMAGE... | --video FILE",
    .description = "An IMAGE is a " ADL_IMAGE_FORMATS(
        "or") " file, a directory (searched recursively, in "
              "sorted order), a quoted pattern, or - for stdin. Boxes are x0,y0-x1,y1 in pixels "
              "of the image as displayed, both corners inclusive. Images that cannot be read "
              "are reported on stderr and skipped; the exit status is then 1.",
    .examples = "  adl-server localize --model cub.safetensors photos/\n"
                "  adl-server localize -m cub.safetensors --json -k 5 photo.jpg | jq .predictions\n"
                "  adl-server localize -m cub.safetensors --overlay drawn 'album/*.jpg'\n"
                "  adl-server localize --json --video clip.mp4 --fps 25\n",
    .options = table,
    .max_operands = -1,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
