/* Checks the boxes of one picture, and writes them as the lists of a data set. */

#include "server/serving/annotation.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"

/* --- a record ------------------------------------------------------------------------ */

json_t *adl_annotation_empty(const char *name, int width, int height)
{
    return json_pack("{s:s, s:i, s:i, s:[]}", "name", name, "width", width, "height", height,
                     "boxes");
}

/* Returns what is wrong with a label; NULL: nothing. A label becomes a line of a list, so it has no
 * line breaks. */
static const char *label_fault(const json_t *label)
{
    const char *text = json_string_value(label);
    size_t length = json_string_length(label);

    if (!text || length == 0)
        return "a box has no label";
    if (length > ADL_LIMIT_CLASS_NAME_BYTES)
        return "a label is too long";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == '\x7f')
            return "a label has a control character";
    return text[0] == ' ' || text[length - 1] == ' ' ? "a label begins or ends with a space" : NULL;
}

/* Sets *value to the whole number of a member, which has to be 0 <= value < end. */
static bool take_side(const json_t *box, const char *key, int end, int *value)
{
    const json_t *number = json_object_get(box, key);
    json_int_t given = json_integer_value(number);

    if (!json_is_integer(number) || given < 0 || given >= end)
        return false;
    *value = (int)given;
    return true;
}

/* Returns the box {"x0", "y0", "x1", "y1", "label"} of a picture. */
static json_t *make_box(const json_t *given, size_t index, int width, int height,
                        struct adl_error *err)
{
    int x0, y0, x1, y1;
    const json_t *label = json_object_get(given, "label");

    if (!take_side(given, "x0", width, &x0) || !take_side(given, "x1", width, &x1) ||
        !take_side(given, "y0", height, &y0) || !take_side(given, "y1", height, &y1) || x1 < x0 ||
        y1 < y0) {
        adl_fail(err, ADL_ERR_FORMAT,
                 "box %zu: x0, y0, x1 and y1 have to be whole numbers inside of the picture of "
                 "%d x %d pixels, with x0 <= x1 and y0 <= y1",
                 index, width, height);
        return NULL;
    }
    const char *fault = label_fault(label);
    if (fault) {
        adl_fail(err, ADL_ERR_FORMAT, "box %zu: %s", index, fault);
        return NULL;
    }
    json_t *box = json_pack("{s:i, s:i, s:i, s:i, s:s}", "x0", x0, "y0", y0, "x1", x1, "y1", y1,
                            "label", json_string_value(label));
    if (!box)
        adl_fail_nomem(err, "a box");
    return box;
}

/* Returns whether a member is absent or has this value. */
static bool agrees(const json_t *given, const char *key, int value)
{
    const json_t *number = json_object_get(given, key);
    return !number || (json_is_integer(number) && json_integer_value(number) == value);
}

json_t *adl_annotation_make(const json_t *given, const char *name, int width, int height,
                            struct adl_error *err)
{
    const json_t *boxes = json_object_get(given, "boxes");
    size_t i;
    json_t *one;

    if (!json_is_array(boxes) || json_array_size(boxes) > ADL_LIMIT_ANNOTATION_BOXES) {
        adl_fail(err, ADL_ERR_FORMAT,
                 "\"boxes\" has to be an array of at most %d boxes; an empty one says that there "
                 "are none",
                 ADL_LIMIT_ANNOTATION_BOXES);
        return NULL;
    }
    if (!agrees(given, "width", width) || !agrees(given, "height", height)) {
        adl_fail(err, ADL_ERR_FORMAT,
                 "the picture has %d x %d pixels, and its boxes are in pixels of it", width,
                 height);
        return NULL;
    }
    json_t *record = adl_annotation_empty(name, width, height);
    if (!record)
        adl_fail_nomem(err, "a picture's boxes");
    json_array_foreach(boxes, i, one)
    {
        json_t *box = record ? make_box(one, i + 1, width, height, err) : NULL;
        if (box && json_array_append_new(json_object_get(record, "boxes"), box) == 0)
            continue;
        if (box)
            adl_fail_nomem(err, "a picture's boxes");
        json_decref(record);
        return NULL;
    }
    return record;
}

static int number_of(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static const char *label_of(const json_t *box)
{
    return json_string_value(json_object_get(box, "label"));
}

const char *adl_annotation_label(const json_t *record)
{
    const char *label = NULL;
    json_int_t largest = 0;
    size_t i;
    json_t *box;

    json_array_foreach(json_object_get(record, "boxes"), i, box)
    {
        json_int_t area = (json_int_t)(number_of(box, "x1") - number_of(box, "x0") + 1) *
                          (number_of(box, "y1") - number_of(box, "y0") + 1);
        if (area > largest) {
            largest = area;
            label = label_of(box);
        }
    }
    return label;
}

/* --- lists ---------------------------------------------------------------------------- */

int adl_annotation_add_labels(const json_t *record, json_t *classes)
{
    int added = 0;
    size_t i;
    json_t *box;

    json_array_foreach(json_object_get(record, "boxes"), i, box)
    {
        json_int_t number = (json_int_t)json_object_size(classes);
        if (json_object_get(classes, label_of(box)))
            continue;
        if (json_object_set_new(classes, label_of(box), json_integer(number)) < 0)
            return -1;
        added++;
    }
    return added;
}

void adl_annotation_list(const json_t *record, const json_t *classes,
                         struct adl_annotation_lists *lists)
{
    const char *name = json_string_value(json_object_get(record, "name"));
    const char *label = adl_annotation_label(record);
    int width = number_of(record, "width"), height = number_of(record, "height");
    size_t i;
    json_t *box;

    if (!label)
        return;
    adl_str_printf(&lists->ids, "%s\n", name);
    adl_str_printf(&lists->labels, "%s,%d\n", name, number_of(classes, label));
    adl_str_printf(&lists->sizes, "%s,%d,%d\n", name, width, height);
    json_array_foreach(json_object_get(record, "boxes"), i, box)
    {
        if (!strcmp(label_of(box), label))
            adl_str_printf(&lists->boxes, "%s,%d,%d,%d,%d\n", name, number_of(box, "x0"),
                           number_of(box, "y0"), ADL_MIN(number_of(box, "x1") + 1, width - 1),
                           ADL_MIN(number_of(box, "y1") + 1, height - 1));
    }
}

void adl_annotation_lists_release(struct adl_annotation_lists *lists)
{
    adl_str_release(&lists->labels);
    adl_str_release(&lists->boxes);
    adl_str_release(&lists->sizes);
    adl_str_release(&lists->ids);
}
