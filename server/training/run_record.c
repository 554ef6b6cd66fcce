/* Writes and reads run.json, and makes the paths of a run's files. */

#include "server/training/run_record.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/file.h"
#include "io/json_text.h"

char *adl_run_path(const char *dir, const char *name, struct adl_error *err)
{
    struct adl_str path = {0};
    adl_str_printf(&path, "%s/%s", dir, name);
    return adl_str_take(&path, NULL, err);
}

/* Returns a path as JSON; NULL, which json_pack() leaves out, if it was not given. */
static json_t *optional(const char *text)
{
    return text ? adl_json_from_text(text) : NULL;
}

int adl_run_record_write(const char *dir, const struct adl_run_record *r, struct adl_error *err)
{
    size_t length;
    int result = -1;
    char *path = adl_run_path(dir, ADL_RUN_RECORD, err);
    json_t *json = json_pack(
        "{s:i, s:s, s:o, s:o, s:s, s:{s:o*, s:o*, s:o*, s:o*}, s:i, s:{s:I, s:I, s:I, s:b}, "
        "s:f, s:{s:i, s:s, s:o, s:s, s:s}, s:O, s:O*}",
        "version", 1, "program", r->program, "command", adl_json_from_text(r->command), "data",
        adl_json_from_text(r->data), "network", r->network, "paths", "data", optional(r->data_dir),
        "images", optional(r->image_dir), "metadata", optional(r->metadata_dir), "masks",
        optional(r->mask_dir), "epochs", r->epochs, "counts", "train", (json_int_t)r->train_images,
        "val", (json_int_t)r->val_images, "classes", (json_int_t)r->classes, "val_boxes",
        r->val_boxes, "curve_interval", r->curve_interval, "machine", "threads", r->threads,
        "cpu_path", r->cpu_path, "processor", adl_json_from_text(r->processor), "blas",
        r->blas_version, "blas_threading", r->blas_threading, "config", r->config, "labels",
        r->labels);
    char *text = adl_json_to_text(json, JSON_INDENT(2) | JSON_REAL_PRECISION(15), &length, err);

    if (path && text) {
        const struct adl_file_piece pieces[] = {{text, length}, {"\n", 1}};
        result = adl_file_write(path, pieces, 2, err);
    }
    adl_free(text);
    json_decref(json);
    adl_free(path);
    return result;
}

static int unpack(struct adl_run_record *r)
{
    json_int_t train, val, classes;
    int version, boxes;

    if (json_unpack(
            r->json,
            "{s:i, s:s, s:s, s:s, s:s, s:{s?s, s?s, s?s, s?s}, s:i, s:{s:I, s:I, s:I, s:b}, "
            "s:F, s:{s:i, s:s, s:s, s:s, s:s}, s:o, s?o}",
            "version", &version, "program", &r->program, "command", &r->command, "data", &r->data,
            "network", &r->network, "paths", "data", &r->data_dir, "images", &r->image_dir,
            "metadata", &r->metadata_dir, "masks", &r->mask_dir, "epochs", &r->epochs, "counts",
            "train", &train, "val", &val, "classes", &classes, "val_boxes", &boxes,
            "curve_interval", &r->curve_interval, "machine", "threads", &r->threads, "cpu_path",
            &r->cpu_path, "processor", &r->processor, "blas", &r->blas_version, "blas_threading",
            &r->blas_threading, "config", &r->config, "labels", &r->labels) < 0)
        return -1;
    r->train_images = (size_t)train;
    r->val_images = (size_t)val;
    r->classes = (size_t)classes;
    r->val_boxes = boxes;
    return version == 1 && train >= 0 && val >= 0 && classes >= 0 && r->curve_interval > 0 &&
                   r->curve_interval <= 1 && json_is_object(r->config) &&
                   (!r->labels || json_is_array(r->labels))
               ? 0
               : -1;
}

int adl_run_record_read(const char *dir, struct adl_run_record *record, struct adl_error *err)
{
    struct adl_error unread = {0};
    int result = -1;

    *record = (struct adl_run_record){0};
    if (!adl_file_is_folder(dir))
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: is not a directory", dir);
    char *path = adl_run_path(dir, ADL_RUN_RECORD, err);
    char *text = path ? adl_file_read(path, ADL_LIMIT_METRICS_BYTES, NULL, &unread) : NULL;
    record->json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (unread.kind == ADL_ERR_NOT_FOUND)
        adl_fail(err, ADL_ERR_NOT_FOUND,
                 "%s: not found; the directory is not the output of a training run, or the run was "
                 "made by an older version; then the run's command with --resume writes the file",
                 path);
    else if (unread.kind)
        adl_fail(err, unread.kind, "%s", unread.message);
    else if (text && (!record->json || unpack(record) < 0))
        adl_fail(err, ADL_ERR_FORMAT, "%s: is not the record of a training run", path);
    else if (text)
        result = 0;
    adl_free(text);
    adl_free(path);
    return result;
}

void adl_run_record_release(struct adl_run_record *record)
{
    json_decref(record->json);
    *record = (struct adl_run_record){0};
}
