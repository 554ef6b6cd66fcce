/* Ranks the rows of a random search, as the reference protocol tunes each method: N settings drawn
 * from given ranges, trained briefly on a proxy split, and ranked by figures of val (Choe et al.,
 * "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020, with 30 draws). */

#include "server/experiment/search.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/json_text.h"

/* --- ranking ------------------------------------------------------------------------------ */

struct ranked {
    struct adl_experiment_row row;
    size_t place; /* before */
    double figure;
};

static int compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->row.search != y->row.search)
        return x->row.search < y->row.search ? -1 : 1;
    if (isnan(x->figure) != isnan(y->figure))
        return isnan(x->figure) ? 1 : -1;
    if (x->figure > y->figure || x->figure < y->figure)
        return x->figure > y->figure ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

int adl_search_rank(struct adl_experiment *e, const struct adl_figures *f, struct adl_error *err)
{
    struct ranked *ranked = adl_calloc(e->row_count, sizeof *ranked);

    if (!ranked)
        return adl_fail_nomem(err, "the ranks");
    for (size_t i = 0; i < e->row_count; i++)
        ranked[i] = (struct ranked){e->rows[i], i, adl_figures_mean(f, i, e->search_column).mean};
    qsort(ranked, e->row_count, sizeof *ranked, compare);
    for (size_t i = 0; i < e->row_count; i++)
        e->rows[i] = ranked[i].row;
    e->reference = 0;
    adl_free(ranked);
    return 0;
}

/* --- the best ----------------------------------------------------------------------------- */

/* Returns a path that does not depend on the present directory as JSON; null if there is none. */
static json_t *absolute(const char *path)
{
    char real[PATH_MAX];
    bool found = path && strcmp(path, "default") != 0 && realpath(path, real);
    return path ? adl_json_from_text(found ? real : path) : json_null();
}

char *adl_search_best(const struct adl_experiment *e, const struct adl_figures *f, size_t *length,
                      struct adl_error *err)
{
    json_t *rows = json_array();
    int failed = !rows;

    for (size_t i = 0; i < e->row_count && !failed; i++) {
        const struct adl_experiment_row *row = &e->rows[i];
        bool first = i == 0 || e->rows[i - 1].search != row->search;
        if (!first || isnan(adl_figures_mean(f, i, e->search_column).mean))
            continue;
        failed =
            json_array_append_new(rows, json_pack("{s:s, s:s, s:o, s:O}", "name", row->search_name,
                                                  "title", row->search_title, "init",
                                                  absolute(row->init), "options", row->options));
    }
    json_t *best = failed ? NULL
                          : json_pack("{s:s+, s:{s:o, s:o, s:o, s:o}, s:O, s:O*, s:O*, s:O*, s:O*}",
                                      "name", e->name, "-best", "data", "data", absolute(e->data),
                                      "images", absolute(e->images), "metadata",
                                      absolute(e->metadata), "masks", absolute(e->masks), "rows",
                                      rows, "seeds", json_object_get(e->json, "seeds"), "folds",
                                      json_object_get(e->json, "folds"), "measure",
                                      json_object_get(e->json, "measure"), "columns",
                                      json_object_get(e->json, "columns"));
    json_decref(rows);
    char *text = adl_json_to_text(best, JSON_INDENT(2), length, err);
    json_decref(best);
    return text;
}
