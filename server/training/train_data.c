/* Makes the identity of a data set, and describes the differences between two of them.
 *
 * The digest is SHA-256 over the number of class names, each name, and then the id and the label
 * of each image, or all of its labels, in the order of the data set: the order decides which images
 * form a batch. Texts are hashed with their final NUL, which no name contains, and numbers as
 * decimal text, so that different data sets give different bytes, which do not depend on the
 * machine. The names and the number of images of each class are kept beside the digest because a
 * digest alone cannot say what changed. Pixels are not hashed, since that would read the whole data
 * set before the first step. */

#include "server/training/train_data.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/sha256.h"
#include "base/str.h"
#include "data/labels.h"
#include "io/json_text.h"

/* A message lists this many differences of each kind and counts the others. */
#define SHOWN 3

static void hash_text(struct adl_sha256 *hash, const char *text)
{
    adl_sha256_update(hash, text, strlen(text) + 1);
}

static void hash_number(struct adl_sha256 *hash, size_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", number);
    hash_text(hash, text);
}

/* Hashes how many labels an image has, and each. */
static void hash_labels(struct adl_sha256 *hash, const struct adl_dataset *data,
                        const struct adl_dataset_image *image)
{
    hash_number(hash, image->label_count);
    for (size_t k = 0; k < image->label_count; k++)
        hash_number(hash, (size_t)data->labels[image->first_label + k]);
}

static void digest_of(const struct adl_dataset *data, char hex[65])
{
    struct adl_sha256 hash;
    size_t named = data->classes ? data->class_count : 0;
    adl_sha256_init(&hash);
    hash_number(&hash, named);
    for (size_t i = 0; i < named; i++)
        hash_text(&hash, data->classes[i]);
    for (size_t i = 0; i < data->count; i++) {
        hash_text(&hash, data->images[i].id);
        if (data->several)
            hash_labels(&hash, data, &data->images[i]);
        else
            hash_number(&hash, (size_t)data->images[i].class_id);
    }
    adl_sha256_hex(&hash, hex);
}

json_t *adl_train_data_identity(const struct adl_dataset *data)
{
    char hex[65];
    size_t *counts = adl_calloc(data->class_count, sizeof *counts);
    json_t *images = json_array(), *classes = data->classes ? json_array() : NULL;
    int failed = !counts;

    if (!failed)
        adl_dataset_count_labels(data, counts);
    for (size_t i = 0; !failed && i < data->class_count; i++) {
        failed = json_array_append_new(images, json_integer((json_int_t)counts[i]));
        if (classes && !failed)
            failed = json_array_append_new(classes, adl_json_from_text(data->classes[i]));
    }
    adl_free(counts);
    if (failed) {
        json_decref(images);
        json_decref(classes);
        return NULL;
    }
    digest_of(data, hex);
    return json_pack("{s:s, s:o, s:o*}", "digest", hex, "images", images, "classes", classes);
}

/* --- what changed ---------------------------------------------------------------------- */

static struct adl_name_quoted quote(const json_t *name)
{
    const char *text = json_string_value(name);
    return adl_name_quote(text ? text : "", text ? strlen(text) : 0);
}

/* Appends the classes in `names` that `others` lacks: `"a", "b", "c" and 3 more are STATE; `. */
static void list_absent(struct adl_str *text, const json_t *names, const json_t *others,
                        const char *state)
{
    size_t i, count = 0;
    json_t *name, *set = json_object();
    json_array_foreach(others, i, name)
    {
        if (json_object_set_new(set, json_string_value(name), json_true()) < 0)
            text->failed = true;
    }
    json_array_foreach(names, i, name)
    {
        if (json_object_get(set, json_string_value(name)))
            continue;
        if (count++ < SHOWN)
            adl_str_printf(text, "%s%s", count > 1 ? ", " : "", quote(name).text);
    }
    json_decref(set);
    if (count > SHOWN)
        adl_str_printf(text, " and %zu more", count - SHOWN);
    if (count)
        adl_str_printf(text, " %s %s; ", count > 1 ? "are" : "is", state);
}

/* Appends the class indices whose name has changed. */
static void list_moved(struct adl_str *text, const json_t *was, const json_t *is)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(was) && i < json_array_size(is); i++) {
        const json_t *old = json_array_get(was, i), *new = json_array_get(is, i);
        if (json_equal(old, new) || count++ >= SHOWN)
            continue;
        adl_str_printf(text, "class %zu was %s, is now ", i, quote(old).text);
        adl_str_printf(text, "%s; ", quote(new).text);
    }
    if (count > SHOWN)
        adl_str_printf(text, "so %s %zu more class%s; ", count - SHOWN == 1 ? "is" : "are",
                       count - SHOWN, ADL_ES(count - SHOWN));
}

/* Appends the classes whose number of images has changed. */
static void list_counts(struct adl_str *text, const json_t *was, const json_t *is,
                        const json_t *names)
{
    size_t count = 0, old_classes = json_array_size(was), classes = json_array_size(is);
    if (old_classes != classes)
        adl_str_printf(text, "there %s %zu class%s, now %zu; ", old_classes == 1 ? "was" : "were",
                       old_classes, ADL_ES(old_classes), classes);
    for (size_t i = 0; i < old_classes && i < classes; i++) {
        json_int_t old = json_integer_value(json_array_get(was, i));
        json_int_t new = json_integer_value(json_array_get(is, i));
        if (old == new || count++ >= SHOWN)
            continue;
        adl_str_printf(text, "class %zu", i);
        if (json_array_get(names, i))
            adl_str_printf(text, " %s", quote(json_array_get(names, i)).text);
        adl_str_printf(text, " had %lld training image%s, now %lld; ", (long long)old, ADL_S(old),
                       (long long)new);
    }
    if (count > SHOWN)
        adl_str_printf(text, "%zu more class%s other numbers of images; ", count - SHOWN,
                       count - SHOWN == 1 ? " has" : "es have");
}

/* The most bytes of a message that differences may take. */
#define SHOWN_BYTES 330

/* Removes the final "; " from the list of differences, and shortens it to SHOWN_BYTES after a
 * whole difference or name. Returns the text that has to follow it: ", ..." if it was
 * shortened. */
static const char *shorten(struct adl_str *text)
{
    size_t end = text->length;
    if (text->failed || end < 2)
        return "";
    end -= 2;
    text->length = end;
    if (end <= SHOWN_BYTES)
        return "";
    for (end = SHOWN_BYTES; end > 0; end--)
        if (text->data[end] == ';' || (text->data[end] == ',' && text->data[end - 1] == '"'))
            break;
    text->length = end ? end : SHOWN_BYTES;
    return ", ...";
}

int adl_train_data_compare(const json_t *saved, const json_t *current, const char *path,
                           struct adl_error *err)
{
    const json_t *was = json_object_get(saved, "classes"),
                 *is = json_object_get(current, "classes");
    struct adl_str text = {0};

    if (json_equal(json_object_get(saved, "digest"), json_object_get(current, "digest")))
        return 0;
    if (!json_equal(was, is)) {
        list_absent(&text, was, is, "gone");
        list_absent(&text, is, was, "new");
        list_moved(&text, was, is);
    } else {
        list_counts(&text, json_object_get(saved, "images"), json_object_get(current, "images"),
                    is);
    }
    if (!text.length)
        adl_str_puts(&text, "the classes have as many images as before, but the names, the labels "
                            "or the order of the images differ; ");
    const char *more = shorten(&text);
    if (text.failed)
        adl_fail_nomem(err, "the comparison of the data");
    else
        adl_fail(err, ADL_ERR_ARG,
                 "%s: the data set has changed since the run was started: %.*s%s; undo that, or "
                 "start a new run in another --out",
                 path, (int)text.length, text.data, more);
    adl_str_release(&text);
    return -1;
}
