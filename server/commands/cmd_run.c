/* Implements `run`, which localizes images and shows them: on a terminal the picture with the heat
 * map and the boxes drawn on it, as well as the terminal can, and a line for each image. One image
 * after the other, because a person looks at them. */

#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/pool.h"
#include "base/size.h"
#include "image/image.h"
#include "io/file.h"
#include "models/file/load.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/terminal.h"
#include "server/tasks/default_model.h"
#include "server/tasks/directory.h"
#include "server/tasks/image_list.h"
#include "server/tasks/reply_json.h"

struct settings {
    const char *model, *save;
    bool open;
    int show, threads;
};

struct run {
    const struct settings *settings;
    char shipped[ADL_DEFAULT_MODEL_PATH];
    struct adl_model *model;
    struct adl_pool *pool;
    struct adl_views *views;
    struct adl_view_run batch;
    struct adl_predict_query query;
    struct adl_image_list images;
    struct adl_terminal terminal;
    enum adl_show form;
    bool save_directory; /* --save names one */
    bool to_stdout;      /* --save -: the picture, and nothing else */
    char folder[64];     /* made for --open without --save; "": none */
    json_t *saved;       /* the files that were written, an object used as a set */
    size_t failed;
};

/* --- localizing ------------------------------------------------------------------- */

static int open_model(struct run *run, struct adl_error *err)
{
    const struct settings *s = run->settings;
    const char *path = adl_model_or_default(s->model, run->shipped, err);

    run->model = path ? adl_model_load(path, NULL, err) : NULL;
    if (!run->model)
        return -1;
    run->query = (struct adl_predict_query){
        .class_id = -1, .top_k = 1, .label_threshold = -1, .map = run->model->map};
    if (adl_model_keep_layer(run->model, &run->query.map.views, err) < 0)
        return -1;
    run->pool = adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    run->views = run->pool ? adl_model_into_views(run->model, run->pool, 1, err) : NULL;
    if (!run->views || adl_views_prepare(run->views, &run->query.map, false, &run->batch, err) < 0)
        return -1;
    adl_predict_query_certainty(&run->query, run->model);
    return 0;
}

static int localize(struct run *run, const struct adl_predict_input *input,
                    struct adl_predictions *predictions, struct adl_error *err)
{
    for (int view = 0; view < run->batch.count; view++) {
        adl_predict_load(run->model, input, &run->batch, view, 0);
        adl_session_run(run->batch.items[view].session, 1);
        if (adl_predict_collect(&run->batch, view, 0, &run->query, predictions, err) < 0)
            return -1;
    }
    return adl_predict_locate(predictions, &run->query, input->info.width, input->info.height, NULL,
                              err);
}

/* --- showing ------------------------------------------------------------------------ */

static void print_line(const struct run *run, const char *path,
                       const struct adl_predictions *predictions)
{
    const struct adl_prediction *p = &predictions->items[0];
    struct adl_str line = {0};
    char number[40];

    adl_terminal_text(path, &line);
    adl_str_puts(&line, "  ");
    adl_terminal_text(adl_model_label(run->model, p->class_id, number, sizeof number), &line);
    adl_str_printf(&line, "  %.1f%%", 100 * (double)p->score);
    for (size_t i = 0; i < p->place.box_count; i++) {
        struct adl_box box = p->place.boxes[i].box;
        adl_str_printf(&line, "  %d,%d-%d,%d", box.x0, box.y0, box.x1, box.y1);
    }
    if (p->place.box_count == 0)
        adl_str_puts(&line, "  no box");
    puts(line.failed ? "out of memory" : line.data);
    adl_str_release(&line);
}

static int show(struct run *run, const struct adl_image *image, struct adl_error *err)
{
    struct adl_str text = {0};
    int result = adl_terminal_draw(&run->terminal, run->form, image, &text, err);

    if (result == 0 && text.failed)
        result = adl_fail_nomem(err, "a picture for the terminal");
    if (result == 0 && text.length > 0)
        fwrite(text.data, 1, text.length, stdout);
    adl_str_release(&text);
    return result;
}

/* --- saving and opening ---------------------------------------------------------------- */

/* Writes where the overlay of an image goes: FILE as it is; in a directory NAME.jpg, or NAME-2.jpg,
 * NAME-3.jpg for later images of the same name. */
static int saved_path(struct run *run, const char *path, struct adl_str *out, struct adl_error *err)
{
    const char *folder = run->settings->save ? run->settings->save : run->folder;
    const char *slash = strrchr(path, '/');
    const char *name = !strcmp(path, "-") ? "stdin" : slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    const int stem = (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name));

    for (int n = 1; !out->failed; n++) {
        out->length = 0;
        if (run->settings->save && !run->save_directory)
            adl_str_puts(out, folder);
        else if (n == 1)
            adl_str_printf(out, "%s/%.*s.jpg", folder, stem, name);
        else
            adl_str_printf(out, "%s/%.*s-%d.jpg", folder, stem, name, n);
        if (out->failed || !json_object_getn(run->saved, out->data, out->length))
            break;
    }
    if (out->failed ||
        json_object_setn_new_nocheck(run->saved, out->data, out->length, json_true()) < 0)
        return adl_fail_nomem(err, "a file name");
    return 0;
}

static int save(struct run *run, const char *path, const struct adl_image *image,
                struct adl_error *err)
{
    struct adl_file_piece piece;
    void *bytes = NULL;
    int result;

    if (adl_image_list_holds(&run->images, path))
        return adl_fail(err, ADL_ERR_ARG,
                        "%s: is one of the input images and will not be overwritten; choose "
                        "another place for --save",
                        path);
    if (adl_text_ends_with(path, ".png"))
        result = adl_image_encode_png(image, &bytes, &piece.length, err);
    else
        result = adl_image_encode_jpeg(image, 90, &bytes, &piece.length, err);
    piece.data = bytes;
    if (result == 0)
        result = adl_file_write(path, &piece, 1, err);
    adl_free(bytes);
    return result;
}

/* Opens a file with the program that the desktop has for it. */
static void open_file(const char *path)
{
    static char program[] = "xdg-open";
    char *words[] = {program, (char *)path, NULL};
    extern char **environ;
    int status = 0;
    pid_t child;

    if (posix_spawnp(&child, program, NULL, NULL, words, environ) != 0 ||
        waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fprintf(stderr, "adl-server: run: --open: xdg-open did not show %s\n", path);
}

/* Makes places for overlays, and checks that several images are not written to one file. */
static int prepare_places(struct run *run, struct adl_error *err)
{
    const char *save = run->settings->save, *temporary = getenv("TMPDIR");

    run->saved = json_object();
    if (save && !strcmp(save, "-")) {
        if (run->images.count > 1 || run->settings->open)
            return adl_fail(err, ADL_ERR_ARG,
                            "--save -: standard output takes one picture, which cannot be opened");
        run->to_stdout = true;
        return adl_image_list_identify(&run->images, err);
    }
    if (save) {
        if (adl_image_list_identify(&run->images, err) < 0)
            return -1;
        run->save_directory =
            adl_file_is_folder(save) || adl_text_ends_with(save, "/") || run->images.count > 1;
        return run->save_directory ? adl_make_directory(save, err)
                                   : adl_file_check_place(save, err);
    }
    if (!run->settings->open)
        return 0;
    if (!temporary || strlen(temporary) > 40)
        temporary = "/tmp";
    snprintf(run->folder, sizeof run->folder, "%s/adl-server-XXXXXX", temporary);
    if (!mkdtemp(run->folder))
        return adl_fail(err, ADL_ERR_IO, "--open: no directory can be made in %s", temporary);
    return 0;
}

/* --- all images --------------------------------------------------------------------------- */

static int show_image(struct run *run, const char *path, struct adl_error *err)
{
    const bool drawn = run->settings->save || run->settings->open || run->form != ADL_SHOW_NONE;
    const struct adl_predict_decode how = {.keep_image = drawn};
    struct adl_predictions predictions = {0};
    struct adl_predict_input input;
    struct adl_str saved = {0};
    int result = -1;

    if (adl_predict_read(path, &how, &run->batch.sizes, &input, err) < 0)
        return -1;
    ADL_TRY(localize(run, &input, &predictions, err));
    if (drawn) {
        ADL_TRY(adl_reply_draw(&input.image, run->model, &predictions, 0, ADL_REPLY_OPACITY, err));
        ADL_TRY(show(run, &input.image, err));
    }
    if (!run->to_stdout)
        print_line(run, path, &predictions);
    if (run->settings->save || run->settings->open) {
        ADL_TRY(saved_path(run, path, &saved, err));
        ADL_TRY(save(run, saved.data, &input.image, err));
    }
    fflush(stdout);
    if (run->settings->open)
        open_file(saved.data);
    result = 0;
out:
    adl_str_release(&saved);
    adl_predictions_release(&predictions);
    adl_predict_input_release(&input);
    return result;
}

static void report(struct run *run, struct adl_error *err)
{
    fflush(stdout);
    fprintf(stderr, "adl-server: run: %s\n", err->message);
    adl_error_clear(err);
    run->failed++;
}

static int list_images(struct run *run, const struct adl_options *options, struct adl_error *err)
{
    for (int i = 0; i < options->operand_count; i++) {
        size_t said = run->images.problem_count;
        const int added = adl_image_list_add(&run->images, options->operands[i], err);
        for (; said < run->images.problem_count; said++) {
            struct adl_error problem = run->images.problems[said];
            report(run, &problem);
        }
        if (added == 0)
            continue;
        if (err->kind == ADL_ERR_NOMEM ||
            (i + 1 == options->operand_count && run->images.count == 0))
            return -1;
        report(run, err);
    }
    return 0;
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    struct run run = {.settings = settings};
    int result = -1;

    ADL_TRY(list_images(&run, options, err));
    ADL_TRY(prepare_places(&run, err));
    ADL_TRY(open_model(&run, err));
    adl_terminal_probe(&run.terminal);
    run.form = run.terminal.best;
    if (run.settings->show != ADL_SHOW_AUTO)
        run.form = (enum adl_show)run.settings->show;
    if (run.to_stdout)
        run.form = ADL_SHOW_NONE;
    for (size_t i = 0; i < run.images.count; i++)
        if (show_image(&run, run.images.paths[i], err) < 0) {
            if (run.images.count == 1 && run.failed == 0)
                goto out;
            report(&run, err);
        }
    result = run.failed == 0 ? 0
                             : adl_fail(err, ADL_ERR_FORMAT, "%zu image%s could not be shown",
                                        run.failed, ADL_S(run.failed));
out:
    adl_views_free(run.views);
    adl_pool_free(run.pool);
    adl_model_free(run.model);
    adl_image_list_release(&run.images);
    json_decref(run.saved);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings, .default_note = "the model that ships", .help = "model file"),
    {"save", ADL_STRING(struct settings, save), .metavar = "FILE|DIR",
     .help = "write the picture with the result drawn on it: to a file (.png or JPEG), or for "
             "several images into a directory"},
    {"open", ADL_FLAG(struct settings, open),
     .help = "open what is saved, or else a temporary file, with xdg-open"},
    {"show", ADL_CHOICE(struct settings, show), .choices = adl_show_names, .value = "auto",
     .metavar = "FORM",
     .help = "how the picture is shown: kitty or sixel graphics, half blocks in 24-bit colours or "
             "in 256, or not at all; auto: as well as the terminal can, and not at all elsewhere"},
    ADL_OPTION_THREADS(struct settings, .help = "number of threads; results do not depend on it"),
    {0},
};

const struct adl_command adl_command_run = {
    .name = "run",
    .summary = "Show what images have in them, in the terminal",
    .usage = "[options] IMAGE...",
    .description =
        "Localizes images with the model that ships and shows each on the terminal with its heat "
        "map and boxes, and a line with its class, the score and the boxes. Where standard output "
        "is no terminal, or NO_COLOR is set, prints the lines alone. A directory stands for the "
        "images in it.",
    .examples = "  adl-server run photo.jpg\n"
                "  adl-server run --save out/ photos/\n",
    .options = table,
    .min_operands = 1,
    .max_operands = -1,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
