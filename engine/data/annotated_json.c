/* Reads boxes from a JSON file of annotations:
 *
 *   COCO           {"images": [{"id", "file_name", "width", "height"}],
 *                   "annotations": [{"image_id", "category_id", "bbox": [x, y, width, height]}],
 *                   "categories": [{"id", "name"}]}
 *                  Edges are in pixels from the upper left corner. The classes have the order of
 *                  `categories`. Annotations of crowds are left out, as COCO's evaluation ignores
 *                  them.
 *   Label Studio   [{"data": {"image": URL}, "annotations": [{"result": [{"original_width",
 *                   "original_height", "value": {"x", "y", "width", "height", "rotation",
 *                   "rectanglelabels": [LABEL]}}]}]}]
 *                  Edges are in percent of the sides. Of the annotations of a task, the one marked
 * as ground truth counts, or else the last that was not cancelled; its predictions are no truth. A
 * rotated rectangle counts as the smallest upright one around it. The classes are in byte order.
 *
 * A file has no splits: each name of a split is all of it. */

#include <jansson.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "data/annotated.h"
#include "data/lines.h"
#include "image/image_decode.h"
#include "io/file.h"

#define PI 3.14159265358979323846

static int malformed(const struct adl_annotated *a, const char *list, size_t index,
                     const char *problem, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "%s: %s[%zu] %s", a->path, list, index, problem);
}

/* Sets *value to a number; returns false if it is none. */
static bool number(const json_t *json, double *value)
{
    *value = json_number_value(json);
    return json_is_number(json);
}

/* Returns a side in pixels; 0 if it is missing, -1 if it is none. */
static int side(const json_t *json)
{
    double value = json_number_value(json);
    if (!json || json_is_null(json))
        return 0;
    return json_is_number(json) && value >= 0 && value <= 1e7 ? (int)value : -1;
}

/* --- COCO --------------------------------------------------------------------------- */

/* Writes an id, a number or a text, as the key of a table; returns false if it is neither. */
static bool id_key(const json_t *id, char key[80])
{
    if (json_is_integer(id))
        snprintf(key, 80, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
    else if (json_is_string(id) && json_string_length(id) < 79)
        snprintf(key, 80, "\"%s", json_string_value(id));
    else
        return false;
    return true;
}

static int set_index(json_t *table, const char *key, size_t index, struct adl_error *err)
{
    if (json_object_set_new(table, key, json_integer((json_int_t)index)) < 0)
        return adl_fail_nomem(err, "the ids of annotations");
    return 0;
}

static int coco_categories(struct adl_annotated *a, const json_t *list, json_t *ids,
                           struct adl_error *err)
{
    const json_t *item;
    size_t i;
    char key[80];
    int label;

    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (!id_key(json_object_get(item, "id"), key) || !name)
            return malformed(a, "categories", i, "has no id or no name", err);
        if (json_object_get(ids, key))
            return malformed(a, "categories", i, "has the id of another one", err);
        if (adl_annotated_add_label(a, name, &label, err) < 0 ||
            set_index(ids, key, (size_t)label, err) < 0)
            return -1;
    }
    return 0;
}

static int coco_images(struct adl_annotated *a, const json_t *list, json_t *ids,
                       struct adl_error *err)
{
    const json_t *item;
    size_t i, index;
    char key[80];

    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "file_name"));
        if (!id_key(json_object_get(item, "id"), key) || !name)
            return malformed(a, "images", i, "has no id or no file_name", err);
        if (json_object_get(ids, key))
            return malformed(a, "images", i, "has the id of another one", err);
        if (adl_annotated_add_picture(a, name, side(json_object_get(item, "width")),
                                      side(json_object_get(item, "height")), &index, err) < 0 ||
            set_index(ids, key, index, err) < 0)
            return -1;
    }
    return 0;
}

static int coco_box(struct adl_annotated *a, const json_t *item, size_t i, const json_t *images,
                    const json_t *categories, struct adl_error *err)
{
    const json_t *bbox = json_object_get(item, "bbox"), *crowd = json_object_get(item, "iscrowd");
    const json_t *picture = NULL, *category = NULL;
    char key[80];
    double v[4];

    if (json_number_value(crowd) != 0 || json_is_true(crowd))
        return 0;
    if (id_key(json_object_get(item, "image_id"), key))
        picture = json_object_get(images, key);
    if (!picture)
        return malformed(a, "annotations", i, "has an image_id that no image has", err);
    if (id_key(json_object_get(item, "category_id"), key))
        category = json_object_get(categories, key);
    if (!category)
        return malformed(a, "annotations", i, "has a category_id that no category has", err);
    for (size_t k = 0; k < ADL_COUNT(v); k++)
        if (json_array_size(bbox) != ADL_COUNT(v) || !number(json_array_get(bbox, k), &v[k]))
            return malformed(a, "annotations", i, "has no bbox [x, y, width, height]", err);
    const double edges[] = {v[0], v[1], v[0] + v[2], v[1] + v[3]};
    return adl_annotated_add_box(a, (size_t)json_integer_value(picture),
                                 (int)json_integer_value(category), edges, err);
}

static int read_coco(struct adl_annotated *a, const json_t *root, struct adl_error *err)
{
    const json_t *boxes = json_object_get(root, "annotations"), *item;
    json_t *images = json_object(), *categories = json_object();
    int result = -1;
    size_t i;

    if (!images || !categories) {
        adl_fail_nomem(err, "the ids of annotations");
        goto out;
    }
    ADL_TRY(coco_categories(a, json_object_get(root, "categories"), categories, err));
    ADL_TRY(coco_images(a, json_object_get(root, "images"), images, err));
    json_array_foreach(boxes, i, item) ADL_TRY(coco_box(a, item, i, images, categories, err));
    result = 0;
out:
    json_decref(images);
    json_decref(categories);
    return result;
}

/* --- Label Studio ------------------------------------------------------------------- */

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c | ('A' ^ 'a')) : NULL;
    return c >= '0' && c <= '9' ? c - '0' : found ? (int)(found - digits) : -1;
}

/* Writes the path of an image from its URL: what follows "?d=" for files that Label Studio serves
 * from a directory, otherwise the URL itself, or its last part if it leads elsewhere. */
static void path_of(const char *url, char *path, size_t size)
{
    const char *local = strstr(url, "?d="), *text = local ? local + 3 : url;
    size_t length = 0;

    while (*text && (local ? *text != '&' : *text != '?') && length + 1 < size) {
        if (*text == '%' && hex(text[1]) >= 0 && hex(text[2]) >= 0) {
            path[length++] = (char)(hex(text[1]) * 16 + hex(text[2]));
            text += 3;
        } else {
            path[length++] = *text++;
        }
    }
    path[length] = '\0';
    const char *last = strrchr(path, '/');
    if (last && (strstr(path, "://") || !adl_dataset_id_valid(path)))
        memmove(path, last + 1, strlen(last + 1) + 1);
}

/* Returns the name without the eight digits and the hyphen that Label Studio puts before the names
 * of files that were uploaded; the name itself if it has none. */
static const char *without_prefix(const char *name)
{
    for (int i = 0; i < 8; i++)
        if (hex(name[i]) < 0)
            return name;
    return name[8] == '-' && name[9] ? name + 9 : name;
}

/* Returns the result list of the annotation that counts; NULL if there is none. */
static const json_t *true_result(const json_t *task)
{
    const json_t *list = json_object_get(task, "annotations"), *item, *best = NULL;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (json_is_true(json_object_get(item, "was_cancelled")))
            continue;
        best = item;
        if (json_is_true(json_object_get(item, "ground_truth")))
            break;
    }
    return json_object_get(best, "result");
}

/* Writes the edges of a rectangle in pixels. It is turned clockwise around its upper left corner.
 */
static void turned_edges(const double v[4], double degrees, double width, double height,
                         double edges[4])
{
    double x = v[0] / 100 * width, y = v[1] / 100 * height;
    double w = v[2] / 100 * width, h = v[3] / 100 * height;
    double c = cos(degrees * PI / 180), s = sin(degrees * PI / 180);
    const double xs[] = {0, w * c, -h * s, w * c - h * s}, ys[] = {0, w * s, h * c, w * s + h * c};

    edges[0] = edges[2] = x;
    edges[1] = edges[3] = y;
    for (size_t i = 0; i < ADL_COUNT(xs); i++) {
        edges[0] = fmin(edges[0], x + xs[i]);
        edges[1] = fmin(edges[1], y + ys[i]);
        edges[2] = fmax(edges[2], x + xs[i]);
        edges[3] = fmax(edges[3], y + ys[i]);
    }
}

static int studio_box(struct adl_annotated *a, const json_t *item, size_t task, size_t picture,
                      struct adl_error *err)
{
    static const char *const names[] = {"x", "y", "width", "height"};
    const json_t *value = json_object_get(item, "value");
    const json_t *labels = json_object_get(value, "rectanglelabels");
    const char *label = json_string_value(json_array_get(labels, 0));
    const struct adl_annotated_picture *p = &a->pictures[picture];
    double v[4], edges[4];
    int number_of;

    if (!labels)
        return 0; /* another kind of mark */
    for (size_t k = 0; k < ADL_COUNT(names); k++)
        if (!label || !number(json_object_get(value, names[k]), &v[k]))
            return malformed(a, "tasks", task,
                             "has a rectangle without a label or x, y, width and height", err);
    if (p->width == 0 || p->height == 0)
        return malformed(a, "tasks", task,
                         "has a rectangle without original_width and "
                         "original_height",
                         err);
    turned_edges(v, json_number_value(json_object_get(value, "rotation")), p->width, p->height,
                 edges);
    if (adl_annotated_add_label(a, label, &number_of, err) < 0)
        return -1;
    return adl_annotated_add_box(a, picture, number_of, edges, err);
}

/* Returns the first mark that says how large the image is: choices and relations, which may stand
 * before the rectangles, do not. NULL if none does. */
static const json_t *first_sized(const json_t *result)
{
    const json_t *item;
    size_t i;

    json_array_foreach(result, i, item) if (json_object_get(item, "original_width")) return item;
    return NULL;
}

/* Returns the URL of a task's image: data.image, or else the first text in data that has the
 * extension of an image. */
static const char *image_url(const json_t *task)
{
    json_t *data = json_object_get(task, "data"), *value;
    const char *url = json_string_value(json_object_get(data, "image")), *key;

    if (url)
        return url;
    json_object_foreach(data, key, value)
    {
        const char *text = json_string_value(value);
        if (text && adl_image_named(text))
            return text;
    }
    return NULL;
}

static int studio_task(struct adl_annotated *a, const json_t *task, size_t index,
                       const char *directory, struct adl_error *err)
{
    char path[ADL_LIMIT_LIST_LINE_BYTES];
    const json_t *result = true_result(task), *item;
    const char *url = image_url(task), *id = path;
    size_t i, picture;

    if (!url)
        return malformed(a, "tasks", index, "names no image in its data", err);
    path_of(url, path, sizeof path);
    const char *plain = adl_draft_text(a->draft, err, "%s/%s", directory, path);
    if (!plain)
        return -1;
    if (access(plain, F_OK) < 0 && !strchr(path, '/'))
        id = without_prefix(path);
    const json_t *first = first_sized(result);
    if (adl_annotated_add_picture(a, id, side(json_object_get(first, "original_width")),
                                  side(json_object_get(first, "original_height")), &picture,
                                  err) < 0)
        return -1;
    json_array_foreach(result, i, item) if (studio_box(a, item, index, picture, err) < 0) return -1;
    return 0;
}

static int read_studio(struct adl_annotated *a, const json_t *root, const char *directory,
                       struct adl_error *err)
{
    const json_t *task;
    size_t i;

    a->by_name = true;
    json_array_foreach(root, i, task) if (studio_task(a, task, i, directory, err) < 0) return -1;
    if (a->box_count == 0)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: no task has a rectangle in its annotations; predictions do not count",
                        a->path);
    return 0;
}

/* --- the layout --------------------------------------------------------------------- */

static int json_match(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err)
{
    const char *path = draft->options->dir, *dot = path ? strrchr(path, '.') : NULL;

    (void)err;
    *fit = dot && !strcasecmp(dot, ".json") && adl_file_is_regular(path) ? ADL_LAYOUT_CERTAIN
                                                                         : ADL_LAYOUT_NO;
    return 0;
}

/* Reads the file as COCO or Label Studio, whichever it is. */
static int read_root(struct adl_annotated *a, const json_t *root, const char *directory,
                     struct adl_error *err)
{
    const json_t *first = json_array_get(root, 0);

    if (json_is_array(json_object_get(root, "images")) &&
        json_is_array(json_object_get(root, "annotations")) &&
        json_is_array(json_object_get(root, "categories")))
        return read_coco(a, root, err);
    if (json_object_get(first, "data"))
        return read_studio(a, root, directory, err);
    if (json_object_get(first, "image_id"))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: holds results of COCO, which name no images; true boxes are in a file "
                        "with images, annotations and categories",
                        a->path);
    return adl_fail(
        err, ADL_ERR_FORMAT,
        "%s: is neither COCO, an object with images, annotations and categories, nor an "
        "export of Label Studio (JSON, not JSON-MIN), an array of tasks with data",
        a->path);
}

static int json_read(struct adl_draft *draft, struct adl_error *err)
{
    struct adl_annotated a = {.draft = draft, .path = draft->options->dir};
    size_t length, skip;
    json_error_t problem;
    json_t *root = NULL;
    int result = -1;

    char *bytes = adl_file_read(a.path, ADL_LIMIT_BOX_LIST_BYTES, &length, err);
    if (!bytes)
        return -1;
    char *copy = (char *)adl_draft_text(draft, err, "%s", a.path);
    if (!copy)
        goto out;
    const char *directory = dirname(copy);
    const char *images = adl_draft_text(draft, err, "%s/images", directory);
    if (!images)
        goto out;
    const char *const places[] = {directory, images, NULL};
    skip = adl_lines_bom_length(bytes, length);
    root = json_loadb(bytes + skip, length - skip, 0, &problem);
    if (!root) {
        adl_fail(err, ADL_ERR_FORMAT, "%s line %d: %s", a.path, problem.line, problem.text);
        goto out;
    }
    draft->dataset->drawn = true;
    draft->dataset->whole = true;
    ADL_TRY(read_root(&a, root, draft->options->images ? draft->options->images : directory, err));
    ADL_TRY(adl_annotated_find_images(&a, places, err));
    result = adl_annotated_place(&a, err);
out:
    json_decref(root);
    adl_free(bytes);
    adl_annotated_release(&a);
    return result;
}

const struct adl_layout adl_layout_json = {ADL_DATASET_BOXES, json_match, json_read};
