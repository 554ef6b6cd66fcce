/* Reads boxes of Pascal VOC: an XML file for each image in DIR/Annotations or below it, images in
 * JPEGImages, images, or DIR itself, and splits in ImageSets/Main/SPLIT.txt, a name without
 * extension in each line; without such a list, each name of a split is all of it.
 *
 *     <annotation><filename>1.jpg</filename><size><width>500</width><height>375</height></size>
 *       <object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>
 *
 * Pixels are counted from 1 and both ends are inclusive. Expat reads the XML; of its elements only
 * those above count, wherever other ones stand between them. The classes are in byte order. */

#include <expat.h>
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
#include "io/file.h"

/* Text of an element that counts; longer ones are refused. */
#define TEXT_BYTES ADL_LIMIT_CLASS_NAME_BYTES
#define DEEPEST 64

enum { XMIN, YMIN, XMAX, YMAX, CORNERS };

struct object {
    char name[TEXT_BYTES + 1];
    double corner[CORNERS];
    unsigned known; /* a bit for each corner that was read */
    bool has_name;
};

/* One file that is being read. */
struct voc {
    struct adl_annotated *a;
    const char *path;
    XML_Parser parser;
    int depth, object_depth, part_depth; /* where <object> and <part> began; 0: not within */
    int parts;
    char text[TEXT_BYTES + 1];
    size_t length;
    char filename[TEXT_BYTES + 1];
    double width, height;
    struct object object;
    struct object *objects; /* owned */
    size_t count, capacity;
    struct adl_error *err;
    bool failed;
};

static void fail(struct voc *v, const char *problem)
{
    if (!v->failed)
        adl_fail(v->err, ADL_ERR_FORMAT, "%s line %lu: %s", v->path,
                 (unsigned long)XML_GetCurrentLineNumber(v->parser), problem);
    v->failed = true;
    XML_StopParser(v->parser, XML_FALSE);
}

static void XMLCALL on_start(void *context, const char *name, const char **attributes)
{
    struct voc *v = context;

    (void)attributes;
    if (++v->depth > DEEPEST) {
        fail(v, "has elements nested too deeply");
        return;
    }
    v->length = 0;
    /* A part of an object, such as a head, is a box of its own that no class has. */
    if (!strcmp(name, "part") && !v->part_depth)
        v->part_depth = v->depth;
    if (!strcmp(name, "object") && !v->object_depth) {
        v->object_depth = v->depth;
        v->object = (struct object){0};
    }
}

static void XMLCALL on_text(void *context, const char *text, int length)
{
    struct voc *v = context;

    for (int i = 0; i < length; i++)
        if (v->length < TEXT_BYTES)
            v->text[v->length++] = text[i];
        else
            v->length = TEXT_BYTES + 1;
    if (v->length > TEXT_BYTES)
        v->length = TEXT_BYTES;
}

static double number_of(struct voc *v)
{
    char *end;
    double value = strtod(v->text, &end);

    if (end == v->text || end[strspn(end, " \t\r\n")] || !isfinite(value))
        fail(v, "has no number where one has to be");
    return value;
}

/* Copies the text without the blanks around it. */
static void copy_text(const struct voc *v, char out[TEXT_BYTES + 1])
{
    const char *begin = v->text + strspn(v->text, " \t\r\n");
    size_t length = strlen(begin);

    while (length > 0 && strchr(" \t\r\n", begin[length - 1]))
        length--;
    memcpy(out, begin, length);
    out[length] = '\0';
}

static void end_object(struct voc *v)
{
    if (!v->object.has_name || v->object.known != (1u << CORNERS) - 1) {
        fail(v, "ends an object without a name or one of xmin, ymin, xmax and ymax");
        return;
    }
    struct object *objects =
        adl_array_grow(v->objects, &v->capacity, v->count + 1, sizeof *objects);
    if (!objects) {
        adl_fail_nomem(v->err, "the objects of an image");
        v->failed = true;
        XML_StopParser(v->parser, XML_FALSE);
        return;
    }
    v->objects = objects;
    v->objects[v->count++] = v->object;
}

static void end_in_object(struct voc *v, const char *name)
{
    static const char *const corners[] = {"xmin", "ymin", "xmax", "ymax"};

    if (v->depth == v->object_depth + 1 && !strcmp(name, "name")) {
        copy_text(v, v->object.name);
        v->object.has_name = true;
    }
    for (unsigned i = 0; i < CORNERS; i++)
        if (!strcmp(name, corners[i])) {
            v->object.corner[i] = number_of(v);
            v->object.known |= 1u << i;
        }
}

static void XMLCALL on_end(void *context, const char *name)
{
    struct voc *v = context;

    v->text[v->length] = '\0';
    if (v->part_depth) {
        if (v->depth == v->part_depth)
            v->part_depth = 0;
    } else if (v->object_depth && v->depth == v->object_depth) {
        end_object(v);
        v->object_depth = 0;
    } else if (v->object_depth) {
        end_in_object(v, name);
    } else if (!strcmp(name, "filename")) {
        copy_text(v, v->filename);
    } else if (!strcmp(name, "width")) {
        v->width = number_of(v);
    } else if (!strcmp(name, "height")) {
        v->height = number_of(v);
    }
    v->depth--;
    v->length = 0;
}

/* No file needs a document type; its entities could grow without end. */
static void XMLCALL on_doctype(void *context, const char *name, const char *system,
                               const char *public_id, int internal)
{
    (void)name;
    (void)system;
    (void)public_id;
    (void)internal;
    fail(context, "has a document type, which annotations have not");
}

/* Adds what was read: the picture, and a box for each object. */
static int keep(struct voc *v, const char *id, struct adl_error *err)
{
    struct adl_annotated *a = v->a;
    size_t picture;
    int label;

    if (!(v->width >= 0 && v->width <= 1e7 && v->height >= 0 && v->height <= 1e7))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: has a size that is none", v->path);
    if (adl_annotated_add_picture(a, id, (int)v->width, (int)v->height, &picture, err) < 0)
        return -1;
    for (size_t i = 0; i < v->count; i++) {
        const double *c = v->objects[i].corner;
        const double edges[] = {c[XMIN] - 1, c[YMIN] - 1, c[XMAX], c[YMAX]};
        if (adl_annotated_add_label(a, v->objects[i].name, &label, err) < 0 ||
            adl_annotated_add_box(a, picture, label, edges, err) < 0)
            return -1;
    }
    return 0;
}

/* An annotation in Annotations/sub/ that names an image without its directory means the one in
 * sub/, unless only the directory of the images itself has one of that name. */
static int find_beside(struct voc *v, const char *stem, const char *const *places, const char **id,
                       struct adl_error *err)
{
    struct adl_draft *draft = v->a->draft;
    const char *slash = strrchr(stem, '/'), *names[2] = {*id};
    bool found[2] = {false};

    if (!slash || strchr(*id, '/'))
        return 0;
    names[1] = adl_draft_text(draft, err, "%.*s/%s", (int)(slash - stem), stem, *id);
    if (!names[1])
        return -1;
    for (size_t i = 0; places[i]; i++)
        for (size_t k = 0; k < ADL_COUNT(names); k++) {
            const char *path = adl_draft_text(draft, err, "%s/%s", places[i], names[k]);
            if (!path)
                return -1;
            found[k] |= access(path, F_OK) == 0;
        }
    *id = names[found[1] || !found[0]];
    return 0;
}

/* Reads one XML file, which belongs to the image `stem` if it does not say a file's name. The
 * images are in one of `places`. */
static int read_file(struct adl_annotated *a, const char *path, const char *stem,
                     const char *const *places, struct adl_error *err)
{
    struct voc *v = adl_calloc(1, sizeof *v);
    char *bytes = NULL;
    size_t length;
    int result = -1;

    if (!v)
        return adl_fail_nomem(err, "an annotation");
    *v = (struct voc){.a = a, .path = path, .err = err};
    bytes = adl_file_read(path, ADL_LIMIT_BOX_FILE_BYTES, &length, err);
    if (!bytes)
        goto out;
    v->parser = XML_ParserCreate(NULL);
    if (!v->parser) {
        adl_fail_nomem(err, "the reader of XML");
        goto out;
    }
    XML_SetUserData(v->parser, v);
    XML_SetElementHandler(v->parser, on_start, on_end);
    XML_SetCharacterDataHandler(v->parser, on_text);
    XML_SetStartDoctypeDeclHandler(v->parser, on_doctype);
    if (XML_Parse(v->parser, bytes, (int)length, 1) != XML_STATUS_OK) {
        if (!v->failed)
            adl_fail(err, ADL_ERR_FORMAT, "%s line %lu: %s", path,
                     (unsigned long)XML_GetCurrentLineNumber(v->parser),
                     XML_ErrorString(XML_GetErrorCode(v->parser)));
        goto out;
    }
    const char *last = strrchr(v->filename, '/');
    const char *id = *v->filename ? v->filename : adl_draft_text(a->draft, err, "%s.jpg", stem);
    if (last && !adl_dataset_id_valid(v->filename))
        id = last + 1;
    if (*v->filename && id && find_beside(v, stem, places, &id, err) < 0)
        goto out;
    result = id ? keep(v, id, err) : -1;
out:
    if (v->parser)
        XML_ParserFree(v->parser);
    adl_free(v->objects);
    adl_free(bytes);
    adl_free(v);
    return result;
}

/* --- the directory -------------------------------------------------------------------- */

/* Adds the names of a list of ImageSets/Main. Lists of classes have a number after each name. */
static int list_split(struct adl_draft *draft, const char *path, struct adl_names *names,
                      struct adl_error *err)
{
    struct adl_lines lines = {0};
    int more, result = -1;

    ADL_TRY(adl_lines_open(&lines, path, err));
    while ((more = adl_lines_next(&lines, err)) > 0) {
        lines.line[strcspn(lines.line, " \t")] = '\0';
        if (!adl_dataset_id_valid(lines.line)) {
            adl_lines_fail(&lines, "is not the name of an image", err);
            goto out;
        }
        const char *name = adl_draft_text(draft, err, "%s", lines.line);
        if (!name || adl_names_add(names, name, err) < 0)
            goto out;
    }
    result = more;
out:
    adl_lines_close(&lines);
    return result;
}

static int voc_match(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err)
{
    const char *dir = draft->options->dir;
    const char *path = adl_draft_text(draft, err, "%s/Annotations", dir ? dir : "");
    struct adl_names names = {0};
    struct adl_error none = {0};

    *fit = ADL_LAYOUT_NO;
    if (!path)
        return -1;
    /* A class of a folder data set may be called Annotations as well. */
    if (dir && adl_file_is_folder(path) &&
        adl_names_below(draft, path, ".xml", true, &names, &none) < 0 &&
        (none.kind == ADL_ERR_NOMEM || none.kind == ADL_ERR_LIMIT))
        return adl_fail(err, none.kind, "%s", none.message);
    if (names.count > 0)
        *fit = ADL_LAYOUT_CERTAIN;
    adl_free(names.items);
    return 0;
}

static int voc_read(struct adl_draft *draft, struct adl_error *err)
{
    const char *dir = draft->options->dir, *split = adl_draft_split_name(draft->options->split);
    struct adl_annotated a = {.draft = draft, .path = dir, .by_name = true};
    struct adl_names names = {0};
    int result = -1;

    const char *lists = adl_draft_text(draft, err, "%s/ImageSets/Main", dir);
    const char *list = adl_draft_text(draft, err, "%s/ImageSets/Main/%s.txt", dir, split);
    const char *files = adl_draft_text(draft, err, "%s/Annotations", dir);
    const char *jpegs = adl_draft_text(draft, err, "%s/JPEGImages", dir);
    const char *images = adl_draft_text(draft, err, "%s/images", dir);
    if (!lists || !list || !files || !jpegs || !images)
        return -1;
    const char *const places[] = {jpegs, images, dir, NULL};
    const char *const given[] = {draft->options->images, NULL};
    if (adl_file_is_regular(list)) {
        ADL_TRY(list_split(draft, list, &names, err));
    } else if (adl_file_is_folder(lists) && strcmp(split, "all") != 0) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s: is not there; the split %s has no list", list, split);
        goto out;
    } else {
        draft->dataset->drawn = draft->dataset->whole = !adl_file_is_folder(lists);
        ADL_TRY(adl_names_below(draft, files, ".xml", false, &names, err));
    }
    for (size_t i = 0; i < names.count; i++) {
        const char *path = adl_draft_text(draft, err, "%s/%s.xml", files, names.items[i]);
        if (!path)
            goto out;
        ADL_TRY(read_file(&a, path, names.items[i], given[0] ? given : places, err));
    }
    ADL_TRY(adl_annotated_find_images(&a, places, err));
    result = adl_annotated_place(&a, err);
out:
    adl_free(names.items);
    adl_annotated_release(&a);
    return result;
}

const struct adl_layout adl_layout_voc = {ADL_DATASET_BOXES, voc_match, voc_read};
