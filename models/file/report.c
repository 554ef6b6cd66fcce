/* Writes the table of weights that do not fit a network:
 *
 *   missing     "fc.weight"             [1000, 768]  in the file: "head.weight" [1000, 768]
 *   unexpected  "head.weight"           [1000, 768]  in the network: "fc.weight" [1000, 768]
 *   misshapen   "fc.bias"               [1001]  needs [1000]
 *
 * For each missing parameter the two nearest unused tensors are named, and for each unexpected
 * tensor the two nearest missing parameters. The distance is the edit distance of the names
 * (base/edit.h), with a penalty for a different shape. Every pair is compared, which for two lists
 * of thousands of long names would take minutes; the search ends after ADL_LIMIT_REPORT_STEPS. */

#include "models/file/report.h"

#include <stdio.h>
#include <string.h>

#include "base/edit.h"
#include "base/name.h"
#include "base/size.h"

/* A candidate of a different shape counts as this many edits further away. With equal shapes up to
 * 3/4 of the longer name may differ ("fc.weight", "classifier.weight"), with different shapes up to
 * half of it. */
#define SHAPE_EDITS 8
#define NEAREST 2

/* One side of a comparison: a tensor of the file or a parameter. */
struct entry {
    const char *name;
    int rank;
    const size_t *shape;
};

struct search {
    size_t steps; /* that remain of ADL_LIMIT_REPORT_STEPS; 0: the search has ended */
    struct entry wanted;
    struct entry nearest[NEAREST];
    size_t edits[NEAREST];
    int count;
};

static struct entry of_param(const struct adl_param *param)
{
    return (struct entry){param->name, param->rank, param->shape};
}

static struct entry of_tensor(const struct adl_tensor *tensor)
{
    return (struct entry){tensor->name, tensor->rank, tensor->shape};
}

static bool same_shape(const struct entry *a, const struct entry *b)
{
    return a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

/* Inserts the candidate into `nearest`, sorted by distance, if it is similar enough. */
static void consider(struct search *search, struct entry candidate)
{
    if (search->steps == 0)
        return;
    /* Of longer names only the first bytes are compared. */
    size_t a = strnlen(search->wanted.name, ADL_EDIT_BYTES);
    size_t b = strnlen(candidate.name, ADL_EDIT_BYTES);
    search->steps -= ADL_MIN((a + 1) * (b + 1), search->steps);

    size_t edits = adl_edit_distance(search->wanted.name, a, candidate.name, b);
    bool shaped = same_shape(&search->wanted, &candidate);
    if (4 * edits > (shaped ? 3 : 2) * ADL_MAX(a, b))
        return;
    if (!shaped)
        edits += SHAPE_EDITS;
    int position = search->count;
    while (position > 0 && search->edits[position - 1] > edits)
        position--;
    if (position == NEAREST)
        return;
    if (search->count < NEAREST)
        search->count++;
    for (int i = search->count - 1; i > position; i--) {
        search->nearest[i] = search->nearest[i - 1];
        search->edits[i] = search->edits[i - 1];
    }
    search->nearest[position] = candidate;
    search->edits[position] = edits;
}

static const char *shape_text(const struct entry *entry, char *text, size_t size)
{
    struct adl_tensor tensor = {.rank = entry->rank};
    memcpy(tensor.shape, entry->shape, (size_t)entry->rank * sizeof *entry->shape);
    return adl_tensor_shape_text(&tensor, text, size);
}

/* Appends the first columns of a row; if `goes_on`, more columns follow. */
static void row(struct adl_str *report, const char *kind, struct entry entry, bool goes_on)
{
    char shape[256];
    adl_str_printf(report, "%-11s %-44s %-*s", kind,
                   adl_name_quote(entry.name, strlen(entry.name)).text, goes_on ? 20 : 0,
                   shape_text(&entry, shape, sizeof shape));
}

static void searched_row(struct adl_str *report, const char *kind, const struct search *search,
                         const char *where)
{
    char shape[256];
    row(report, kind, search->wanted, search->count > 0);
    for (int i = 0; i < search->count; i++) {
        const struct entry *e = &search->nearest[i];
        adl_str_printf(report, "%s%s %s", i ? ", " : where,
                       adl_name_quote(e->name, strlen(e->name)).text,
                       shape_text(e, shape, sizeof shape));
    }
    adl_str_puts(report, "\n");
}

static void more(struct adl_str *report, const char *kind, size_t count)
{
    if (count > ADL_LIMIT_REPORT_ROWS)
        adl_str_printf(report, "%-11s and %zu more\n", kind, count - ADL_LIMIT_REPORT_ROWS);
}

void adl_match_report(const struct adl_match *match, struct adl_str *report)
{
    int params = adl_graph_param_count(match->graph);
    size_t tensors = adl_tensors_count(match->tensors), rows = 0;
    struct search search = {.steps = ADL_LIMIT_REPORT_STEPS};

    for (int i = 0; i < params && rows < ADL_LIMIT_REPORT_ROWS; i++) {
        if (match->found[i])
            continue;
        search.wanted = of_param(adl_graph_param(match->graph, i));
        search.count = 0;
        for (size_t k = 0; k < tensors; k++)
            if (!match->used[k])
                consider(&search, of_tensor(adl_tensors_at(match->tensors, k)));
        searched_row(report, "missing", &search, " in the file: ");
        rows++;
    }
    more(report, "missing", match->missing);

    rows = 0;
    for (size_t k = 0; k < tensors && rows < ADL_LIMIT_REPORT_ROWS; k++) {
        if (match->used[k])
            continue;
        search.wanted = of_tensor(adl_tensors_at(match->tensors, k));
        search.count = 0;
        for (int i = 0; i < params; i++)
            if (!match->found[i])
                consider(&search, of_param(adl_graph_param(match->graph, i)));
        searched_row(report, "unexpected", &search, " in the network: ");
        rows++;
    }
    more(report, "unexpected", match->unexpected);

    for (int i = 0; i < params; i++) {
        if (!match->found[i] || adl_match_fits(match, i))
            continue;
        char shape[256];
        struct entry needed = of_param(adl_graph_param(match->graph, i));
        row(report, "misshapen", of_tensor(match->found[i]), true);
        adl_str_printf(report, " needs %s\n", shape_text(&needed, shape, sizeof shape));
    }
}
