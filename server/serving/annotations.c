/* The store of pictures and boxes that people drew: the directory, and the same in memory.
 *
 * A change is written before it is kept in memory and before the lists are: first the picture or
 * its boxes, each in one step, then the lists. A crash in between leaves lists of the state before,
 * and the start makes them anew from boxes/. While the lists change, the one of the ids, which
 * alone says what belongs to the split, is written last, or first if it loses a picture: then every
 * id in it has its lines in the others at any time.
 *
 * Only one thread changes the store; others read it under the lock. Nothing is written while the
 * lock is held. */

#include "server/serving/annotations.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "base/utf8.h"
#include "image/image_decode.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/serving/annotation.h"
#include "server/serving/log.h"
#include "server/tasks/directory.h"

struct adl_annotations {
    char *dir; /* owned */
    size_t max_pixels;
    struct adl_image_decoder *decoder; /* borrowed; NULL: none */
    json_t *classes;                   /* label: number, in the order of classes.txt */
    size_t bytes;                      /* of all pictures */
    size_t boxes;                      /* of all pictures */
    pthread_mutex_t lock;
    json_t *records; /* name: record; changed under the lock */
};

bool adl_annotations_name_valid(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > ADL_LIMIT_ANNOTATION_NAME_BYTES || !adl_utf8_valid(name))
        return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '\x7f' || *c == '/' || *c == '\\')
            return false;
    return name[0] != '.' && name[0] != ' ' && name[length - 1] != ' ';
}

/* --- files ------------------------------------------------------------------------------ */

/* Formats a path below the directory, to be freed with adl_free. */
static char *path_of(const struct adl_annotations *s, struct adl_error *err, const char *fmt,
                     const char *name)
{
    struct adl_str path = {0};

    adl_str_printf(&path, "%s/", s->dir);
    adl_str_printf(&path, fmt, name);
    return adl_str_take(&path, NULL, err);
}

static int write_file(const struct adl_annotations *s, const char *fmt, const char *name,
                      const void *bytes, size_t length, struct adl_error *err)
{
    const struct adl_file_piece piece = {bytes, length};
    char *path = path_of(s, err, fmt, name);
    int result = path ? adl_file_write(path, &piece, 1, err) : -1;

    adl_free(path);
    return result;
}

/* Writes a text, which is emptied. */
static int write_list(const struct adl_annotations *s, const char *name, struct adl_str *text,
                      struct adl_error *err)
{
    size_t length;
    if (!text->data && !text->failed)
        return write_file(s, "%s", name, "", 0, err);
    char *bytes = adl_str_take(text, &length, err);
    int result = bytes ? write_file(s, "%s", name, bytes, length, err) : -1;

    adl_free(bytes);
    return result;
}

static int write_classes(const struct adl_annotations *s, struct adl_error *err)
{
    struct adl_str text = {0};
    const char *label;
    json_t *number;

    json_object_foreach(s->classes, label, number) adl_str_printf(&text, "%s\n", label);
    return write_list(s, "classes.txt", &text, err);
}

/* Writes the lists of all pictures; `fewer`: one has left them. */
static int write_lists(const struct adl_annotations *s, bool fewer, struct adl_error *err)
{
    struct adl_annotation_lists lists = {.ids = {0}};
    const char *name;
    json_t *record;
    int result = -1;

    json_object_foreach(s->records, name, record) adl_annotation_list(record, s->classes, &lists);
    if (fewer)
        ADL_TRY(write_list(s, "metadata/val/image_ids.txt", &lists.ids, err));
    ADL_TRY(write_list(s, "metadata/val/class_labels.txt", &lists.labels, err));
    ADL_TRY(write_list(s, "metadata/val/localization.txt", &lists.boxes, err));
    ADL_TRY(write_list(s, "metadata/val/image_sizes.txt", &lists.sizes, err));
    if (!fewer)
        ADL_TRY(write_list(s, "metadata/val/image_ids.txt", &lists.ids, err));
    result = 0;
out:
    adl_annotation_lists_release(&lists);
    return result;
}

static int write_record(const struct adl_annotations *s, const char *name, const json_t *record,
                        struct adl_error *err)
{
    size_t length;
    char *text = adl_json_to_text(record, JSON_COMPACT, &length, err);
    int result = -1;

    if (text) {
        text[length++] = '\n'; /* in place of the NUL */
        result = write_file(s, "boxes/%s.json", name, text, length, err);
    }
    adl_free(text);
    return result;
}

/* Removes a file, which may be missing. */
static int remove_file(const struct adl_annotations *s, const char *fmt, const char *name,
                       struct adl_error *err)
{
    char *path = path_of(s, err, fmt, name);
    int result = path ? 0 : -1;

    if (path && unlink(path) < 0 && errno != ENOENT)
        result = adl_fail(err, ADL_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
    adl_free(path);
    return result;
}

/* --- in memory ----------------------------------------------------------------------------- */

static size_t boxes_of(const json_t *record)
{
    return json_array_size(json_object_get(record, "boxes"));
}

static int side_of(const json_t *record, const char *key)
{
    return (int)json_integer_value(json_object_get(record, key));
}

/* Puts a record in the place of the one before, if any. */
static int keep(struct adl_annotations *s, const char *name, json_t *record, struct adl_error *err)
{
    size_t before = boxes_of(json_object_get(s->records, name));

    pthread_mutex_lock(&s->lock);
    int failed = json_object_set(s->records, name, record);
    pthread_mutex_unlock(&s->lock);
    if (failed)
        return adl_fail_nomem(err, "the annotations");
    s->boxes += boxes_of(record) - before;
    return 0;
}

/* --- the start ------------------------------------------------------------------------------- */

/* Reads boxes/NAME.json, whose name is that of a picture that is there. */
static int read_record(struct adl_annotations *s, const char *name, struct adl_error *err)
{
    struct stat picture;
    size_t length = 0;
    char *path = path_of(s, err, "boxes/%s.json", name), *text = NULL;
    char *image = path_of(s, err, "images/%s", name);
    json_t *given = NULL, *record = NULL;
    int result = -1;

    if (!path || !image)
        goto out;
    if (stat(image, &picture) < 0 || !S_ISREG(picture.st_mode)) {
        adl_log(ADL_LOG_WARN, "annotations", "boxes without their picture are left out",
                json_pack("{s:o}", "file", adl_json_from_text(path)));
        result = 0;
        goto out;
    }
    text = adl_file_read(path, ADL_LIMIT_ANNOTATION_BYTES, &length, err);
    if (!text)
        goto out;
    given = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    int width = side_of(given, "width"), height = side_of(given, "height");
    if (width < 1 || height < 1 || width > ADL_LIMIT_IMAGE_SIDE || height > ADL_LIMIT_IMAGE_SIDE) {
        adl_fail(err, ADL_ERR_FORMAT, "%s: is not a file of boxes; mend or remove it", path);
        goto out;
    }
    record = adl_annotation_make(given, name, width, height, err);
    if (!record) {
        adl_error_context(err, "%s", path);
        goto out;
    }
    ADL_TRY(keep(s, name, record, err));
    s->bytes += (size_t)picture.st_size;
    result = 0;
out:
    json_decref(record);
    json_decref(given);
    adl_free(text);
    adl_free(image);
    adl_free(path);
    return result;
}

/* Names of pictures that have a file of boxes; the names are owned. */
struct names {
    char **items;
    size_t count, capacity;
};

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds the picture of a file of boxes that this program may have written, NAME.json. */
static int add_name(struct names *names, const char *file, struct adl_error *err)
{
    char name[NAME_MAX + 1];
    size_t length = strlen(file);

    if (!adl_text_ends_with(file, ".json") || length > NAME_MAX)
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)(length - strlen(".json")), file);
    if (!adl_annotations_name_valid(name))
        return 0;
    if (names->count == ADL_LIMIT_ANNOTATIONS)
        return adl_fail(err, ADL_ERR_LIMIT, "there are more than %d files of boxes",
                        ADL_LIMIT_ANNOTATIONS);
    char **items = adl_array_grow(names->items, &names->capacity, names->count + 1, sizeof *items);
    if (!items)
        return adl_fail_nomem(err, "the annotations");
    names->items = items;
    items[names->count] = adl_strdup(name);
    if (!items[names->count])
        return adl_fail_nomem(err, "the annotations");
    names->count++;
    return 0;
}

static int list_names(const struct adl_annotations *s, struct names *names, struct adl_error *err)
{
    char *path = path_of(s, err, "%s", "boxes");
    DIR *dir = path ? opendir(path) : NULL;
    int result = -1;

    if (path && !dir)
        adl_fail(err, ADL_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    if (!dir)
        goto out;
    for (struct dirent *entry; (entry = readdir(dir));)
        ADL_TRY(add_name(names, entry->d_name, err));
    if (names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, by_bytes);
    result = 0;
out:
    if (dir)
        closedir(dir);
    adl_free(path);
    return result;
}

/* Reads all records, in the order of the bytes of their names. */
static int read_records(struct adl_annotations *s, struct adl_error *err)
{
    struct names names = {.count = 0};
    int result = list_names(s, &names, err);

    for (size_t i = 0; i < names.count; i++) {
        if (result == 0)
            result = read_record(s, names.items[i], err);
        adl_free(names.items[i]);
    }
    adl_free(names.items);
    return result;
}

/* Reads classes.txt, so that classes keep their numbers; there may be none. */
static int read_classes(struct adl_annotations *s, struct adl_error *err)
{
    char *path = path_of(s, err, "%s", "classes.txt"), *text = NULL, *rest;
    int result = -1;

    if (!path)
        return -1;
    if (!adl_file_is_regular(path)) {
        adl_free(path);
        return 0;
    }
    rest = text = adl_file_read(path, ADL_LIMIT_CLASS_FILE_BYTES, NULL, err);
    if (!text)
        goto out;
    for (char *label; (label = strsep(&rest, "\n"));) {
        json_int_t number = (json_int_t)json_object_size(s->classes);
        if (*label && !json_object_get(s->classes, label) &&
            json_object_set_new(s->classes, label, json_integer(number)) < 0) {
            adl_fail(err, ADL_ERR_FORMAT, "%s: is not UTF-8, or there is not enough memory", path);
            goto out;
        }
    }
    result = 0;
out:
    adl_free(text);
    adl_free(path);
    return result;
}

static int make_directories(const struct adl_annotations *s, struct adl_error *err)
{
    static const char *const names[] = {"images", "boxes", "metadata", "metadata/val"};
    int result = adl_make_directory(s->dir, err);

    for (size_t i = 0; result == 0 && i < ADL_COUNT(names); i++) {
        char *path = path_of(s, err, "%s", names[i]);
        result = path ? adl_make_directory(path, err) : -1;
        adl_free(path);
    }
    return result;
}

/* Reads what is there, and writes the lists of it. */
static int load(struct adl_annotations *s, struct adl_error *err)
{
    const char *name;
    json_t *record;

    if (make_directories(s, err) < 0 || read_classes(s, err) < 0 || read_records(s, err) < 0)
        return -1;
    json_object_foreach(s->records, name, record)
    {
        if (adl_annotation_add_labels(record, s->classes) < 0)
            return adl_fail_nomem(err, "the annotations");
    }
    if (write_classes(s, err) < 0)
        return -1;
    return write_lists(s, false, err);
}

struct adl_annotations *adl_annotations_open(const char *dir, size_t max_pixels,
                                             struct adl_image_decoder *decoder,
                                             struct adl_error *err)
{
    struct adl_annotations *s = adl_calloc(1, sizeof *s);

    if (!s) {
        adl_fail_nomem(err, "the annotations");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->dir = adl_strdup(dir);
    s->max_pixels = max_pixels;
    s->decoder = decoder;
    s->classes = json_object();
    s->records = json_object();
    if (!s->dir || !s->classes || !s->records)
        adl_fail_nomem(err, "the annotations");
    if (err->kind || load(s, err) < 0) {
        adl_annotations_free(s);
        return NULL;
    }
    return s;
}

void adl_annotations_free(struct adl_annotations *s)
{
    if (!s)
        return;
    json_decref(s->records);
    json_decref(s->classes);
    pthread_mutex_destroy(&s->lock);
    adl_free(s->dir);
    adl_free(s);
}

/* --- changes ------------------------------------------------------------------------------- */

/* Returns the problem of a failure that is not the client's. */
static enum adl_problem own_problem(const struct adl_error *err)
{
    return err->kind == ADL_ERR_NOMEM ? ADL_PROBLEM_OUT_OF_MEMORY : ADL_PROBLEM_INTERNAL;
}

/* Nobody looks at the pixels, so a JPEG is decoded at a reduced scale, and all that is kept of any
 * picture has this side. */
#define THUMB 32

static struct adl_decode_options decode_options(const struct adl_annotations *s)
{
    return (struct adl_decode_options){
        .max_pixels = s->max_pixels,
        .target_width = THUMB,
        .target_height = THUMB,
        .decoder = s->decoder,
    };
}

/* Finds a picture's size by decoding it, which also tells whether it is whole. */
static enum adl_problem measure(const struct adl_annotations *s, const void *bytes, size_t length,
                                struct adl_image_info *info, struct adl_error *err)
{
    const struct adl_decode_options options = decode_options(s);
    struct adl_image image = {.width = THUMB, .height = THUMB};

    if (adl_image_decode_sizes(bytes, length, &options, &image, 1, info, err) < 0)
        return adl_problem_of(err->kind);
    adl_image_release(&image);
    return ADL_PROBLEM_NONE;
}

size_t adl_annotations_picture_bytes(const struct adl_annotations *s, const void *bytes,
                                     size_t length)
{
    const struct adl_decode_options options = decode_options(s);
    const struct adl_image image = {.width = THUMB, .height = THUMB};
    struct adl_image_needs needs = {0};
    struct adl_error ignored = {0};

    /* One that cannot be read takes nothing, and is refused soon. */
    (void)!adl_image_examine(bytes, length, &options, &image, 1, &needs, &ignored);
    return ADL_MAX(needs.rows_bytes, length); /* the file that is kept is compared with it */
}

/* Compares a picture with the one that is kept under its name. */
static enum adl_problem compare(const struct adl_annotations *s, const char *name,
                                const void *bytes, size_t length, struct adl_error *err)
{
    size_t kept;
    char *path = path_of(s, err, "images/%s", name);
    char *own = path ? adl_file_read(path, ADL_LIMIT_IMAGE_FILE_BYTES, &kept, err) : NULL;
    bool same = own && kept == length && !memcmp(own, bytes, length);

    adl_free(own);
    adl_free(path);
    if (!own)
        return own_problem(err);
    if (same)
        return ADL_PROBLEM_NONE;
    adl_fail(err, ADL_ERR_ARG, "another picture is kept under the name %s", ADL_SHORT(name));
    return ADL_PROBLEM_PICTURE_CONFLICT;
}

/* The first time that a picture comes: it is kept with no boxes. */
static enum adl_problem add_picture(struct adl_annotations *s, const char *name, const void *bytes,
                                    size_t length, json_t **record, struct adl_error *err)
{
    struct adl_image_info info;
    enum adl_problem problem = measure(s, bytes, length, &info, err);

    if (problem != ADL_PROBLEM_NONE)
        return problem;
    if (json_object_size(s->records) >= ADL_LIMIT_ANNOTATIONS ||
        length > ADL_LIMIT_ANNOTATION_STORE_BYTES -
                     ADL_MIN(s->bytes, ADL_LIMIT_ANNOTATION_STORE_BYTES)) {
        adl_fail(err, ADL_ERR_LIMIT, "%zu pictures are kept already, with %zu MiB",
                 json_object_size(s->records), s->bytes / ADL_MIB);
        return ADL_PROBLEM_STORE_FULL;
    }
    *record = adl_annotation_empty(name, info.width, info.height);
    if (!*record)
        adl_fail_nomem(err, "a picture's boxes");
    if (!*record || write_file(s, "images/%s", name, bytes, length, err) < 0 ||
        write_record(s, name, *record, err) < 0 || keep(s, name, *record, err) < 0) {
        json_decref(*record);
        *record = NULL;
        return own_problem(err);
    }
    s->bytes += length;
    return ADL_PROBLEM_NONE;
}

enum adl_problem adl_annotations_put_picture(struct adl_annotations *s, const char *name,
                                             const void *bytes, size_t length, json_t **record,
                                             struct adl_error *err)
{
    *record = NULL;
    json_t *kept = json_object_get(s->records, name);
    if (!kept)
        return add_picture(s, name, bytes, length, record, err);
    enum adl_problem problem = compare(s, name, bytes, length, err);
    if (problem == ADL_PROBLEM_NONE)
        *record = json_incref(kept);
    return problem;
}

/* Keeps and lists a record that was checked. */
static enum adl_problem put_record(struct adl_annotations *s, const char *name, json_t *record,
                                   struct adl_error *err)
{
    bool fewer = boxes_of(record) == 0;
    int added = adl_annotation_add_labels(record, s->classes);

    if (added < 0)
        adl_fail_nomem(err, "the annotations");
    if (added < 0 || (added > 0 && write_classes(s, err) < 0) ||
        write_record(s, name, record, err) < 0 || keep(s, name, record, err) < 0 ||
        write_lists(s, fewer, err) < 0)
        return own_problem(err);
    return ADL_PROBLEM_NONE;
}

enum adl_problem adl_annotations_put_boxes(struct adl_annotations *s, const char *name,
                                           const char *text, size_t length, json_t **record,
                                           struct adl_error *err)
{
    const json_t *kept = json_object_get(s->records, name);
    json_error_t where;
    enum adl_problem problem = ADL_PROBLEM_MALFORMED_REQUEST;

    *record = NULL;
    if (!kept) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "the picture %s is not here; send it first, to this path",
                 ADL_SHORT(name));
        return ADL_PROBLEM_UNKNOWN_PICTURE;
    }
    json_t *given = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (given)
        *record =
            adl_annotation_make(given, name, side_of(kept, "width"), side_of(kept, "height"), err);
    else
        adl_fail(err, ADL_ERR_FORMAT, "the body is not JSON: line %d: %s", where.line,
                 adl_name_quote(where.text, strlen(where.text)).text);
    json_decref(given);
    if (*record && s->boxes - boxes_of(kept) + boxes_of(*record) > ADL_LIMIT_ANNOTATION_ALL_BOXES) {
        adl_fail(err, ADL_ERR_LIMIT, "%zu boxes are kept already", s->boxes);
        problem = ADL_PROBLEM_STORE_FULL;
    } else if (*record) {
        problem = put_record(s, name, *record, err);
    } else if (err->kind == ADL_ERR_NOMEM) {
        problem = ADL_PROBLEM_OUT_OF_MEMORY;
    }
    if (problem != ADL_PROBLEM_NONE) {
        json_decref(*record);
        *record = NULL;
    }
    return problem;
}

enum adl_problem adl_annotations_remove(struct adl_annotations *s, const char *name,
                                        struct adl_error *err)
{
    struct stat picture;
    json_t *kept = json_object_get(s->records, name);

    if (!kept) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "the picture %s is not here", ADL_SHORT(name));
        return ADL_PROBLEM_UNKNOWN_PICTURE;
    }
    char *path = path_of(s, err, "images/%s", name);
    if (!path)
        return ADL_PROBLEM_OUT_OF_MEMORY;
    size_t bytes = stat(path, &picture) == 0 ? (size_t)picture.st_size : 0;
    adl_free(path);
    s->boxes -= boxes_of(kept);
    s->bytes -= ADL_MIN(bytes, s->bytes);
    pthread_mutex_lock(&s->lock);
    json_object_del(s->records, name);
    pthread_mutex_unlock(&s->lock);
    /* The lists first: a picture in them has to be there. */
    if (write_lists(s, true, err) < 0 || remove_file(s, "boxes/%s.json", name, err) < 0 ||
        remove_file(s, "images/%s", name, err) < 0)
        return own_problem(err);
    return ADL_PROBLEM_NONE;
}

/* --- reading ---------------------------------------------------------------------------------- */

char *adl_annotations_text(struct adl_annotations *s, const char *name, size_t *length,
                           struct adl_error *err)
{
    json_t *all = json_array(), *found = NULL, *record;
    const char *key;
    int failed = 0;

    /* Records never change; under the lock they are only collected. */
    pthread_mutex_lock(&s->lock);
    if (name)
        found = json_incref(json_object_get(s->records, name));
    else
        json_object_foreach(s->records, key, record) failed |= json_array_append(all, record);
    pthread_mutex_unlock(&s->lock);
    if (!name && all && !failed)
        found = json_pack("{s:O}", "annotations", all);
    json_decref(all);
    if (name && !found) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "the picture %s is not here", ADL_SHORT(name));
        return NULL;
    }
    char *text = adl_json_to_text(found, JSON_COMPACT, length, err);
    if (text)
        text[(*length)++] = '\n'; /* in place of the NUL */
    json_decref(found);
    return text;
}
