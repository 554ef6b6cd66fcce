/* Reads boxes as YOLO's tools write them: for each image IMAGES/a/1.jpg a text LABELS/a/1.txt, with
 * a line for each box, numbers parted by blanks:
 *
 *     CLASS CX CY WIDTH HEIGHT      centre and size as fractions of the sides, class ids from 0
 *     CLASS X1 Y1 X2 Y2 X3 Y3 ...   a polygon, which counts as the smallest box around it
 *
 * The splits are in DIR/labels/SPLIT beside DIR/images/SPLIT (Ultralytics), or in DIR/SPLIT/labels
 * beside DIR/SPLIT/images (Roboflow); where there is no directory of any split, each name of a
 * split is all of DIR/labels. Names of the classes are in classes.txt, or below `names:` in
 * data.yaml. As the boxes are fractions, the header of each image is read for its size. */

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "data/annotated.h"
#include "data/lines.h"
#include "data/yaml_names.h"
#include "image/image_decode.h"
#include "io/file.h"

struct yolo {
    struct adl_annotated a;
    const char *labels; /* directory of the texts */
    const char *images; /* directory of the images that belong to them */
    bool named;         /* there is a list of class names */
    const char *before; /* what the ids of the images begin with, below the image directory */
};

/* --- classes ------------------------------------------------------------------------- */

/* Cuts the blanks around a text. */
static char *without_blanks(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]))
        text[--length] = '\0';
    return text;
}

static int add_class(struct yolo *y, const char *text, struct adl_error *err)
{
    int label, next = (int)y->a.labels.count;

    if (adl_annotated_add_label(&y->a, text, &label, err) < 0)
        return -1;
    if (label != next)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: two classes are called %s", y->a.path,
                        adl_name_quote(text, strlen(text)).text);
    return 0;
}

static int read_yaml(struct yolo *y, const char *path, struct adl_error *err)
{
    struct adl_names names = {0};
    int result = -1;

    ADL_TRY(adl_yaml_names(y->a.draft, path, &names, err));
    for (size_t i = 0; i < names.count; i++)
        ADL_TRY(add_class(y, names.items[i], err));
    result = 0;
out:
    adl_free(names.items);
    return result;
}

static int read_classes(struct yolo *y, struct adl_error *err)
{
    struct adl_draft *draft = y->a.draft;
    struct adl_lines lines = {0};
    int more, result = -1;
    const char *dir = draft->options->dir;
    const char *list = adl_draft_text(draft, err, "%s/classes.txt", dir);
    const char *below = adl_draft_text(draft, err, "%s/labels/classes.txt", dir);
    const char *yaml = adl_draft_text(draft, err, "%s/data.yaml", dir);

    if (!list || !below || !yaml)
        return -1;
    if (!adl_file_is_regular(list))
        list = below;
    if (!adl_file_is_regular(list))
        return adl_file_is_regular(yaml) ? read_yaml(y, yaml, err) : 0;
    ADL_TRY(adl_lines_open(&lines, list, err));
    while ((more = adl_lines_next(&lines, err)) > 0)
        ADL_TRY(add_class(y, without_blanks(lines.line), err));
    result = more;
out:
    adl_lines_close(&lines);
    return result;
}

/* --- boxes --------------------------------------------------------------------------- */

/* Sets *image to the path of the image of a text; NULL if there is none. */
static int find_image(struct yolo *y, const char *stem, const char **image, struct adl_error *err)
{
    const char *extension;

    *image = NULL;
    for (size_t i = 0; !*image && (extension = adl_image_extension(i / 2)) != NULL; i++) {
        char end[8] = {0};
        for (size_t c = 0; c < sizeof end - 1 && extension[c]; c++)
            end[c] = (char)(i % 2 ? toupper((unsigned char)extension[c]) : extension[c]);
        const char *path = adl_draft_text(y->a.draft, err, "%s/%s.%s", y->images, stem, end);
        if (!path)
            return -1;
        if (access(path, F_OK) == 0)
            *image = path;
    }
    return 0;
}

static int image_size(const char *path, struct adl_image_needs *needs, struct adl_error *err)
{
    size_t length;
    char *bytes = adl_file_read(path, ADL_LIMIT_IMAGE_FILE_BYTES, &length, err);

    if (!bytes)
        return -1;
    int result = adl_image_examine(bytes, length, NULL, NULL, 0, needs, err);
    adl_free(bytes);
    return result < 0 ? adl_error_context(err, "%s", path) : 0;
}

/* Reads the numbers of a line; returns how many there are, 0 if one is none. */
static size_t read_numbers(const char *line, double *values, size_t most)
{
    size_t count = 0;

    for (const char *next = line + strspn(line, " \t"); *next; next += strspn(next, " \t")) {
        char *end;
        double value = strtod(next, &end);
        if (end == next || !isfinite(value) || (*end && *end != ' ' && *end != '\t'))
            return 0;
        if (count < most)
            values[count] = value;
        count++;
        next = end;
    }
    return count;
}

static int read_line(struct yolo *y, const struct adl_lines *lines, size_t picture,
                     struct adl_error *err)
{
    double v[5 + 1], edges[4];
    size_t count = read_numbers(lines->line, v, ADL_COUNT(v));
    const struct adl_annotated_picture *p = &y->a.pictures[picture];
    bool polygon = count > ADL_COUNT(v) && count % 2 == 1;

    if ((count != 5 && count != 6 && !polygon) || v[0] < 0 || v[0] != floor(v[0]) ||
        v[0] >= ADL_LIMIT_CLASSES)
        return adl_lines_fail(lines, "is not CLASS CX CY WIDTH HEIGHT, in fractions of the sides",
                              err);
    /* Without names, the classes are called by their numbers. */
    while (!y->named && y->a.labels.count <= (size_t)v[0]) {
        char name[20];
        int label;
        snprintf(name, sizeof name, "%zu", y->a.labels.count);
        if (adl_annotated_add_label(&y->a, name, &label, err) < 0)
            return -1;
    }
    if ((size_t)v[0] >= y->a.labels.count)
        return adl_lines_fail(lines, "has a class that has no name", err);
    edges[0] = v[1] - v[3] / 2;
    edges[1] = v[2] - v[4] / 2;
    edges[2] = v[1] + v[3] / 2;
    edges[3] = v[2] + v[4] / 2;
    if (polygon) {
        const char *text = lines->line + strspn(lines->line, " \t");
        text += strcspn(text, " \t");
        edges[0] = edges[1] = INFINITY;
        edges[2] = edges[3] = -INFINITY;
        for (size_t i = 0; i + 1 < count; i++) {
            char *end;
            double value = strtod(text, &end);
            text = end;
            edges[i % 2] = fmin(edges[i % 2], value);
            edges[2 + i % 2] = fmax(edges[2 + i % 2], value);
        }
    }
    for (size_t i = 0; i < ADL_COUNT(edges); i++)
        edges[i] *= i % 2 ? p->height : p->width;
    return adl_annotated_add_box(&y->a, picture, (int)v[0], edges, err);
}

/* Reads the boxes of one text below the directory of labels. */
static int read_text(struct yolo *y, const char *stem, struct adl_error *err)
{
    struct adl_draft *draft = y->a.draft;
    struct adl_lines lines = {0};
    struct adl_image_needs needs;
    size_t picture;
    int more, result = -1;
    const char *path = adl_draft_text(draft, err, "%s/%s.txt", y->labels, stem);
    const char *image;

    if (!path || find_image(y, stem, &image, err) < 0)
        return -1;
    if (!image)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: has no image %s.jpg, .png or the like in %s; --images names another "
                        "directory",
                        path, stem, y->images);
    if (image_size(image, &needs, err) < 0)
        return -1;
    const char *id = adl_draft_text(draft, err, "%s%s", y->before, image + strlen(y->images) + 1);
    if (!id || adl_annotated_add_picture(&y->a, id, needs.width, needs.height, &picture, err) < 0)
        return -1;
    ADL_TRY(adl_lines_open(&lines, path, err));
    lines.blank = true; /* as Ultralytics has it */
    while ((more = adl_lines_next(&lines, err)) > 0)
        ADL_TRY(read_line(y, &lines, picture, err));
    result = more;
out:
    adl_lines_close(&lines);
    return result;
}

/* Reads the texts below the directory of labels. */
static int read_texts(struct yolo *y, struct adl_error *err)
{
    struct adl_names names = {0};
    int result = -1;

    ADL_TRY(adl_names_below(y->a.draft, y->labels, ".txt", false, &names, err));
    for (size_t i = 0; i < names.count; i++)
        if (strcmp(names.items[i], "classes") != 0)
            ADL_TRY(read_text(y, names.items[i], err));
    result = 0;
out:
    adl_free(names.items);
    return result;
}

/* --- the layout ---------------------------------------------------------------------- */

static const char *const splits[] = {"train", "val", "test"};

/* Sets y->labels and y->images to the directories of a split in DIR/SPLIT, and *name to its name.
 * Leaves them if there is none. */
static int find_pair(struct yolo *y, const char *split, const char **name, struct adl_error *err)
{
    struct adl_draft *draft = y->a.draft;
    const char *dir = draft->options->dir, *parent;

    *name = NULL;
    if (adl_draft_find_split(draft, dir, split, &parent, err) < 0)
        return -1;
    if (!parent)
        return 0;
    const char *labels = adl_draft_text(draft, err, "%s/labels", parent);
    const char *images = adl_draft_text(draft, err, "%s/images", parent);
    if (!labels || !images)
        return -1;
    if (!adl_file_is_folder(labels))
        return 0;
    *name = parent + strlen(dir) + 1;
    y->labels = labels;
    y->images = images;
    return 0;
}

/* Sets *found to whether DIR/labels has the directory of any split. */
static int has_splits(struct adl_draft *draft, const char *labels, bool *found,
                      struct adl_error *err)
{
    const char *dir;

    *found = false;
    for (size_t i = 0; i < ADL_COUNT(splits); i++) {
        if (adl_draft_find_split(draft, labels, splits[i], &dir, err) < 0)
            return -1;
        *found |= dir != NULL;
    }
    return 0;
}

/* Finds the directories of a split. Leaves `labels` NULL if there are none: another split is no
 * substitute for one that is missing. All of them are "all", as is what is in no split. */
static int find_places(struct yolo *y, struct adl_error *err)
{
    struct adl_draft *draft = y->a.draft;
    const char *dir = draft->options->dir, *split = draft->options->split, *own, *pair;
    const char *labels = adl_draft_text(draft, err, "%s/labels", dir);
    const char *images = draft->options->images ? draft->options->images
                                                : adl_draft_text(draft, err, "%s/images", dir);
    bool parted;

    if (!labels || !images)
        return -1;
    if (adl_draft_find_split(draft, labels, split, &own, err) < 0)
        return -1;
    y->before = "";
    if (own) {
        const char *name = own + strlen(labels) + 1;
        y->labels = own;
        y->images = adl_draft_text(draft, err, "%s/%s", images, name);
        y->before = adl_draft_text(draft, err, "%s/", name);
        draft->dataset->image_dir = images;
        return y->images && y->before ? 0 : -1;
    }
    if (find_pair(y, split, &pair, err) < 0 || has_splits(draft, labels, &parted, err) < 0)
        return -1;
    if (!pair && adl_file_is_folder(labels) && (!parted || !strcmp(split, "all"))) {
        y->labels = labels;
        y->images = draft->options->images || adl_file_is_folder(images) ? images : dir;
        draft->dataset->drawn = draft->dataset->whole = !parted;
    }
    draft->dataset->image_dir = y->images ? adl_draft_text(draft, err, "%s", y->images) : NULL;
    return y->images && !draft->dataset->image_dir ? -1 : 0;
}

/* Returns whether a directory has texts, or a directory of a split: one of images may be called
 * "labels" as well. */
static int has_texts(struct adl_draft *draft, const char *path, bool *found, struct adl_error *err)
{
    struct adl_names names = {0};
    struct adl_error none = {0};

    if (has_splits(draft, path, found, err) < 0)
        return -1;
    if (!*found && adl_file_is_folder(path) &&
        adl_names_below(draft, path, ".txt", true, &names, &none) < 0 &&
        (none.kind == ADL_ERR_NOMEM || none.kind == ADL_ERR_LIMIT))
        return adl_fail(err, none.kind, "%s", none.message);
    *found |= names.count > 0;
    adl_free(names.items);
    return 0;
}

static int yolo_match(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err)
{
    const char *dir = draft->options->dir;
    const char *labels = adl_draft_text(draft, err, "%s/labels", dir ? dir : ""), *pair;
    struct yolo y = {.a.draft = draft};
    bool found;

    if (!labels)
        return -1;
    *fit = ADL_LAYOUT_NO;
    if (!dir || !adl_file_is_folder(dir))
        return 0;
    if (has_texts(draft, labels, &found, err) < 0)
        return -1;
    for (size_t i = 0; !found && i < ADL_COUNT(splits); i++) {
        if (find_pair(&y, splits[i], &pair, err) < 0 ||
            (pair && has_texts(draft, y.labels, &found, err) < 0))
            return -1;
        found &= pair && adl_file_is_folder(y.images);
    }
    if (found)
        *fit = ADL_LAYOUT_CERTAIN;
    return 0;
}

/* Reads DIR/SPLIT/labels of each split. */
static int read_pairs(struct yolo *y, struct adl_error *err)
{
    const char *name;

    for (size_t i = 0; i < ADL_COUNT(splits); i++) {
        if (find_pair(y, splits[i], &name, err) < 0)
            return -1;
        if (!name)
            continue;
        y->before = adl_draft_text(y->a.draft, err, "%s/images/", name);
        if (!y->before || read_texts(y, err) < 0)
            return -1;
    }
    y->a.draft->dataset->image_dir = adl_draft_text(y->a.draft, err, "%s", y->a.path);
    return y->a.draft->dataset->image_dir ? 0 : -1;
}

static int yolo_read(struct adl_draft *draft, struct adl_error *err)
{
    struct yolo y = {.a = {.draft = draft, .path = draft->options->dir}};
    const char *split = draft->options->split;
    int result = -1;

    ADL_TRY(find_places(&y, err));
    if (!y.labels && strcmp(split, "all") != 0) {
        adl_fail(err, ADL_ERR_NOT_FOUND,
                 "%s: has no labels of a split \"%s\"; \"all\" is all of its labels", y.a.path,
                 ADL_SHORT(split));
        goto out;
    }
    ADL_TRY(read_classes(&y, err));
    y.named = y.a.labels.count > 0;
    result = y.labels ? read_texts(&y, err) : read_pairs(&y, err);
    if (result == 0)
        result = adl_annotated_place(&y.a, err);
out:
    adl_annotated_release(&y.a);
    return result;
}

const struct adl_layout adl_layout_yolo = {ADL_DATASET_BOXES, yolo_match, yolo_read};
