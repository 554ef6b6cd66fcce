/* Localizes the frames of a video, see localize_video.h.
 *
 * Frames go through the network in groups: as many as are there without waiting. So a file is read
 * in full batches, and a camera gets its answer at once. A frame's answer does not depend on its
 * group. The boxes are smoothed in the order of the frames, by what came before. */

#include "server/commands/localize_video.h"

#include <jansson.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/tasks/progress.h"
#include "server/tasks/reply_json.h"
#include "server/tasks/video.h"
#include "wsol/box_track.h"

/* Bytes of the frames of a group, which may be one frame alone. */
#define GROUP_BYTES ((size_t)128 << 20)

struct frame {
    struct adl_predict_input input;
    struct adl_predictions predictions;
    struct adl_error err;
};

struct run {
    const struct adl_localize_video *video;
    struct adl_video *source;
    struct frame *frames; /* video->group of them */
    size_t first;         /* number of the group's first frame */
    int view;             /* that runs now */
    struct adl_box_track track;
    struct adl_progress progress;
};

/* --- a group --------------------------------------------------------------------------- */

/* Reads frames until the next one would have to be waited for. Returns how many there are, and
 * whether the video has ended. */
static int read_group(struct run *run, size_t *count, bool *ended, struct adl_error *err)
{
    size_t bytes = 0;

    *count = 0;
    while (*count < run->video->group && bytes < GROUP_BYTES) {
        struct frame *frame = &run->frames[*count];
        if (*count > 0 && !adl_video_waits(run->source))
            break;
        int got = adl_video_next(run->source, &frame->input.image, err);
        if (got < 0)
            return -1;
        if (got == 0) {
            *ended = true;
            break;
        }
        frame->input.info.width = frame->input.image.width;
        frame->input.info.height = frame->input.image.height;
        bytes += 3 * (size_t)frame->input.info.width * (size_t)frame->input.info.height;
        ++*count;
    }
    return 0;
}

static void resize_frame(void *context, size_t i, int worker)
{
    struct run *run = context;
    struct frame *frame = &run->frames[i];

    (void)worker;
    (void)!adl_view_images_make(&frame->input.image, &run->video->batch->sizes,
                                &frame->input.resized, &frame->err);
}

static void load_frame(void *context, size_t i, int worker)
{
    struct run *run = context;
    const struct adl_localize_video *v = run->video;

    (void)worker;
    adl_predict_load(v->model, &run->frames[i].input, v->batch, run->view, (int)i);
    adl_session_ask(v->batch->items[run->view].session, (int)i, v->query->class_id);
}

static void locate_frame(void *context, size_t i, int worker)
{
    struct run *run = context;
    const struct adl_localize_video *v = run->video;
    struct frame *frame = &run->frames[i];

    (void)worker;
    if (frame->err.kind || adl_predict_collect(v->batch, run->view, (int)i, v->query,
                                               &frame->predictions, &frame->err) < 0)
        return;
    if (run->view == v->batch->count - 1)
        (void)!adl_predict_locate(&frame->predictions, v->query, frame->input.info.width,
                                  frame->input.info.height, NULL, &frame->err);
}

/* Fails with the first error, in the order of the frames. */
static int find_failure(const struct run *run, size_t count, struct adl_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (run->frames[i].err.kind)
            return adl_fail(err, run->frames[i].err.kind, "frame %zu: %s", run->first + i,
                            run->frames[i].err.message);
    return 0;
}

static int run_group(struct run *run, size_t count, struct adl_error *err)
{
    const struct adl_localize_video *v = run->video;

    adl_pool_for(v->pool, count, resize_frame, run);
    if (find_failure(run, count, err) < 0)
        return -1;
    for (run->view = 0; run->view < v->batch->count; run->view++) {
        adl_pool_for(v->pool, count, load_frame, run);
        adl_session_run(v->batch->items[run->view].session, (int)count);
        adl_pool_for(v->pool, count, locate_frame, run);
    }
    return find_failure(run, count, err);
}

/* --- a frame --------------------------------------------------------------------------- */

static json_t *box_json(const struct adl_box *box)
{
    return box ? json_pack("{s:i, s:i, s:i, s:i}", "x0", box->x0, "y0", box->y0, "x1", box->x1,
                           "y1", box->y1)
               : json_null();
}

/* Prints the reply of the HTTP interface with the place in the video before it, and the smoothed
 * box (NULL: none) in its first prediction. Its numbers have six digits, of which a time in
 * milliseconds needs more. */
static int print_json(const struct run *run, size_t number, double time, const struct frame *frame,
                      const struct adl_box *smoothed, struct adl_error *err)
{
    const struct adl_localize_video *v = run->video;
    const struct adl_reply reply = {.model = v->model,
                                    .model_name = v->model_name,
                                    .image_width = frame->input.info.width,
                                    .image_height = frame->input.info.height,
                                    .predictions = &frame->predictions,
                                    .heatmap = ADL_HEATMAP_NONE};
    json_t *json = adl_reply_to_json(&reply, err), *file = adl_json_from_text(v->path);
    json_t *first = json_array_get(json_object_get(json, "predictions"), 0);
    char *name = NULL, *text = NULL;

    if (json && json_object_set_new(first, "smoothed", box_json(smoothed)) < 0)
        adl_fail_nomem(err, "JSON");
    else if (json) {
        name = adl_json_to_text(file, JSON_ENCODE_ANY, NULL, err);
        text = name ? adl_json_to_text(json, ADL_REPLY_JSON_FLAGS, NULL, err) : NULL;
    }
    if (text)
        printf("{\"file\":%s,\"frame\":%zu,\"time\":%.3f,%s\n", name, number, time, text + 1);
    json_decref(json);
    json_decref(file);
    bool printed = text != NULL;
    adl_free(name);
    adl_free(text);
    return printed ? 0 : -1;
}

static void print_row(const struct run *run, double time, const struct frame *frame,
                      const struct adl_box *smoothed)
{
    const struct adl_prediction *p = &frame->predictions.items[0];
    char text[40];

    printf("%9.3f  %5.1f%%  %s", time, 100 * (double)p->score,
           adl_model_label(run->video->model, p->class_id, text, sizeof text));
    if (smoothed)
        printf("  %d,%d-%d,%d\n", smoothed->x0, smoothed->y0, smoothed->x1, smoothed->y1);
    else
        puts("  no box");
}

/* Writes the frame with the heat map and the smoothed box. */
static int write_overlay(const struct run *run, size_t number, struct frame *frame,
                         const struct adl_box *smoothed, struct adl_error *err)
{
    struct adl_str path = {0};
    void *bytes = NULL;
    size_t length = 0;

    if (smoothed)
        frame->predictions.items[0].place.boxes[0].box = *smoothed;
    adl_str_printf(&path, "%s/frame-%06zu.jpg", run->video->overlay, number);
    int result =
        path.failed ? adl_fail_nomem(err, "a frame")
                    : adl_reply_overlay(&frame->input.image, run->video->model, &frame->predictions,
                                        0, ADL_IMAGE_JPEG, &bytes, &length, err);
    if (result == 0)
        result = adl_file_write(path.data, &(struct adl_file_piece){bytes, length}, 1, err);
    adl_free(bytes);
    adl_str_release(&path);
    return result;
}

static int report(struct run *run, size_t number, struct frame *frame, struct adl_error *err)
{
    const struct adl_localize_video *v = run->video;
    const struct adl_prediction *p = &frame->predictions.items[0];
    const double time = (double)number / v->rate;
    const bool found = p->place.box_count > 0;
    struct adl_box box = {0};
    int result = 0;

    if (found)
        box = adl_box_track_add(&run->track, p->place.boxes[0].box, p->class_id,
                                frame->input.info.width, frame->input.info.height, time);
    adl_progress_clear(&run->progress);
    if (v->json)
        result = print_json(run, number, time, frame, found ? &box : NULL, err);
    else
        print_row(run, time, frame, found ? &box : NULL);
    /* Who reads along sees a frame when it is done. */
    if (result == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        result = adl_fail(err, ADL_ERR_IO, "standard output: cannot be written");
    if (result == 0 && v->overlay)
        result = write_overlay(run, number, frame, found ? &box : NULL, err);
    return result;
}

static void release_frame(struct frame *frame)
{
    adl_predict_input_release(&frame->input);
    adl_predictions_release(&frame->predictions);
    *frame = (struct frame){0};
}

/* --- the video ------------------------------------------------------------------------- */

static int run_all(struct run *run, struct adl_error *err)
{
    bool ended = false;

    while (!ended) {
        struct adl_error unread = {0};
        size_t count = 0;
        int result = read_group(run, &count, &ended, &unread);
        if (count > 0 && run_group(run, count, err) < 0)
            return -1;
        for (size_t i = 0; i < count; i++) {
            if (report(run, run->first + i, &run->frames[i], err) < 0)
                return -1;
            release_frame(&run->frames[i]);
        }
        if (result < 0) /* what was read before is reported */
            return adl_fail(err, unread.kind, "%s", unread.message);
        run->first += count;
        adl_progress_update(&run->progress, run->first);
    }
    return 0;
}

int adl_localize_video(const struct adl_localize_video *video, struct adl_error *err)
{
    struct run run = {.video = video, .track = {.still = video->still}};
    int result = -1;

    run.frames = adl_calloc(video->group, sizeof *run.frames);
    if (!run.frames)
        return adl_fail_nomem(err, "frames");
    if (adl_video_open(&run.source, video->path, video->rate, err) == 0) {
        adl_progress_start(&run.progress, "frames", 0);
        result = run_all(&run, err);
        adl_progress_finish(&run.progress);
        if (result == 0 && adl_video_complaint(run.source))
            fprintf(stderr, "adl-server: localize: ffmpeg: %s\n", adl_video_complaint(run.source));
    }
    adl_video_close(run.source);
    for (size_t i = 0; i < video->group; i++)
        release_frame(&run.frames[i]);
    adl_free(run.frames);
    return result;
}
