/* Reads a data set from one CSV file of paths and labels:
 *
 *     path,label            a heading, optional; other usual words will do
 *     cats/1.jpg,cat        the path is relative to the directory of the file, or to --images
 *     "a, b.jpg",dog
 *
 * A third column may name the split of each image. Without one, every tenth image of a class is
 * val, as in a directory per class (split.c).
 *
 * With several labels (options->multi_label), these are parted by "|", and the same path may come
 * again with others; an image without a label has an empty field. Without a column of splits, the
 * rarest label of an image counts as its class when val is chosen.
 *
 * The classes are the labels of train in byte order; labels that only the split that is read has
 * follow, so that a class has the same number in every split that knows it. */

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "data/csv.h"
#include "data/draft.h"
#include "data/folder_list.h"
#include "data/split.h"
#include "io/file.h"

/* A line of the file. The texts are in the memory of the reader. */
struct row {
    const char *id;
    const char *label; /* NULL: the image has none */
    const char *split; /* its usual name; NULL: there is no third column */
    size_t line;
    int class_id; /* -1: of no class of this split */
    bool first;   /* of the rows of its image */
    size_t head;  /* the index of that row */
};

struct list {
    struct adl_draft *draft;
    struct adl_csv csv;
    struct row *rows; /* in the order of the file; owned */
    size_t count, capacity;
    bool parted;         /* there is a third column */
    bool several;        /* an image may have several rows */
    enum adl_part part;  /* without one: the images that belong to the split */
    const char *wanted;  /* with one: the split */
    struct row **sorted; /* the rows in some order; owned */
};

/* --- lines ------------------------------------------------------------------------- */

static int fail_line(const struct list *l, const char *problem, const char *text,
                     struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: %s: %s", l->csv.path, l->csv.line, problem,
                    adl_name_quote(text, strlen(text)).text);
}

/* The words of headings, ours first. */
static const char *const path_words[] = {"path",  "file",     "filename",   "file_name",
                                         "image", "image_id", "image_path", NULL};
static const char *const label_words[] = {"label",    "class",  "class_name", "class_label",
                                          "category", "target", NULL};
static const char *const split_words[] = {"split", "set", "subset", NULL};

static bool is_word(const char *field, const char *const *words)
{
    while (*words && strcasecmp(field, *words))
        words++;
    return *words;
}

static bool is_heading(const struct adl_csv *csv)
{
    return csv->count >= 2 && is_word(csv->fields[0], path_words) &&
           is_word(csv->fields[1], label_words) &&
           (csv->count == 2 || (csv->count == 3 && is_word(csv->fields[2], split_words)));
}

/* Returns the path below the image directory, without the "./" that find puts before paths; a path
 * that begins with that directory is one, too. */
static const char *below(const char *dir, const char *path)
{
    size_t length = strlen(dir);
    while (length > 0 && dir[length - 1] == '/')
        length--;
    if (*path == '/' && strncmp(path, dir, length) == 0 && path[length] == '/')
        path += length + strspn(path + length, "/");
    while (path[0] == '.' && path[1] == '/')
        path += 1 + strspn(path + 1, "/");
    return path;
}

/* Returns whether a path could be written without some of its characters: then it could name an
 * image that another line names, too. */
static bool is_roundabout(const char *path)
{
    return strstr(path, "//") || strstr(path, "/./");
}

static int check_label(const struct list *l, const char *label, struct adl_error *err)
{
    size_t length = strlen(label);

    if (!length)
        return fail_line(l, "has no label", l->csv.fields[0], err);
    if (length > ADL_LIMIT_CLASS_NAME_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s line %zu: has a label of more than %d bytes",
                        l->csv.path, l->csv.line, ADL_LIMIT_CLASS_NAME_BYTES);
    for (const char *c = label; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            return fail_line(l, "has a control character in its label", label, err);
    /* "a.jpg, cat": the label would be another class than "cat". */
    if (label[0] == ' ' || label[length - 1] == ' ')
        return fail_line(l, "has a space before or after its label", label, err);
    return 0;
}

static int check_split(const struct list *l, const char *split, struct adl_error *err)
{
    if (!*split || strchr(split, '/') || !adl_dataset_id_valid(split) || strchr(split, ' '))
        return fail_line(l, "has a third field that cannot be the name of a split", split, err);
    return 0;
}

/* Appends a row of the image `id` for a label, or NULL. */
static int append_row(struct list *l, const char *id, const char *label, struct adl_error *err)
{
    const struct adl_csv *csv = &l->csv;

    if (l->count == ADL_LIMIT_DATASET_IMAGES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: has more than %d lines", csv->path,
                        ADL_LIMIT_DATASET_IMAGES);
    struct row *rows = adl_array_grow(l->rows, &l->capacity, l->count + 1, sizeof *rows);
    if (!rows)
        return adl_fail_nomem(err, "the data set's images");
    l->rows = rows;
    l->rows[l->count] =
        (struct row){.id = id,
                     .label = label,
                     .split = l->parted ? adl_draft_split_name(csv->fields[2]) : NULL,
                     .line = csv->line,
                     .class_id = -1,
                     .first = true,
                     .head = l->count};
    l->count++;
    return 0;
}

/* Appends a row for each label of a record, which are parted by "|" if there may be several. */
static int append_labels(struct list *l, const char *id, struct adl_error *err)
{
    char *label = l->csv.fields[1];

    if (l->several && !*label)
        return append_row(l, id, NULL, err);
    for (char *next; label; label = next) {
        next = l->several ? strchr(label, '|') : NULL;
        if (next)
            *next++ = '\0';
        if (check_label(l, label, err) < 0 || append_row(l, id, label, err) < 0)
            return -1;
    }
    return 0;
}

static int add_row(struct list *l, struct adl_error *err)
{
    const struct adl_csv *csv = &l->csv;

    if (csv->count < 2 || csv->count > 3)
        return fail_line(l, "is not PATH,LABEL or PATH,LABEL,SPLIT", csv->fields[0], err);
    if (l->count > 0 && l->parted != (csv->count == 3))
        return fail_line(l,
                         l->parted ? "has no third field, the split, which others have"
                                   : "has a third field, which others lack",
                         csv->fields[0], err);
    l->parted = csv->count == 3;
    const char *id = below(l->draft->dataset->image_dir, csv->fields[0]);
    if (!adl_dataset_id_valid(id))
        return fail_line(l, "is not a path below the image directory, which --images sets",
                         csv->fields[0], err);
    if (csv->line == 1 && is_word(csv->fields[0], label_words) &&
        is_word(csv->fields[1], path_words))
        return fail_line(l, "is a heading in another order than PATH,LABEL", csv->fields[0], err);
    if (is_roundabout(id))
        return fail_line(l, "has a path with an empty part or with the part .", id, err);
    if (l->parted && check_split(l, csv->fields[2], err) < 0)
        return -1;
    return append_labels(l, id, err);
}

static int read_rows(struct list *l, struct adl_error *err)
{
    bool first = true;
    int more;

    while ((more = adl_csv_next(&l->csv, err)) > 0) {
        if (!(first && is_heading(&l->csv)) && add_row(l, err) < 0)
            return -1;
        first = false;
    }
    if (more < 0)
        return -1;
    if (l->count == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: lists no image", l->csv.path);
    l->sorted = adl_malloc(l->count, sizeof *l->sorted);
    if (!l->sorted)
        return adl_fail_nomem(err, "the images' order");
    for (size_t i = 0; i < l->count; i++)
        l->sorted[i] = &l->rows[i];
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
    int order = strcmp(x->id, y->id);
    return order ? order : (x > y) - (x < y);
}

/* Images without a label come last. */
static int compare_labels(const struct row *x, const struct row *y)
{
    return x->label && y->label ? strcmp(x->label, y->label) : !x->label - !y->label;
}

static int by_label(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
    int order = compare_labels(x, y);
    return order ? order : (x > y) - (x < y);
}

static int fail_twins(const struct list *l, const struct row *row, const struct row *earlier,
                      const char *how, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: lists %s again%s, after line %zu",
                    l->csv.path, row->line, adl_name_quote(row->id, strlen(row->id)).text, how,
                    earlier->line);
}

/* Sorts the rows by image and refuses two of one image; or, if it may have several, joins them and
 * refuses those that contradict each other. */
static int join_twins(struct list *l, struct adl_error *err)
{
    qsort(l->sorted, l->count, sizeof *l->sorted, by_id);
    for (size_t i = 1; i < l->count; i++) {
        const struct row *earlier = l->sorted[i - 1];
        struct row *row = l->sorted[i];
        if (strcmp(earlier->id, row->id) != 0)
            continue;
        if (!l->several)
            return fail_twins(l, row, earlier, "", err);
        if (!row->label || !earlier->label)
            return fail_twins(l, row, earlier, ", and one of the lines has no label", err);
        if (row->split && earlier->split && strcmp(row->split, earlier->split) != 0)
            return fail_twins(l, row, earlier, " in another split", err);
        row->first = false;
        row->head = earlier->head;
    }
    return 0;
}

/* Refuses a label that an image has twice. The rows are sorted by label. */
static int refuse_same_labels(const struct list *l, struct adl_error *err)
{
    size_t *last = adl_malloc(l->count, sizeof *last);
    int result = 0;

    if (!last)
        return adl_fail_nomem(err, "the images' labels");
    for (size_t i = 0; i < l->count; i++)
        last[i] = SIZE_MAX;
    for (size_t i = 0; i < l->count && result == 0; i++) {
        const struct row *row = l->sorted[i];
        size_t before = last[row->head];
        if (row->label && before != SIZE_MAX && !strcmp(l->sorted[before]->label, row->label))
            result = fail_twins(l, row, l->sorted[before], " with the same label", err);
        last[row->head] = i;
    }
    adl_free(last);
    return result;
}

/* --- classes and splits ----------------------------------------------------------------- */

static bool is_wanted(const struct list *l, const struct row *row)
{
    return !l->parted || !strcmp(l->wanted, "all") || !strcmp(row->split, l->wanted);
}

/* Numbers the labels of the rows of train, or of those of the split that have no number yet. The
 * rows are sorted by label. */
static int add_classes(struct list *l, struct adl_names *classes, bool of_train,
                       struct adl_error *err)
{
    for (size_t i = 0, next; i < l->count; i = next) {
        bool used = false;
        for (next = i; next < l->count && !compare_labels(l->sorted[i], l->sorted[next]); next++)
            used |= of_train ? !l->parted || !strcmp(l->sorted[next]->split, "train")
                             : is_wanted(l, l->sorted[next]);
        if (!used || !l->sorted[i]->label || l->sorted[i]->class_id >= 0)
            continue;
        if (classes->count == ADL_LIMIT_CLASSES)
            return adl_fail(err, ADL_ERR_LIMIT, "%s: has more than %d labels", l->csv.path,
                            ADL_LIMIT_CLASSES);
        const char *name = adl_draft_text(l->draft, err, "%s", l->sorted[i]->label);
        if (!name)
            return -1;
        for (size_t k = i; k < next; k++)
            l->sorted[k]->class_id = (int)classes->count;
        if (adl_names_add(classes, name, err) < 0)
            return -1;
    }
    return 0;
}

/* An image and the class by which val is chosen. */
struct member {
    int class_id; /* the rarest of the image; -1: it has none */
    const struct row *row;
};

static int by_member(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->class_id != y->class_id)
        return x->class_id < y->class_id ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Lists the images by class, and within one in the order of the file. Returns how many there are.
 */
static size_t list_members(const struct list *l, size_t *counts, struct member *members)
{
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++) {
        members[i] = (struct member){-1, &l->rows[i]};
        if (l->rows[i].class_id >= 0)
            counts[l->rows[i].class_id]++;
    }
    for (size_t i = 0; i < l->count; i++) {
        int *own = &members[l->rows[i].head].class_id, other = l->rows[i].class_id;
        if (other >= 0 && (*own < 0 || counts[other] < counts[*own] ||
                           (other < *own && counts[other] == counts[*own])))
            *own = other;
    }
    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].first)
            members[count++] = members[i];
    qsort(members, count, sizeof *members, by_member);
    return count;
}

/* Sets keep[i], where row i is the first of an image, to whether this belongs to the split, without
 * a column that says it. */
static int choose(const struct list *l, bool *keep, struct adl_error *err)
{
    const char **names = adl_malloc(l->count, sizeof *names);
    bool *chosen = adl_malloc(l->count, sizeof *chosen);
    struct member *members = adl_malloc(l->count, sizeof *members);
    size_t *counts = adl_calloc(ADL_LIMIT_CLASSES, sizeof *counts);
    int result = -1;

    if (!names || !chosen || !members || !counts) {
        adl_fail_nomem(err, "the split");
        goto out;
    }
    size_t count = list_members(l, counts, members);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i; next < count && members[next].class_id == members[i].class_id; next++)
            names[next] = members[next].row->id;
        ADL_TRY(adl_split_choose(names + i, next - i, l->part, chosen + i, err));
    }
    for (size_t i = 0; i < count; i++)
        keep[members[i].row - l->rows] = chosen[i];
    result = 0;
out:
    adl_free(names);
    adl_free(chosen);
    adl_free(members);
    adl_free(counts);
    return result;
}

/* Adds the labels of the images that were added; places[i] is the index of that whose first row is
 * row i. */
static int add_labels(struct list *l, const bool *keep, const size_t *places, struct adl_error *err)
{
    l->draft->labelled = true;
    for (size_t i = 0; i < l->count; i++) {
        const struct row *row = &l->rows[i];
        if (keep[row->head] && row->class_id >= 0 &&
            adl_draft_add_label(l->draft, places[row->head], row->class_id, err) < 0)
            return -1;
    }
    return 0;
}

/* Adds the images of the split, in the order of the file. */
static int add_images(struct list *l, struct adl_error *err)
{
    bool *keep = adl_malloc(l->count, sizeof *keep);
    size_t *places = adl_malloc(l->count, sizeof *places);
    int result = -1;

    if (!keep || !places) {
        adl_fail_nomem(err, "the split");
        goto out;
    }
    for (size_t i = 0; i < l->count; i++)
        keep[i] = is_wanted(l, &l->rows[i]);
    if (!l->parted)
        ADL_TRY(choose(l, keep, err));
    for (size_t i = 0; i < l->count; i++)
        if (keep[i] && l->rows[i].first) {
            places[i] = l->draft->dataset->count;
            ADL_TRY(
                adl_draft_add_image(l->draft, l->rows[i].id, ADL_MAX(l->rows[i].class_id, 0), err));
        }
    if (l->several)
        ADL_TRY(add_labels(l, keep, places, err));
    if (l->parted && l->draft->dataset->count == 0) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s: has no line of the split \"%s\"", l->csv.path,
                 ADL_SHORT(l->draft->options->split));
        goto out;
    }
    result = 0;
out:
    adl_free(keep);
    adl_free(places);
    return result;
}

/* --- the layout ------------------------------------------------------------------------- */

/* Sets the image directory: the one that is given, or that of the file. */
static int find_image_dir(struct adl_draft *draft, struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;
    char *copy = adl_strdup(o->dir);

    if (!copy)
        return adl_fail_nomem(err, "a path");
    draft->dataset->image_dir =
        adl_draft_text(draft, err, "%s", o->images ? o->images : dirname(copy));
    adl_free(copy);
    return draft->dataset->image_dir ? 0 : -1;
}

static int read_list(struct list *l, struct adl_error *err)
{
    struct adl_dataset *d = l->draft->dataset;
    struct adl_names classes = {0};

    if (adl_csv_open(&l->csv, l->draft->options->dir, err) < 0 || read_rows(l, err) < 0 ||
        join_twins(l, err) < 0)
        return -1;
    l->wanted = adl_draft_split_name(l->draft->options->split);
    if (!l->parted &&
        adl_split_find(l->draft, "a list without a column of splits",
                       "add a third column that names the split of each image", &l->part, err) < 0)
        return -1;
    qsort(l->sorted, l->count, sizeof *l->sorted, by_label);
    if (l->several && refuse_same_labels(l, err) < 0)
        return -1;
    int result = add_classes(l, &classes, true, err);
    if (result == 0 && strcmp(l->wanted, "train") != 0)
        result = add_classes(l, &classes, false, err);
    d->classes = classes.items;
    d->class_count = classes.count;
    return result < 0 ? -1 : add_images(l, err);
}

static int csv_match(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err)
{
    const char *dir = draft->options->dir;

    (void)err;
    *fit = dir && adl_file_is_regular(dir) ? ADL_LAYOUT_CERTAIN : ADL_LAYOUT_NO;
    return 0;
}

static int csv_read(struct adl_draft *draft, struct adl_error *err)
{
    struct list l = {.draft = draft, .several = draft->options->multi_label};

    if (draft->options->metadata)
        return adl_fail(err, ADL_ERR_ARG,
                        "%s: is a list of all images; --metadata names lists of another kind",
                        draft->options->dir);
    draft->dataset->upright = true;
    int result = find_image_dir(draft, err) < 0 ? -1 : read_list(&l, err);
    adl_free(l.rows);
    adl_free(l.sorted);
    adl_csv_close(&l.csv);
    return result;
}

const struct adl_layout adl_layout_csv = {ADL_DATASET_CSV, csv_match, csv_read};
