/* Makes a data set of pictures and labelled boxes; see annotated.h. The boxes are sorted by picture
 * and label once, so that the labels of a picture are runs of the list. */

#include "data/annotated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "base/utf8.h"

/* The largest coordinate that is believed; the sides of a picture are smaller. */
#define MAX_EDGE 10000000.0

int adl_annotated_add_picture(struct adl_annotated *a, const char *id, int width, int height,
                              size_t *index, struct adl_error *err)
{
    if (!adl_dataset_id_valid(id) || strlen(id) > ADL_LIMIT_LIST_LINE_BYTES)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: %s is not a path below the directory of the images", a->path,
                        adl_name_quote(id, strlen(id)).text);
    if (width < 0 || height < 0 || width > MAX_EDGE || height > MAX_EDGE)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: %s is %d x %d pixels large", a->path,
                        adl_name_quote(id, strlen(id)).text, width, height);
    if (a->picture_count == ADL_LIMIT_DATASET_IMAGES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: has more than %d images", a->path,
                        ADL_LIMIT_DATASET_IMAGES);
    struct adl_annotated_picture *pictures =
        adl_array_grow(a->pictures, &a->picture_capacity, a->picture_count + 1, sizeof *pictures);
    if (!pictures)
        return adl_fail_nomem(err, "the data set's images");
    a->pictures = pictures;
    const char *copy = adl_draft_text(a->draft, err, "%s", id);
    if (!copy)
        return -1;
    *index = a->picture_count;
    a->pictures[a->picture_count++] = (struct adl_annotated_picture){copy, width, height};
    return 0;
}

int adl_annotated_add_label(struct adl_annotated *a, const char *name, int *label,
                            struct adl_error *err)
{
    size_t length = strlen(name);

    if (!a->numbers)
        a->numbers = json_object();
    if (!a->numbers)
        return adl_fail_nomem(err, "class names");
    const json_t *known = json_object_get(a->numbers, name);
    if (known) {
        *label = (int)json_integer_value(known);
        return 0;
    }
    if (length == 0 || length > ADL_LIMIT_CLASS_NAME_BYTES)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: the label %s has %zu bytes; 1 to %d are allowed",
                        a->path, adl_name_quote(name, length).text, length,
                        ADL_LIMIT_CLASS_NAME_BYTES);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            return adl_fail(err, ADL_ERR_FORMAT, "%s: the label %s has a control character",
                            a->path, adl_name_quote(name, length).text);
    if (a->labels.count == ADL_LIMIT_CLASSES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: has more than %d labels", a->path,
                        ADL_LIMIT_CLASSES);
    if (!adl_utf8_valid(name))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: the label %s is not UTF-8", a->path,
                        adl_name_quote(name, length).text);
    const char *copy = adl_draft_text(a->draft, err, "%s", name);
    if (!copy)
        return -1;
    if (json_object_set_new(a->numbers, copy, json_integer((json_int_t)a->labels.count)) < 0)
        return adl_fail_nomem(err, "class names");
    *label = (int)a->labels.count;
    return adl_names_add(&a->labels, copy, err);
}

/* Rounds an edge to a pixel from 0 to `side`, if the side is known. */
static double edge_at(double edge, int side)
{
    edge = fmax(round(edge), 0);
    return side > 0 ? fmin(edge, side) : edge;
}

int adl_annotated_add_box(struct adl_annotated *a, size_t picture, int label, const double edges[4],
                          struct adl_error *err)
{
    const struct adl_annotated_picture *p = &a->pictures[picture];

    for (int i = 0; i < 4; i++)
        if (!(fabs(edges[i]) <= MAX_EDGE))
            return adl_fail(err, ADL_ERR_FORMAT, "%s: %s has a box with an edge at %g pixels",
                            a->path, adl_name_quote(p->id, strlen(p->id)).text, edges[i]);
    double left = edge_at(edges[0], p->width), right = edge_at(edges[2], p->width);
    double top = edge_at(edges[1], p->height), bottom = edge_at(edges[3], p->height);
    if (left >= right || top >= bottom) {
        a->empty++;
        return 0;
    }
    struct adl_annotated_box *boxes =
        adl_array_grow(a->boxes, &a->box_capacity, a->box_count + 1, sizeof *boxes);
    if (!boxes)
        return adl_fail_nomem(err, "the data set's boxes");
    a->boxes = boxes;
    /* The reference's boxes end one pixel past the inclusive box, except at the border. */
    int last_x = p->width > 0 ? p->width - 1 : (int)MAX_EDGE;
    int last_y = p->height > 0 ? p->height - 1 : (int)MAX_EDGE;
    a->boxes[a->box_count++] = (struct adl_annotated_box){
        .picture = picture,
        .label = label,
        .area = (right - left) * (bottom - top),
        .box = {(int)left, (int)top, ADL_MIN((int)right, last_x), ADL_MIN((int)bottom, last_y)}};
    return 0;
}

int adl_annotated_find_images(struct adl_annotated *a, const char *const *places,
                              struct adl_error *err)
{
    struct adl_draft *draft = a->draft;

    if (draft->options->images) {
        draft->dataset->image_dir = adl_draft_text(draft, err, "%s", draft->options->images);
        return draft->dataset->image_dir ? 0 : -1;
    }
    draft->dataset->image_dir = places[0];
    for (size_t i = 0; places[i] && a->picture_count > 0; i++) {
        const char *path = adl_draft_text(draft, err, "%s/%s", places[i], a->pictures[0].id);
        if (!path)
            return -1;
        if (access(path, F_OK) == 0) {
            draft->dataset->image_dir = places[i];
            break;
        }
    }
    return 0;
}

/* --- the data set ------------------------------------------------------------------- */

/* Boxes of a picture and label stay in the order in which they were added, which is that of their
 * addresses. */
static int by_picture(const void *x, const void *y)
{
    const struct adl_annotated_box *a = *(const struct adl_annotated_box *const *)x;
    const struct adl_annotated_box *b = *(const struct adl_annotated_box *const *)y;
    if (a->picture != b->picture)
        return a->picture < b->picture ? -1 : 1;
    if (a->label != b->label)
        return a->label < b->label ? -1 : 1;
    return (a > b) - (a < b);
}

/* Numbers the labels in byte order of their names. */
static int sort_labels(struct adl_annotated *a, struct adl_error *err)
{
    int *places = adl_malloc(a->labels.count, sizeof *places);

    if (!places)
        return adl_fail_nomem(err, "class names");
    adl_names_sort(&a->labels);
    for (size_t i = 0; i < a->labels.count; i++)
        places[json_integer_value(json_object_get(a->numbers, a->labels.items[i]))] = (int)i;
    for (size_t i = 0; i < a->box_count; i++)
        a->boxes[i].label = places[a->boxes[i].label];
    adl_free(places);
    return 0;
}

/* Finds the label with the largest sum of areas among the boxes of one picture, which are sorted by
 * label. */
static int largest_label(const struct adl_annotated_box *const *boxes, size_t count)
{
    double most = -1;
    int label = boxes[0]->label;

    for (size_t i = 0, next; i < count; i = next) {
        double area = 0;
        for (next = i; next < count && boxes[next]->label == boxes[i]->label; next++)
            area += boxes[next]->area;
        if (area > most) {
            most = area;
            label = boxes[i]->label;
        }
    }
    return label;
}

/* Adds a picture with its boxes; *others counts those of other labels than its class. */
static int place_picture(struct adl_annotated *a, size_t picture,
                         const struct adl_annotated_box *const *boxes, size_t count, size_t *others,
                         struct adl_error *err)
{
    struct adl_draft *draft = a->draft;
    bool several = draft->options->multi_label;
    int label = count > 0 && !several ? largest_label(boxes, count) : -1;
    const struct adl_annotated_picture *p = &a->pictures[picture];

    if (adl_draft_add_image(draft, p->id, ADL_MAX(label, 0), err) < 0)
        return -1;
    size_t index = draft->dataset->count - 1;
    draft->dataset->images[index].width = p->width;
    draft->dataset->images[index].height = p->height;
    for (size_t i = 0; i < count; i++) {
        const struct adl_annotated_box *box = boxes[i];
        if (several && (i == 0 || boxes[i - 1]->label != box->label) &&
            adl_draft_add_label(draft, index, box->label, err) < 0)
            return -1;
        if (!several && box->label != label)
            ++*others;
        else if (adl_draft_add_class_box(draft, index, several ? box->label : -1, box->box, err) <
                 0)
            return -1;
    }
    return 0;
}

/* Writes the note: what was left out, and that the data have no splits. */
static int write_note(struct adl_annotated *a, size_t bare, size_t others, struct adl_error *err)
{
    struct adl_dataset *d = a->draft->dataset;
    struct adl_str text = {0};

    if (bare > 0)
        adl_str_printf(&text, "%zu images without a box", bare);
    if (others > 0)
        adl_str_printf(&text,
                       "%s%zu boxes of other labels than their image's, which is that of the "
                       "largest area (--multi-label keeps them)",
                       text.length > 0 ? ", " : "", others);
    if (a->empty > 0)
        adl_str_printf(&text, "%s%zu boxes without a pixel", text.length > 0 ? ", " : "", a->empty);
    if (text.length > 0)
        d->note = adl_draft_text(a->draft, err, "%s: left out: %s", a->path, text.data);
    bool failed = text.failed || (text.length > 0 && !d->note);
    adl_str_release(&text);
    return failed ? adl_fail_nomem(err, "the data set's note") : 0;
}

int adl_annotated_place(struct adl_annotated *a, struct adl_error *err)
{
    struct adl_dataset *d = a->draft->dataset;
    size_t bare = 0, others = 0;
    const struct adl_annotated_box **sorted = NULL;
    int result = -1;

    if (a->box_count == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: has no boxes", a->path);
    if (a->by_name && sort_labels(a, err) < 0)
        return -1;
    d->classes = adl_malloc(a->labels.count, sizeof *d->classes);
    sorted = adl_malloc(a->box_count, sizeof *sorted);
    if (!d->classes || !sorted) {
        adl_fail_nomem(err, "the data set's boxes");
        goto out;
    }
    memcpy(d->classes, a->labels.items, a->labels.count * sizeof *d->classes);
    d->class_count = a->labels.count;
    d->upright = true;
    for (size_t i = 0; i < a->box_count; i++)
        sorted[i] = &a->boxes[i];
    qsort(sorted, a->box_count, sizeof *sorted, by_picture);
    a->draft->labelled = a->draft->options->multi_label;
    for (size_t i = 0, first = 0, next; i < a->picture_count; i++, first = next) {
        for (next = first; next < a->box_count && sorted[next]->picture == i; next++)
            continue;
        if (next == first && !a->draft->options->multi_label)
            bare++;
        else
            ADL_TRY(place_picture(a, i, sorted + first, next - first, &others, err));
    }
    result = write_note(a, bare, others, err);
out:
    adl_free(sorted);
    return result;
}

void adl_annotated_release(struct adl_annotated *a)
{
    adl_free(a->pictures);
    adl_free(a->boxes);
    adl_free(a->labels.items);
    json_decref(a->numbers);
    *a = (struct adl_annotated){0};
}
