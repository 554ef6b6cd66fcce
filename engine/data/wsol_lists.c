/* Reads the lists of the reference evaluation code (clovaai/wsolevaluation) for weakly supervised
 * object localization (WSOL). There is one directory for each split, with files whose lines begin
 * with the path of an image:
 *
 *   image_ids.txt      PATH                  which images belong to the split, in order
 *   class_labels.txt   PATH,CLASS            class ids start at 0
 *                 or   PATH,CLASS,CLASS,...  with several labels; "PATH," for an image without one
 *   localization.txt   PATH,X0,Y0,X1,Y1      a line for each box; optional
 *                 or   PATH,X0,Y0,X1,Y1,CLASS   with several labels, as soon as an image has two
 *                 or   PATH,MASK,IGNORE      a line for each mask, as for OpenImages: paths of PNG
 *                                            files, the second one only in the image's first line,
 *                                            or empty
 *   image_sizes.txt    PATH,WIDTH,HEIGHT     optional
 *
 * Lines about images that are not in image_ids.txt are skipped, since shortening that file is
 * how a subset is made. The files mostly list the images in one order, so the image of a line is
 * looked for first at the index of the image found last, then at the next index, and only then by
 * binary search. */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/draft.h"
#include "data/lines.h"
#include "io/file.h"

/* Largest number that a line may hold: a coordinate, a side or a class id. */
#define MAX_NUMBER 1000000000

struct lists {
    struct adl_draft *draft;
    struct adl_dataset *dataset;
    const char *dir; /* metadata/SPLIT */
    size_t *by_id;   /* indices of the images, sorted by id; owned */
    size_t cursor;   /* index of the image found last */
};

/* --- finding an image by id ------------------------------------------------------ */

static int compare_ids(const void *a, const void *b, void *context)
{
    const struct adl_dataset *d = context;
    return strcmp(d->images[*(const size_t *)a].id, d->images[*(const size_t *)b].id);
}

/* Sorts the images by id and refuses duplicates. */
static int sort_ids(struct lists *l, struct adl_error *err)
{
    struct adl_dataset *d = l->dataset;

    l->by_id = adl_malloc(d->count, sizeof *l->by_id);
    if (!l->by_id)
        return adl_fail_nomem(err, "the images' order");
    for (size_t i = 0; i < d->count; i++)
        l->by_id[i] = i;
    qsort_r(l->by_id, d->count, sizeof *l->by_id, compare_ids, d);
    for (size_t i = 1; i < d->count; i++)
        if (!compare_ids(&l->by_id[i - 1], &l->by_id[i], d))
            return adl_fail(err, ADL_ERR_FORMAT, "%s/image_ids.txt: lists %s twice", l->dir,
                            d->images[l->by_id[i]].id);
    return 0;
}

/* Sets *index to the index of the image called `id`; returns false if it is not in this split. */
static bool find_image(struct lists *l, const char *id, size_t *index)
{
    const struct adl_dataset *d = l->dataset;
    size_t low = 0, high = d->count;

    /* Most lines are about the image found last (a second box) or about the next one. */
    for (size_t i = l->cursor; i < ADL_MIN(l->cursor + 2, d->count); i++) {
        if (!strcmp(d->images[i].id, id)) {
            l->cursor = *index = i;
            return true;
        }
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(d->images[l->by_id[middle]].id, id);
        if (order == 0) {
            l->cursor = *index = l->by_id[middle];
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* --- reading ----------------------------------------------------------------------- */

/* Parses the last `count` fields of "PATH,N,..." and cuts the line down to the path. Fields are
 * split off from the end, since a path may contain commas. `problem` is the message if the line
 * has another form. */
static int take_numbers(struct adl_lines *lines, int *numbers, size_t count, const char *problem,
                        struct adl_error *err)
{
    char *stop = lines->line + lines->length;

    for (size_t i = count; i-- > 0;) {
        char *comma = memrchr(lines->line, ',', (size_t)(stop - lines->line));
        if (!comma || comma == lines->line ||
            !adl_parse_count(comma + 1, (size_t)(stop - comma - 1), MAX_NUMBER, &numbers[i]))
            return adl_lines_fail(lines, problem, err);
        stop = comma;
    }
    *stop = '\0';
    lines->length = (size_t)(stop - lines->line);
    return 0;
}

/* Returns whether the last `count` fields of a line are numbers. */
static bool has_numbers(const struct adl_lines *lines, size_t count)
{
    const char *stop = lines->line + lines->length;
    int number;

    for (; count > 0; count--) {
        const char *comma = memrchr(lines->line, ',', (size_t)(stop - lines->line));
        if (!comma || comma == lines->line ||
            !adl_parse_count(comma + 1, (size_t)(stop - comma - 1), MAX_NUMBER, &number))
            return false;
        stop = comma;
    }
    return true;
}

static int read_ids(struct lists *l, const char *path, struct adl_error *err)
{
    struct adl_lines lines;
    int result = -1, more;

    ADL_TRY(adl_lines_open(&lines, path, err));
    while ((more = adl_lines_next(&lines, err)) > 0) {
        if (!adl_dataset_id_valid(lines.line)) {
            adl_lines_fail(&lines, "is not a path below the image directory", err);
            goto out;
        }
        ADL_TRY(adl_draft_add_image(l->draft, lines.line, -1, err));
    }
    if (more < 0)
        goto out;
    if (l->dataset->count == 0) {
        adl_fail(err, ADL_ERR_FORMAT, "%s: lists no image", path);
        goto out;
    }
    result = sort_ids(l, err);
out:
    adl_lines_close(&lines);
    return result;
}

typedef int take_line(struct lists *l, size_t index, const int *numbers,
                      const struct adl_lines *lines, struct adl_error *err);

/* Calls `take` for each line "PATH,N,..." about an image of this split. */
static int read_numbers(struct lists *l, const char *path, size_t count, const char *problem,
                        take_line *take, struct adl_error *err)
{
    struct adl_lines lines;
    int result = -1, more;

    l->cursor = 0;
    ADL_TRY(adl_lines_open(&lines, path, err));
    while ((more = adl_lines_next(&lines, err)) > 0) {
        int numbers[5] = {-1, -1, -1, -1, -1};
        size_t index;
        bool classed = l->draft->labelled && count == 4 && has_numbers(&lines, 5);
        ADL_TRY(take_numbers(&lines, numbers, classed ? 5 : count, problem, err));
        if (find_image(l, lines.line, &index))
            ADL_TRY(take(l, index, numbers, &lines, err));
    }
    result = more;
out:
    adl_lines_close(&lines);
    return result;
}

/* Finds the last two fields of "PATH,MASK,IGNORE", where MASK ends with .png; returns false if the
 * line has another form. */
static bool split_masks(char *line, char **mask, char **ignore)
{
    char *last = strrchr(line, ',');
    char *before = last ? memrchr(line, ',', (size_t)(last - line)) : NULL;

    if (!before || before == line || last - before < 6 || strncasecmp(last - 4, ".png", 4) != 0)
        return false;
    *mask = before + 1;
    *ignore = last + 1;
    return true;
}

static int check_class(const struct lists *l, size_t index, int class_id,
                       const struct adl_lines *lines, struct adl_error *err)
{
    const char *id = l->dataset->images[index].id;

    if (l->dataset->classes && (size_t)class_id >= l->dataset->class_count)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s line %zu: %s has class %d, but there are only %zu classes", lines->path,
                        lines->number, id, class_id, l->dataset->class_count);
    if (class_id >= ADL_LIMIT_CLASSES)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "%s line %zu: %s has class %d, but class ids must be below %d", lines->path,
                        lines->number, id, class_id, ADL_LIMIT_CLASSES);
    return 0;
}

static int take_label(struct lists *l, size_t index, const int *numbers,
                      const struct adl_lines *lines, struct adl_error *err)
{
    struct adl_dataset_image *image = &l->dataset->images[index];

    if (image->class_id >= 0)
        return adl_lines_fail(lines, "has a class already", err);
    if (check_class(l, index, numbers[0], lines, err) < 0)
        return -1;
    image->class_id = numbers[0];
    return 0;
}

/* Reads the classes of images that may have several. The fields after the path are split off from
 * the end as long as they are numbers, since a path may contain commas. */
static int take_labels(struct lists *l, struct adl_lines *lines, bool *seen, struct adl_error *err)
{
    char *end = lines->line + lines->length, *comma = memrchr(lines->line, ',', lines->length);
    int class_id;
    size_t index;

    bool none = comma && comma + 1 == end;
    if (none)
        *comma = '\0';
    size_t count = 0;
    while (!none && comma && comma > lines->line &&
           adl_parse_count(comma + 1, (size_t)(end - comma - 1), MAX_NUMBER, &class_id)) {
        *comma = '\0';
        end = comma;
        comma = memrchr(lines->line, ',', (size_t)(end - lines->line));
        count++;
    }
    if (!*lines->line || (!none && count == 0))
        return adl_lines_fail(lines, "is not PATH,CLASS,CLASS,... or, without a class, PATH,", err);
    if (!find_image(l, lines->line, &index)) {
        /* Lists may have lines of other splits, but PATH,1, is a slip. */
        const char *rest = none ? strrchr(lines->line, ',') : NULL;
        if (rest && adl_parse_count(rest + 1, strlen(rest + 1), MAX_NUMBER, &class_id))
            return adl_lines_fail(lines, "has a comma after its last class", err);
        return 0;
    }
    if (seen[index] && (none || l->dataset->images[index].bare))
        return adl_lines_fail(lines, "has no class here and is listed twice", err);
    seen[index] = true;
    l->dataset->images[index].bare = none;
    for (; count-- > 0; end += strlen(end + 1) + 1) {
        if (!adl_parse_count(end + 1, strlen(end + 1), MAX_NUMBER, &class_id) ||
            check_class(l, index, class_id, lines, err) < 0 ||
            adl_draft_add_label(l->draft, index, class_id, err) < 0)
            return -1;
    }
    return 0;
}

static int read_labels(struct lists *l, const char *path, struct adl_error *err)
{
    struct adl_lines lines;
    int result = -1, more;
    bool *seen = adl_calloc(l->dataset->count, sizeof *seen);

    l->cursor = 0;
    ADL_TRY(adl_lines_open(&lines, path, err));
    if (!seen) {
        adl_fail_nomem(err, "the data set's labels");
        goto out;
    }
    l->draft->labelled = true;
    while ((more = adl_lines_next(&lines, err)) > 0)
        ADL_TRY(take_labels(l, &lines, seen, err));
    result = more;
    for (size_t i = 0; result == 0 && i < l->dataset->count; i++)
        if (!seen[i])
            result = adl_fail(err, ADL_ERR_FORMAT, "%s: has no line for %s", path,
                              l->dataset->images[i].id);
        else
            l->dataset->images[i].class_id = 0; /* adl_draft_place_labels() chooses it */
out:
    adl_free(seen);
    adl_lines_close(&lines);
    return result;
}

static int take_box(struct lists *l, size_t index, const int *numbers,
                    const struct adl_lines *lines, struct adl_error *err)
{
    struct adl_dataset_box box = {numbers[0], numbers[1], numbers[2], numbers[3]};

    if (l->draft->labelled && numbers[4] >= 0 && check_class(l, index, numbers[4], lines, err) < 0)
        return -1;
    if (box.x1 < box.x0 || box.y1 < box.y0)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s line %zu: %s has the box %d,%d,%d,%d, which ends "
                        "before it begins",
                        lines->path, lines->number, lines->line, box.x0, box.y0, box.x1, box.y1);
    return adl_draft_add_class_box(l->draft, index, numbers[4], box, err);
}

/* Takes a line "PATH,MASK,IGNORE". Fields are split off from the end, since a path of an image may
 * contain commas. A path that leads out of the directory of masks is refused. */
static int take_mask(struct lists *l, struct adl_lines *lines, struct adl_error *err)
{
    char *mask, *ignore;
    size_t index;

    if (!split_masks(lines->line, &mask, &ignore))
        return adl_lines_fail(lines, "is not PATH,MASK.png,IGNORE.png or PATH,MASK.png,", err);
    mask[-1] = ignore[-1] = '\0';
    if (!adl_dataset_id_valid(mask) || (*ignore && !adl_dataset_id_valid(ignore)))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s line %zu: %s has a mask that is not a path below the directory of "
                        "masks",
                        lines->path, lines->number, lines->line);
    if (!find_image(l, lines->line, &index))
        return 0;
    struct adl_dataset_image *image = &l->dataset->images[index];
    if (*ignore) {
        if (image->ignore)
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s line %zu: %s has a mask of ignored pixels already", lines->path,
                            lines->number, image->id);
        image->ignore = adl_draft_text(l->draft, err, "%s", ignore);
        if (!image->ignore)
            return -1;
    }
    return adl_draft_add_mask(l->draft, index, mask, err);
}

static int read_masks(struct lists *l, const char *path, struct adl_error *err)
{
    struct adl_lines lines;
    int result = -1, more;

    l->cursor = 0;
    ADL_TRY(adl_lines_open(&lines, path, err));
    while ((more = adl_lines_next(&lines, err)) > 0)
        ADL_TRY(take_mask(l, &lines, err));
    result = more;
out:
    adl_lines_close(&lines);
    return result;
}

/* Sets *masks to whether the first line of localization.txt names a mask. */
static int names_masks(const char *path, bool *masks, struct adl_error *err)
{
    struct adl_lines lines;
    char *mask, *ignore;
    int result = -1;

    ADL_TRY(adl_lines_open(&lines, path, err));
    result = adl_lines_next(&lines, err);
    *masks = result > 0 && split_masks(lines.line, &mask, &ignore);
    result = ADL_MIN(result, 0);
out:
    adl_lines_close(&lines);
    return result;
}

/* Reads boxes, or masks if the first line names one. */
static int read_localization(struct lists *l, const char *path, struct adl_error *err)
{
    bool masks;

    if (!adl_file_is_regular(path))
        return 0;
    if (names_masks(path, &masks, err) < 0)
        return -1;
    if (masks)
        return read_masks(l, path, err);
    return read_numbers(l, path, 4, "is not PATH,X0,Y0,X1,Y1", take_box, err);
}

static int take_size(struct lists *l, size_t index, const int *numbers,
                     const struct adl_lines *lines, struct adl_error *err)
{
    struct adl_dataset_image *image = &l->dataset->images[index];

    if (numbers[0] < 1 || numbers[1] < 1)
        return adl_lines_fail(lines, "has a width or height of 0", err);
    if (image->width > 0)
        return adl_lines_fail(lines, "has a size already", err);
    image->width = numbers[0];
    image->height = numbers[1];
    return 0;
}

/* Refuses an image without a class, or without a box or mask if others have one. */
static int check_complete(const struct lists *l, struct adl_error *err)
{
    const struct adl_dataset *d = l->dataset;
    bool *boxed = adl_calloc(d->count, sizeof *boxed);
    int result = -1;

    if (!boxed)
        return adl_fail_nomem(err, "the data set");
    for (size_t i = 0; i < l->draft->box_count; i++)
        boxed[l->draft->boxes[i].image] = true;
    for (size_t i = 0; i < l->draft->mask_count; i++)
        boxed[l->draft->masks[i].image] = true;
    for (size_t i = 0; i < d->count; i++) {
        if (d->images[i].class_id < 0) {
            adl_fail(err, ADL_ERR_FORMAT, "%s/class_labels.txt: has no class for %s", l->dir,
                     d->images[i].id);
            goto out;
        }
        bool several = l->draft->options->multi_label; /* adl_draft_place_labels() checks */
        if (!several && l->draft->box_count + l->draft->mask_count > 0 && !boxed[i]) {
            adl_fail(err, ADL_ERR_FORMAT, "%s/localization.txt: has %s, but none for %s", l->dir,
                     l->draft->box_count > 0 ? "boxes" : "masks", d->images[i].id);
            goto out;
        }
    }
    result = 0;
out:
    adl_free(boxed);
    return result;
}

/* --- paths -------------------------------------------------------------------------- */

/* Sets the image directory of the data set: the one that is given, or else DIR/images if it exists,
 * or else DIR; NULL without DIR. */
static int find_image_dir(struct adl_draft *draft, struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;
    const char *path = o->images ? o->images : o->dir;

    if (path)
        path = adl_draft_text(draft, err, o->images ? "%s" : "%s/images", path);
    if (path && !o->images && !adl_file_is_folder(path))
        path = adl_draft_text(draft, err, "%s", o->dir);
    draft->dataset->image_dir = path;
    return err->kind ? -1 : 0;
}

/* Reads classes.txt in DIR or else in the metadata directory, if one is given. Without that file,
 * the classes have no names. */
static int read_classes(struct adl_draft *draft, struct adl_error *err)
{
    const char *const places[] = {draft->options->dir, draft->options->metadata};

    for (size_t i = 0; i < ADL_COUNT(places); i++) {
        if (!places[i])
            continue;
        const char *path = adl_draft_text(draft, err, "%s/classes.txt", places[i]);
        if (!path)
            return -1;
        if (adl_file_is_regular(path))
            return adl_draft_read_classes(draft, path, err);
    }
    return 0;
}

/* Returns the metadata directory: the one that is given, or else DIR/metadata. */
static const char *metadata_dir(struct adl_draft *draft, struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;
    return o->metadata ? o->metadata : adl_draft_text(draft, err, "%s/metadata", o->dir);
}

/* A metadata directory without the split is a possible match: if no other layout matches for
 * certain, the data set is read as lists, and the error names the missing split. */
static int lists_match(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err)
{
    const char *metadata = metadata_dir(draft, err), *split;

    if (!metadata || adl_draft_find_split(draft, metadata, draft->options->split, &split, err) < 0)
        return -1;
    if (draft->options->metadata || split)
        *fit = ADL_LAYOUT_CERTAIN;
    else
        *fit = adl_file_is_folder(metadata) ? ADL_LAYOUT_POSSIBLE : ADL_LAYOUT_NO;
    return 0;
}

static int lists_read(struct adl_draft *draft, struct adl_error *err)
{
    const char *metadata = metadata_dir(draft, err);
    const char *dir;
    struct lists l = {.draft = draft, .dataset = draft->dataset};
    int result = -1;

    if (!metadata || adl_draft_find_split(draft, metadata, draft->options->split, &dir, err) < 0)
        return -1;
    if (!dir)
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s/%s: there is no such split", metadata,
                        draft->options->split);
    l.dir = dir;
    const char *ids = adl_draft_text(draft, err, "%s/image_ids.txt", dir);
    const char *labels = adl_draft_text(draft, err, "%s/class_labels.txt", dir);
    const char *boxes = adl_draft_text(draft, err, "%s/localization.txt", dir);
    const char *sizes = adl_draft_text(draft, err, "%s/image_sizes.txt", dir);
    if (!ids || !labels || !boxes || !sizes)
        return -1;
    ADL_TRY(find_image_dir(draft, err));
    ADL_TRY(read_classes(draft, err));
    ADL_TRY(read_ids(&l, ids, err));
    if (draft->options->multi_label)
        ADL_TRY(read_labels(&l, labels, err));
    else
        ADL_TRY(read_numbers(&l, labels, 1, "is not PATH,CLASS", take_label, err));
    ADL_TRY(read_localization(&l, boxes, err));
    if (adl_file_is_regular(sizes))
        ADL_TRY(read_numbers(&l, sizes, 2, "is not PATH,WIDTH,HEIGHT", take_size, err));
    result = check_complete(&l, err);
out:
    adl_free(l.by_id);
    return result;
}

const struct adl_layout adl_layout_lists = {ADL_DATASET_LISTS, lists_match, lists_read};
