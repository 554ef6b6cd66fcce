/* Shows the same photographs under every row. One model is open at a time: its figures are kept as
 * text until all rows have theirs. */

#include "server/experiment/gallery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/labels.h"
#include "models/file/load.h"
#include "server/experiment/experiment_command.h"
#include "server/report/report_parts.h"
#include "server/tasks/labelled.h"

struct gallery {
    const struct adl_experiment *e;
    struct adl_pool *pool;
    struct adl_str *cells; /* by photograph and row */
    char **ids;            /* of the photographs, owned; NULL: not known yet */
};

/* A row that is being drawn. */
struct drawn {
    struct adl_dataset *data;
    struct adl_model *model;
    struct adl_views *views;
    struct adl_evaluate_place *places;
    struct adl_evaluate_report report;
};

static void release(struct drawn *d)
{
    adl_evaluate_report_release(&d->report);
    adl_free(d->places);
    adl_views_free(d->views);
    adl_model_free(d->model);
    adl_dataset_free(d->data);
}

/* Returns the value of an option that the evaluation was given; NULL: none. */
static const char *option_of(const struct adl_experiment *e, size_t row, const char *key)
{
    return json_string_value(
        adl_experiment_data_option(e, e->measures[e->gallery].options, row, key));
}

/* The photographs of the evaluation. */
static struct adl_dataset_options place_of(const struct adl_experiment *e, size_t row, size_t seed)
{
    const char *share = option_of(e, row, "val-share"), *folds = option_of(e, row, "folds");
    const char *fold = option_of(e, row, "fold");
    int fold_count = folds ? (int)strtol(folds, NULL, 10) : 0;
    int own_fold = fold ? (int)strtol(fold, NULL, 10) : 0;

    if (e->fold_count) {
        fold_count = e->fold_count;
        own_fold = e->folds[seed];
    }
    return (struct adl_dataset_options){.dir = e->data,
                                        .images = e->images,
                                        .metadata = e->metadata,
                                        .masks = e->masks,
                                        .split = e->measures[e->gallery].split,
                                        .exif = adl_dataset_exif_find(option_of(e, row, "exif")),
                                        .division = {.val_share = share ? strtod(share, NULL) : 0,
                                                     .folds = fold_count,
                                                     .fold = own_fold,
                                                     .seed = e->seeds[seed]}};
}

/* Opens the model of a run and the photographs. */
static int open_row(const struct gallery *g, size_t row, size_t seed, const char *path,
                    struct drawn *d, struct adl_error *err)
{
    const struct adl_experiment *e = g->e;
    struct adl_dataset_options where = place_of(e, row, seed);

    d->model = adl_model_load(path, NULL, err);
    where.multi_label = d->model && d->model->labels.several;
    d->data = d->model ? adl_labelled_open(&where, err) : NULL;
    if (!d->data || adl_dataset_pair_labels(d->data, err) < 0 ||
        adl_labelled_match(d->data, d->model, path, adl_labelled_place(&where), "experiment", err) <
            0)
        return -1;
    d->views = adl_model_into_views(d->model, g->pool, 1, err);
    d->places = d->views ? adl_calloc(d->data->count, sizeof *d->places) : NULL;
    if (!d->places)
        return err->kind ? -1 : adl_fail_nomem(err, "the gallery");
    return 0;
}

/* Measures the photographs, which says where each box is right. */
static int measure(const struct gallery *g, struct drawn *d, struct adl_error *err)
{
    struct adl_evaluate_options options = {.curve_interval = 0.05,
                                           .map = d->model->map,
                                           .several = d->model->labels.several,
                                           .temperature = d->model->certainty.temperature,
                                           .limit = g->e->gallery_images,
                                           .places = d->places};

    memcpy(options.mean, d->model->mean, sizeof options.mean);
    memcpy(options.std, d->model->std, sizeof options.std);
    return adl_evaluate_views(d->data, d->views, 1, g->pool, &options, &d->report, err);
}

/* Draws the photographs of a row. */
static int draw_row(struct gallery *g, size_t row, const struct drawn *d, struct adl_error *err)
{
    const struct adl_report_images images = {.data = d->data,
                                             .model = d->model,
                                             .views = d->views,
                                             .pool = g->pool,
                                             .places = d->places,
                                             .localized =
                                                 d->data->box_count > 0 || d->data->masked};
    size_t shown = 0;

    for (size_t i = 0; i < d->data->count && shown < g->e->gallery_images; i++) {
        if (!d->places[i].measured || d->data->images[i].bare)
            continue;
        struct adl_str *cell = &g->cells[shown * g->e->row_count + row];
        if (!g->ids[shown]) {
            g->ids[shown] = adl_strdup(d->data->images[i].id);
            if (!g->ids[shown])
                return adl_fail_nomem(err, "the gallery");
        }
        if (adl_report_shot(cell, &images, i, err) < 0) {
            adl_str_release(cell);
            return -1;
        }
        shown++;
    }
    return 0;
}

/* Makes the figures of a row; what cannot be read is reported and left out. */
static int make_row(struct gallery *g, const struct adl_figures *f, size_t row,
                    struct adl_error *err)
{
    struct adl_arena arena = {0};
    struct adl_error unread = {0};
    struct drawn d = {0};
    size_t seed = 0;

    while (seed < g->e->seed_count && !adl_figures_at(f, row, seed)->complete)
        seed++;
    if (seed == g->e->seed_count)
        return 0;
    const char *path = adl_experiment_model(g->e, row, seed, g->e->gallery, &arena, err);
    if (path && open_row(g, row, seed, path, &d, &unread) == 0 && measure(g, &d, &unread) == 0)
        (void)!draw_row(g, row, &d, &unread);
    release(&d);
    adl_arena_release(&arena);
    if (unread.kind == ADL_ERR_NOMEM)
        return adl_fail(err, ADL_ERR_NOMEM, "%s", unread.message);
    if (unread.kind)
        fprintf(stderr, "adl-server: experiment: the gallery is without %s: %s\n",
                g->e->rows[row].name, unread.message);
    return err->kind ? -1 : 0;
}

/* Appends the photographs, each under all rows. */
static void put_photographs(struct adl_str *page, const struct gallery *g)
{
    const struct adl_experiment *e = g->e;

    for (size_t i = 0; i < e->gallery_images && g->ids[i]; i++) {
        adl_str_puts(page, "<h3>");
        adl_html_text(page, g->ids[i]);
        adl_str_puts(page, "</h3><div class=\"shots side\">\n");
        for (size_t row = 0; row < e->row_count; row++) {
            const struct adl_str *cell = &g->cells[i * e->row_count + row];
            if (!cell->length)
                continue;
            adl_str_puts(page, "<div><h4>");
            adl_html_text(page, e->rows[row].title);
            adl_str_puts(page, "</h4>");
            adl_str_append(page, cell->data, cell->length);
            adl_str_puts(page, "</div>\n");
        }
        adl_str_puts(page, "</div>\n");
    }
}

int adl_experiment_gallery(struct adl_str *page, const struct adl_figures *f, struct adl_error *err)
{
    const struct adl_experiment *e = f->experiment;
    struct gallery g = {.e = e};
    size_t count = e->gallery_images * e->row_count;
    int result = -1;

    g.cells = adl_calloc(ADL_MAX(count, 1), sizeof *g.cells);
    g.ids = adl_calloc(e->gallery_images + 1, sizeof *g.ids);
    g.pool = adl_pool_create(
        e->settings->threads ? e->settings->threads : adl_pool_default_threads(), err);
    if (!g.cells || !g.ids) {
        adl_fail_nomem(err, "the gallery");
        goto out;
    }
    if (!g.pool)
        goto out;
    for (size_t row = 0; e->gallery_images && row < e->row_count; row++)
        ADL_TRY(make_row(&g, f, row, err));
    put_photographs(page, &g);
    if (!g.ids[0])
        adl_html_note(page, "There are no photographs: no row has a model and data that can be "
                            "read.");
    result = 0;
out:
    for (size_t i = 0; g.cells && i < count; i++)
        adl_str_release(&g.cells[i]);
    for (size_t i = 0; g.ids && i < e->gallery_images; i++)
        adl_free(g.ids[i]);
    adl_free(g.cells);
    adl_free(g.ids);
    adl_pool_free(g.pool);
    return result;
}
