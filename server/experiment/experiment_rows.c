/* Reads the rows of an experiment: one by one, or as the product of lists. */

#include "server/experiment/experiment_rows.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "io/file.h"
#include "server/experiment/experiment_json.h"
#include "server/experiment/search_draw.h"

/* A table of more rows is a mistake. */
#define MAX_ROWS 1000
/* Bytes of a row's name, which is that of a directory. */
#define MAX_ROW_NAME 200
/* Lists of a product. */
#define MAX_FACTORS 8

static const char *const row_keys[] = {"name", "title", "options", "init", "draw", NULL};
static const char *const item_keys[] = {"name", "title", "options", "init", "draw", "with", NULL};
static const char *const product_keys[] = {"product", NULL};

struct reader {
    struct adl_experiment *experiment;
    const char *dir;
    struct adl_experiment_row *rows;
    size_t count, capacity;
    json_t *set;     /* options of the command line */
    size_t searched; /* rows that were drawn from */
    struct adl_error *err;
};

/* --- weights ----------------------------------------------------------------------------- */

/* Returns the file of this name, with the ending that it has if the name has none. */
static const char *with_ending(struct reader *r, const char *path)
{
    static const char *const endings[] = {".safetensors", ".pth", NULL};
    struct adl_arena *arena = &r->experiment->arena;

    if (!path || adl_file_is_regular(path))
        return path;
    for (int i = 0; endings[i]; i++) {
        const char *longer = ADL_ARENA_TEXT(arena, r->err, "%s%s", path, endings[i]);
        if (!longer || adl_file_is_regular(longer))
            return longer;
    }
    return path;
}

static bool is_chosen(const struct reader *r, const struct adl_experiment_row *row);

/* Sets the weights that a row begins from. `from` is the last of its objects that names some. A
 * null of the row itself wins over the command line, one of the whole file does not. */
static int set_init(struct reader *r, struct adl_experiment_row *row, const json_t *from)
{
    struct adl_experiment *e = r->experiment;
    const char *given = e->settings->init, *name = NULL;

    if (adl_strict_text(from, row->name, "init", &name, r->err) < 0)
        return -1;
    bool random = from != e->json && json_is_null(json_object_get(from, "init"));
    if (random || (given && !strcmp(given, "none")) || (!name && !given))
        return 0;
    if (given && adl_file_is_folder(given)) {
        if (!name && is_chosen(r, row))
            return adl_fail(r->err, ADL_ERR_ARG,
                            "--init %s: is a directory, and the row \"%s\" names no \"init\" that "
                            "would choose one of its files; give --init FILE or none",
                            ADL_SHORT(given), row->name);
        if (!name)
            return 0;
        const char *slash = strrchr(name, '/');
        row->init = ADL_ARENA_TEXT(&e->arena, r->err, "%s/%s", given, slash ? slash + 1 : name);
    } else if (given) {
        row->init = given;
    } else {
        row->init = strcmp(name, "default") ? adl_experiment_place(e, r->dir, name, r->err) : name;
    }
    row->init = with_ending(r, row->init);
    return row->init ? 0 : -1;
}

/* --- one row ----------------------------------------------------------------------------- */

/* Adds options to those that are the row's own and to all that it has. One that is null is taken
 * away from both. */
static int add_options(struct reader *r, struct adl_experiment_row *row, const json_t *options,
                       const char *where)
{
    return adl_strict_options(row->own, options, where, r->err) < 0 ||
                   adl_strict_options(row->options, options, where, r->err) < 0
               ? -1
               : 0;
}

/* Sets those of the command line; among the row's own are only those that it had. */
static int set_given(struct reader *r, struct adl_experiment_row *row)
{
    const char *key;
    json_t *value;

    json_object_foreach(r->set, key, value)
    {
        if (json_is_null(value)) {
            json_object_del(row->own, key);
            json_object_del(row->options, key);
        } else if ((json_object_get(row->own, key) && json_object_set(row->own, key, value) < 0) ||
                   json_object_set(row->options, key, value) < 0) {
            return adl_fail_nomem(r->err, "a row");
        }
    }
    return 0;
}

/* Whether the first `length` bytes of a word name the row, or the one that it was drawn from. */
static bool is_named(const struct adl_experiment_row *row, const char *word, size_t length)
{
    const char *search = row->search_name;
    return (strlen(row->name) == length && !strncmp(row->name, word, length)) ||
           (search && strlen(search) == length && !strncmp(search, word, length));
}

/* Whether the row is among those that the command line asks for. */
static bool is_chosen(const struct reader *r, const struct adl_experiment_row *row)
{
    const char *rows = r->experiment->settings->rows;

    while (rows && *rows) {
        size_t word = strcspn(rows, ",");
        if (is_named(row, rows, word))
            return true;
        rows += word + (rows[word] == ',');
    }
    return !r->experiment->settings->rows;
}

/* Appends a row whose options are complete but for those of the command line. `init` is as for
 * set_init(). */
static int push_row(struct reader *r, struct adl_experiment_row *row, const json_t *init)
{
    static const char *const files[] = {"table.md", "table.csv", "table.html", "runs.csv",
                                        "best.json"};
    for (size_t i = 0; i < ADL_COUNT(files); i++)
        if (row->name && !strcmp(files[i], row->name))
            return adl_fail(r->err, ADL_ERR_FORMAT,
                            "a row cannot be called \"%s\", which is a file of the results",
                            row->name);
    if (strlen(row->name) > MAX_ROW_NAME)
        return adl_fail(r->err, ADL_ERR_FORMAT,
                        "the name of the row %s is longer than %d letters, which file systems may "
                        "refuse",
                        adl_name_quote(row->name, strlen(row->name)).text, MAX_ROW_NAME);
    for (size_t i = 0; i < r->count; i++)
        if (!strcmp(r->rows[i].name, row->name))
            return adl_fail(r->err, ADL_ERR_FORMAT, "there are two rows \"%s\"", row->name);
    if (set_init(r, row, init) < 0 || set_given(r, row) < 0)
        return -1;
    if (r->count == MAX_ROWS)
        return adl_fail(r->err, ADL_ERR_LIMIT, "there are more than %d rows", MAX_ROWS);
    struct adl_experiment_row *rows =
        adl_array_grow(r->rows, &r->capacity, r->count + 1, sizeof *rows);
    if (!rows)
        return adl_fail_nomem(r->err, "rows");
    r->rows = rows;
    r->rows[r->count++] = *row;
    return 0;
}

/* Draws the options of one draw of a row: those of all rows, and those of its items. */
static json_t *draw_options(struct reader *r, const struct adl_experiment_row *from, int k,
                            const json_t *const *items, size_t count)
{
    struct adl_experiment *e = r->experiment;
    const json_t *all = json_object_get(json_object_get(e->json, "search"), "draw");
    json_t *drawn = adl_experiment_object(e, r->err);

    if (!drawn || adl_search_draw(drawn, all, e->search_seed, (size_t)k, "\"search\"", r->err) < 0)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (adl_search_draw(drawn, json_object_get(items[i], "draw"), e->search_seed, (size_t)k,
                            from->name, r->err) < 0)
            return NULL;
    return drawn;
}

/* Appends the rows that are drawn from one. */
static int push_draws(struct reader *r, const struct adl_experiment_row *from,
                      const json_t *const *items, size_t count, const json_t *init)
{
    struct adl_experiment *e = r->experiment;

    for (int k = 1; k <= e->search_draws; k++) {
        struct adl_experiment_row row = {
            .own = adl_experiment_object(e, r->err),
            .options = adl_experiment_object(e, r->err),
            .search = r->searched,
            .search_name = from->name,
            .search_title = from->title,
            .name = ADL_ARENA_TEXT(&e->arena, r->err, "%s-%02d", from->name, k),
            .title = ADL_ARENA_TEXT(&e->arena, r->err, "%s, draw %d", from->title, k)};
        const json_t *drawn = draw_options(r, from, k, items, count);
        if (!drawn || !row.own || !row.options || !row.name || !row.title ||
            json_object_update(row.own, from->own) < 0 ||
            json_object_update(row.options, from->options) < 0)
            return adl_fail_nomem(r->err, "a row");
        if (add_options(r, &row, drawn, row.name) < 0 || push_row(r, &row, init) < 0)
            return -1;
    }
    r->searched++;
    return 0;
}

/* Adds a row that is made of `count` items. */
static int add_row(struct reader *r, const json_t *const *items, size_t count)
{
    static const char where[] = "rows";
    struct adl_experiment *e = r->experiment;
    struct adl_experiment_row row = {.own = adl_experiment_object(e, r->err),
                                     .options = adl_experiment_object(e, r->err)};
    const json_t *init = e->json;

    if (!row.own || !row.options || json_object_update(row.options, e->common) < 0)
        return adl_fail_nomem(r->err, "a row");
    for (size_t i = 0; i < count; i++) {
        const char *name, *title;
        if (adl_strict_required(items[i], where, "name", &name, r->err) < 0)
            return -1;
        title = name;
        if (adl_strict_name(name, where, r->err) < 0 ||
            adl_strict_text(items[i], name, "title", &title, r->err) < 0 ||
            add_options(r, &row, json_object_get(items[i], "options"), name) < 0)
            return -1;
        title = title ? title : name;
        row.name = i ? ADL_ARENA_TEXT(&e->arena, r->err, "%s-%s", row.name, name) : name;
        row.title = i ? ADL_ARENA_TEXT(&e->arena, r->err, "%s, %s", row.title, title) : title;
        if (!row.name || !row.title)
            return -1;
        if (json_object_get(items[i], "init"))
            init = items[i];
        if (json_object_get(items[i], "draw") && !e->search_draws)
            return adl_fail(r->err, ADL_ERR_FORMAT,
                            "%s: has a \"draw\", but there is no \"search\"", name);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            const json_t *with = json_object_get(items[i], "with");
            const char *other = json_string_value(json_object_get(items[k], "name"));
            if (add_options(r, &row, json_object_get(with, other), row.name) < 0)
                return -1;
        }
    return r->experiment->search_draws ? push_draws(r, &row, items, count, init)
                                       : push_row(r, &row, init);
}

/* --- products ---------------------------------------------------------------------------- */

/* The items that {"with": ...} names have to exist. */
static int check_with(struct reader *r, const json_t *product, const json_t *item)
{
    const json_t *with = json_object_get(item, "with");
    const char *name;
    json_t *options;

    if (with && !json_is_object(with))
        return adl_fail(r->err, ADL_ERR_FORMAT, "rows: \"with\" has to be an object");
    json_object_foreach((json_t *)(uintptr_t)with, name, options)
    {
        struct adl_nearest nearest = {.word = name};
        bool found = false;
        for (size_t f = 0; f < json_array_size(product); f++)
            for (size_t i = 0; i < json_array_size(json_array_get(product, f)); i++) {
                const char *other = json_string_value(
                    json_object_get(json_array_get(json_array_get(product, f), i), "name"));
                found |= other && !strcmp(other, name);
                if (other)
                    adl_nearest_offer(&nearest, other);
            }
        if (!found)
            return adl_fail(r->err, ADL_ERR_FORMAT,
                            "rows: \"with\" names %s, which is no item of the product%s%s%s",
                            adl_name_quote(name, strlen(name)).text,
                            nearest.best ? "; did you mean \"" : "",
                            nearest.best ? nearest.best : "", nearest.best ? "\"?" : "");
    }
    return 0;
}

static int check_product(struct reader *r, const json_t *product)
{
    size_t factors = json_array_size(product), combinations = 1;

    if (factors == 0 || factors > MAX_FACTORS)
        return adl_fail(r->err, ADL_ERR_FORMAT,
                        "rows: \"product\" has to be a list of up to %d lists", MAX_FACTORS);
    for (size_t f = 0; f < factors; f++) {
        const json_t *items = json_array_get(product, f);
        if (json_array_size(items) == 0 || json_array_size(items) > MAX_ROWS)
            return adl_fail(r->err, ADL_ERR_FORMAT,
                            "rows: each part of \"product\" has to be a list with an item");
        combinations *= json_array_size(items);
        if (combinations > MAX_ROWS)
            return adl_fail(r->err, ADL_ERR_LIMIT, "there are more than %d rows", MAX_ROWS);
        for (size_t i = 0; i < json_array_size(items); i++)
            if (adl_strict_object(json_array_get(items, i), "an item of a product", item_keys,
                                  r->err) < 0 ||
                check_with(r, product, json_array_get(items, i)) < 0)
                return -1;
    }
    return 0;
}

/* Adds a row for each combination; the last list varies fastest. */
static int add_product(struct reader *r, const json_t *product)
{
    size_t factors = json_array_size(product), index[MAX_FACTORS] = {0};
    const json_t *items[MAX_FACTORS];

    if (check_product(r, product) < 0)
        return -1;
    for (;;) {
        for (size_t f = 0; f < factors; f++)
            items[f] = json_array_get(json_array_get(product, f), index[f]);
        if (add_row(r, items, factors) < 0)
            return -1;
        size_t f = factors;
        while (f > 0 && ++index[f - 1] == json_array_size(json_array_get(product, f - 1)))
            index[--f] = 0;
        if (f == 0)
            return 0;
    }
}

static int add_all(struct reader *r)
{
    const json_t *rows;

    if (adl_strict_list(r->experiment->json, "the file", "rows", &rows, r->err) < 0)
        return -1;
    if (!rows)
        return adl_fail(r->err, ADL_ERR_FORMAT, "there are no \"rows\"");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *product = json_object_get(row, "product");
        char where[40];
        snprintf(where, sizeof where, "rows[%zu]", i);
        if (adl_strict_object(row, where, product ? product_keys : row_keys, r->err) < 0 ||
            (product ? add_product(r, product) : add_row(r, &row, 1)) < 0)
            return -1;
    }
    return 0;
}

/* --- the command line --------------------------------------------------------------------- */

/* Reads --set into r->set and into the common options. */
static int read_set(struct reader *r)
{
    const struct adl_option_list *set = &r->experiment->settings->set;

    r->set = adl_experiment_object(r->experiment, r->err);
    if (!r->set)
        return -1;
    for (size_t i = 0; i < set->count; i++) {
        const char *equals = strchr(set->items[i], '=');
        size_t length = equals ? (size_t)(equals - set->items[i]) : strlen(set->items[i]);
        char *name = adl_strndup(set->items[i], length);
        json_t *value = !equals ? json_true() : equals[1] ? json_string(equals + 1) : json_null();
        int failed = !name || !value || json_object_set(r->set, name, value) < 0;
        failed =
            failed || (json_is_null(value) ? (json_object_del(r->experiment->common, name), 0)
                                           : json_object_set(r->experiment->common, name, value));
        json_decref(value);
        adl_free(name);
        if (failed)
            return adl_fail(r->err, ADL_ERR_ARG, "--set %s: is not a text in UTF-8",
                            ADL_SHORT(set->items[i]));
    }
    return 0;
}

/* Fails if --rows names a row that does not exist. */
static int check_choice(struct reader *r)
{
    const char *rows = r->experiment->settings->rows;

    while (rows && *rows) {
        size_t length = strcspn(rows, ","), i = 0;
        while (i < r->count && !is_named(&r->rows[i], rows, length))
            i++;
        if (i == r->count) {
            const char *word = ADL_ARENA_TEXT(&r->experiment->arena, r->err, "%.*s",
                                              (int)(length < 200 ? length : 200), rows);
            struct adl_nearest nearest = {.word = word ? word : ""};
            for (i = 0; i < r->count; i++)
                adl_nearest_offer(&nearest, r->rows[i].name);
            return adl_fail(r->err, ADL_ERR_ARG, "there is no row \"%s\"%s%s%s", nearest.word,
                            nearest.best ? "; did you mean " : "; --list shows them",
                            nearest.best ? nearest.best : "", nearest.best ? "?" : "");
        }
        rows += length + (rows[length] == ',');
    }
    return 0;
}

/* Finds the row that others are compared with, by its name or as the first one. */
static int find_reference(struct reader *r, const char **name)
{
    if (!r->rows)
        return adl_fail(r->err, ADL_ERR_FORMAT, "\"rows\" has to be a list with an item");
    *name = r->rows[0].name;
    if (adl_strict_text(r->experiment->json, "the file", "reference", name, r->err) < 0)
        return -1;
    for (size_t i = 0; i < r->count && *name; i++)
        if (!strcmp(r->rows[i].name, *name))
            return 0;
    return adl_fail(r->err, ADL_ERR_FORMAT, "\"reference\": there is no row \"%s\"",
                    *name ? *name : "null");
}

/* Keeps the rows that are chosen. */
static int keep_chosen(struct reader *r)
{
    struct adl_experiment *e = r->experiment;
    const char *reference;

    if (check_choice(r) < 0 || find_reference(r, &reference) < 0)
        return -1;
    struct adl_experiment_row *kept = adl_arena_alloc(&e->arena, r->count, sizeof *kept);
    if (!kept)
        return adl_fail_nomem(r->err, "rows");
    e->rows = kept;
    for (size_t i = 0; i < r->count; i++) {
        if (!is_chosen(r, &r->rows[i]))
            continue;
        if (!strcmp(r->rows[i].name, reference))
            e->reference = e->row_count;
        kept[e->row_count++] = r->rows[i];
    }
    e->partial = e->row_count < r->count;
    if (e->row_count == 0)
        return adl_fail(r->err, ADL_ERR_ARG, "--rows chooses no row");
    return 0;
}

int adl_experiment_read_rows(struct adl_experiment *experiment, const char *dir,
                             struct adl_error *err)
{
    struct reader r = {.experiment = experiment, .dir = dir, .err = err};
    const json_t *common = json_object_get(experiment->json, "common");
    int result = -1;

    experiment->common = adl_experiment_object(experiment, err);
    if (!experiment->common)
        return -1;
    ADL_TRY(adl_strict_options(experiment->common, common, "\"common\"", err));
    ADL_TRY(read_set(&r));
    ADL_TRY(add_all(&r));
    ADL_TRY(keep_chosen(&r));
    result = 0;
out:
    adl_free(r.rows);
    return result;
}
