/* Reads boxes as YOLO's tools write them: for each image IMAGES/a/1.jpg a text LABELS/a/1.txt, with
 * a line for each box, numbers parted by blanks:
 *
 *     CLASS CX CY WIDTH HEIGHT      centre and size as fractions of the sides, class ids from 0
 *     CLASS X1 Y1 X2 Y2 X3 Y3 ...   a polygon, which counts as the smallest box around it
 *
 * The splits are in DIR/labels/SPLIT beside DIR/images/SPLIT (Ultralytics), or in DIR/SPLIT/labels
 * beside DIR/SPLIT/images (Roboflow); where labels has no such directory, each name of a split is
 * all of DIR/labels. Names of the classes are in classes.txt, or below `names:` in data.yaml. As
 * the boxes are fractions, the header of each image is read for its size. */

#include <ctype.h>
#include <dirent.h>
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
#include "image/image_decode.h"
#include "io/file.h"

#define DEEPEST 8

struct yolo {
    struct adl_annotated a;
    const char *labels; /* directory of the texts */
    const char *images; /* directory of the images that belong to them */
    bool named;         /* there is a list of class names */
    const char *before; /* what the ids of the images begin with, below the image directory */
};

/* --- classes ------------------------------------------------------------------------- */

/* Cuts blanks, quotes and a comma from a text of YAML. */
static char *bare_text(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r,]", text[length - 1]))
        text[--length] = '\0';
    if (length >= 2 && (*text == '"' || *text == '\'') && text[length - 1] == *text) {
        text[length - 1] = '\0';
        text++;
    }
    return text;
}

static int add_class(struct yolo *y, char *text, struct adl_error *err)
{
    int label, next = (int)y->a.labels.count;

    if (adl_annotated_add_label(&y->a, bare_text(text), &label, err) < 0)
        return -1;
    if (label != next)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: two classes are called %s", y->a.path,
                        adl_name_quote(text, strlen(text)).text);
    return 0;
}

/* Reads `names:` of data.yaml: [a, b] in its line, or "- a" or "0: a" in the lines below. This is
 * the part of YAML that YOLO's tools write. */
static int read_yaml(struct yolo *y, const char *path, struct adl_error *err)
{
    size_t length;
    char *bytes = adl_file_read(path, ADL_LIMIT_BOX_FILE_BYTES, &length, err);
    bool within = false;
    int result = -1;

    if (!bytes)
        return -1;
    for (char *line = bytes, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        char *text = line + strspn(line, " \t");
        if (!*text || *text == '#' || *text == '\r')
            continue;
        if (!within) {
            within = !strncmp(line, "names:", 6);
            text = line + 6;
            text += within ? strspn(text, " \t\r") : 0;
            if (within && *text == '[') {
                for (char *item = text + 1, *end; item; item = end) {
                    end = strchr(item, ',');
                    if (end)
                        *end++ = '\0';
                    item = bare_text(item);
                    if (*item)
                        ADL_TRY(add_class(y, item, err));
                }
                break;
            }
            continue;
        }
        char *colon = text + strspn(text, "0123456789");
        if (*text == '-')
            ADL_TRY(add_class(y, text + 1, err));
        else if (text > line && colon > text && *colon == ':')
            ADL_TRY(add_class(y, colon + 1, err));
        else
            break;
    }
    result = 0;
out:
    adl_free(bytes);
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
        ADL_TRY(add_class(y, lines.line, err));
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
        for (size_t c = 0; extension[c] && c < sizeof end - 1; c++)
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
    while ((more = adl_lines_next(&lines, err)) > 0)
        ADL_TRY(read_line(y, &lines, picture, err));
    result = more;
out:
    adl_lines_close(&lines);
    return result;
}

/* Adds the texts below LABELS/BELOW, without ".txt". */
static int list_texts(struct yolo *y, const char *below, int depth, struct adl_names *names,
                      struct adl_error *err)
{
    struct adl_draft *draft = y->a.draft;
    const char *path = adl_draft_text(draft, err, "%s/%s", y->labels, below);
    DIR *listing = path && depth < DEEPEST ? opendir(path) : NULL;
    int result = -1;

    if (!path)
        return -1;
    if (!listing)
        return adl_fail(err, ADL_ERR_IO, "%s: cannot be read, or is too deep", path);
    for (struct dirent *entry; (entry = readdir(listing));) {
        const char *name = entry->d_name, *dot = strrchr(name, '.');
        if (name[0] == '.')
            continue;
        const char *inner = adl_draft_text(draft, err, "%s%s%s", below, *below ? "/" : "", name);
        const char *whole = inner ? adl_draft_text(draft, err, "%s/%s", y->labels, inner) : NULL;
        if (!whole)
            goto out;
        if (adl_file_is_folder(whole)) {
            ADL_TRY(list_texts(y, inner, depth + 1, names, err));
            continue;
        }
        if (!dot || strcmp(dot, ".txt") != 0 || (!*below && !strcmp(name, "classes.txt")))
            continue;
        inner = adl_draft_text(draft, err, "%.*s", (int)(strlen(inner) - 4), inner);
        if (!inner || adl_names_add(names, inner, err) < 0)
            goto out;
    }
    result = 0;
out:
    closedir(listing);
    return result;
}

/* --- the layout ---------------------------------------------------------------------- */

/* Finds the directories of a split. Leaves `labels` NULL if there are none. */
static int find_places(struct yolo *y, struct adl_error *err)
{
    struct adl_draft *draft = y->a.draft;
    const char *dir = draft->options->dir, *split = draft->options->split, *own, *parent;
    const char *labels = adl_draft_text(draft, err, "%s/labels", dir);
    const char *images = draft->options->images ? draft->options->images
                                                : adl_draft_text(draft, err, "%s/images", dir);

    if (!labels || !images)
        return -1;
    if (adl_draft_find_split(draft, labels, split, &own, err) < 0 ||
        adl_draft_find_split(draft, dir, split, &parent, err) < 0)
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
    if (parent) {
        y->labels = adl_draft_text(draft, err, "%s/labels", parent);
        y->images = adl_draft_text(draft, err, "%s/images", parent);
        draft->dataset->image_dir = y->images;
        if (!y->labels || !y->images)
            return -1;
        if (adl_file_is_folder(y->labels))
            return 0;
    }
    y->labels = adl_file_is_folder(labels) ? labels : NULL;
    y->images = draft->options->images || adl_file_is_folder(images) ? images : dir;
    draft->dataset->image_dir = y->images;
    draft->dataset->drawn = draft->dataset->whole = true;
    return 0;
}

/* Returns whether a directory has texts, or a directory of a split: one of images may be called
 * "labels" as well. */
static bool has_texts(const char *path)
{
    static const char *const splits[] = {"train", "val"};
    DIR *listing = opendir(path);
    bool found = false;

    for (struct dirent *entry; listing && !found && (entry = readdir(listing));) {
        const char *dot = strrchr(entry->d_name, '.');
        found = (dot && dot > entry->d_name && !strcmp(dot, ".txt"));
        for (size_t i = 0; i < ADL_COUNT(splits); i++)
            found |= !strcmp(adl_draft_split_name(entry->d_name), splits[i]);
    }
    if (listing)
        closedir(listing);
    return found;
}

static int yolo_match(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err)
{
    const char *dir = draft->options->dir;
    const char *labels = adl_draft_text(draft, err, "%s/labels", dir ? dir : ""), *parent;

    if (!labels)
        return -1;
    *fit = ADL_LAYOUT_NO;
    if (!dir || !adl_file_is_folder(dir))
        return 0;
    if (has_texts(labels)) {
        *fit = ADL_LAYOUT_CERTAIN;
        return 0;
    }
    if (adl_draft_find_split(draft, dir, draft->options->split, &parent, err) < 0)
        return -1;
    labels = parent ? adl_draft_text(draft, err, "%s/labels", parent) : NULL;
    const char *images = parent ? adl_draft_text(draft, err, "%s/images", parent) : NULL;
    if (parent && (!labels || !images))
        return -1;
    if (parent && has_texts(labels) && adl_file_is_folder(images))
        *fit = ADL_LAYOUT_CERTAIN;
    return 0;
}

static int yolo_read(struct adl_draft *draft, struct adl_error *err)
{
    struct yolo y = {.a = {.draft = draft, .path = draft->options->dir}};
    struct adl_names names = {0};
    int result = -1;

    ADL_TRY(find_places(&y, err));
    if (!y.labels) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s: has no labels of a split \"%s\"", y.a.path,
                 ADL_SHORT(draft->options->split));
        goto out;
    }
    ADL_TRY(read_classes(&y, err));
    y.named = y.a.labels.count > 0;
    ADL_TRY(list_texts(&y, "", 0, &names, err));
    adl_names_sort(&names);
    for (size_t i = 0; i < names.count; i++)
        ADL_TRY(read_text(&y, names.items[i], err));
    result = adl_annotated_place(&y.a, err);
out:
    adl_free(names.items);
    adl_annotated_release(&y.a);
    return result;
}

const struct adl_layout adl_layout_yolo = {ADL_DATASET_BOXES, yolo_match, yolo_read};
