/* A contact sheet of augmented images.
 *
 * Some images of train, spread evenly over it, take the place of the data set, and together they
 * are the batch of each epoch: its draws are the columns, and a method that mixes images mixes
 * these. So the sheet is made by the code that trains, but with other random numbers, since those
 * depend on the numbers of the images. What a method does to maps inside the network is not
 * there. */

#include "server/training/train_preview.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "methods/methods.h"
#include "server/training/train_augment.h"
#include "server/training/train_step.h"

/* The sheet: images, draws of each beside the whole image, and pixels of a tile at most. */
enum { ROWS = 8, DRAWS = 8, MOST_TILE = 224, GAP = 4, JPEG_QUALITY = 92 };

struct preview {
    struct adl_train_run *run;
    struct adl_dataset some; /* of the run's data; the images are its own */
    struct adl_image sheet;
    int tile;     /* side of a tile in pixels */
    float *input; /* a batch as the methods change it; owned */
    size_t partners[ROWS];
};

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), bytes = strlen(end);
    return length > bytes && !strcasecmp(path + length - bytes, end);
}

int adl_train_preview_check(const char *path, struct adl_error *err)
{
    if (!ends_with(path, ".png") && !ends_with(path, ".jpg") && !ends_with(path, ".jpeg"))
        return adl_fail(err, ADL_ERR_ARG,
                        "--augment-preview: %s is not called as a PNG or JPEG: .png or .jpg", path);
    return adl_file_check_place(path, err);
}

/* Chooses the images. */
static int choose_images(struct preview *p, struct adl_error *err)
{
    const struct adl_dataset *train = p->run->train;

    p->some = *train;
    p->some.count = ADL_MIN(train->count, (size_t)ROWS);
    p->some.images = adl_calloc(p->some.count, sizeof *p->some.images);
    if (!p->some.images)
        return adl_fail_nomem(err, "the images");
    for (size_t i = 0; i < p->some.count; i++)
        p->some.images[i] = train->images[i * train->count / p->some.count];
    return 0;
}

static int make_sheet(struct preview *p, struct adl_error *err)
{
    size_t side = (size_t)p->run->settings->crop_size;
    p->tile = ADL_MIN((int)side, (int)MOST_TILE);
    if (adl_image_init(&p->sheet, (DRAWS + 1) * (p->tile + GAP) + GAP,
                       (int)p->some.count * (p->tile + GAP) + GAP, err) < 0)
        return -1;
    memset(p->sheet.rgb, 255, (size_t)p->sheet.width * (size_t)p->sheet.height * 3);
    p->input = adl_malloc(p->some.count * side * side * 3, sizeof *p->input);
    return p->input ? 0 : adl_fail_nomem(err, "the images");
}

/* Puts an input of the network in its place, as the colours that it stands for. */
static int put_tile(struct preview *p, size_t row, int column, const float *input,
                    struct adl_error *err)
{
    const struct adl_model *model = p->run->model;
    int side = p->run->settings->crop_size;
    struct adl_image whole = {0}, tile = {0};
    int result = -1;

    ADL_TRY(adl_image_init(&whole, side, side, err));
    for (size_t i = 0; i < (size_t)side * (size_t)side * 3; i++) {
        float value = 255 * (input[i] * model->std[i % 3] + model->mean[i % 3]);
        whole.rgb[i] = (uint8_t)lrintf(fminf(fmaxf(value, 0), 255));
    }
    ADL_TRY(adl_image_resize(&whole, p->tile, p->tile, &tile, err));
    for (int y = 0; y < p->tile; y++) {
        int at_y = GAP + (int)row * (p->tile + GAP) + y, at_x = GAP + column * (p->tile + GAP);
        memcpy(p->sheet.rgb + ((size_t)at_y * (size_t)p->sheet.width + (size_t)at_x) * 3,
               tile.rgb + (size_t)y * (size_t)p->tile * 3, (size_t)p->tile * 3);
    }
    result = 0;
out:
    adl_image_release(&whole);
    adl_image_release(&tile);
    return result;
}

/* Puts a batch into a column. `draw` is the epoch; negative: the whole images, unchanged. */
static int put_column(struct preview *p, const struct adl_batch *batch, int draw,
                      struct adl_error *err)
{
    const struct adl_train_settings *s = p->run->settings;
    size_t floats = (size_t)s->crop_size * (size_t)s->crop_size * 3;
    struct adl_method_batch changed = {.images = batch->input,
                                       .input = p->input,
                                       .count = batch->count,
                                       .height = s->crop_size,
                                       .width = s->crop_size,
                                       .values = s->method.values,
                                       .key = adl_train_batch_key(s, ADL_MAX(draw, 0), 0),
                                       .partners = p->partners};

    if (draw >= 0)
        adl_method_input(p->run->model->arch.methods, &changed);
    for (size_t i = 0; i < batch->count; i++)
        if (put_tile(p, batch->indices[i], draw + 1,
                     (draw < 0 ? batch->input : p->input) + i * floats, err) < 0)
            return -1;
    return 0;
}

static int put_columns(struct preview *p, int first, int end, struct adl_error *err)
{
    const struct adl_train_run *run = p->run;
    struct adl_loader_options options = {.augment = adl_train_augment(run->settings),
                                         .batch = p->some.count,
                                         .seed = (uint64_t)run->settings->seed,
                                         .threads = 1};
    struct adl_batch batch;
    int result = -1;

    options.augment.train = first >= 0;
    memcpy(options.mean, run->model->mean, sizeof options.mean);
    memcpy(options.std, run->model->std, sizeof options.std);
    struct adl_loader *loader = adl_loader_create(&p->some, &options, err);
    if (!loader)
        return -1;
    for (int draw = first; draw < end; draw++) {
        adl_loader_start_epoch(loader, (uint64_t)ADL_MAX(draw, 0), 0);
        int more = adl_loader_next(loader, &batch, err);
        if (more < 0 || (more > 0 && put_column(p, &batch, draw, err) < 0))
            goto out;
    }
    result = 0;
out:
    adl_loader_free(loader);
    return result;
}

static int write_sheet(const struct preview *p, struct adl_error *err)
{
    const char *path = p->run->settings->augment_preview;
    void *bytes = NULL;
    size_t length;
    int encoded = ends_with(path, ".png")
                      ? adl_image_encode_png(&p->sheet, &bytes, &length, err)
                      : adl_image_encode_jpeg(&p->sheet, JPEG_QUALITY, &bytes, &length, err);
    if (encoded < 0)
        return -1;
    int result = adl_file_write(path, &(struct adl_file_piece){bytes, length}, 1, err);
    adl_free(bytes);
    return result;
}

int adl_train_preview(struct adl_train_run *run, struct adl_error *err)
{
    struct preview p = {.run = run};
    int result = -1;

    ADL_TRY(choose_images(&p, err));
    ADL_TRY(make_sheet(&p, err));
    ADL_TRY(put_columns(&p, -1, 0, err));
    ADL_TRY(put_columns(&p, 0, DRAWS, err));
    result = write_sheet(&p, err);
out:
    adl_free(p.input);
    adl_free(p.some.images);
    adl_image_release(&p.sheet);
    return result;
}
