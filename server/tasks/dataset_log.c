/* Prints remarks on a data set; see dataset_log.h. */

#include "server/tasks/dataset_log.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/labels.h"

static const struct {
    const char *one, *many;
} kinds[ADL_LEFT_OUT_KINDS] = {
    [ADL_LEFT_OUT_CLASS] = {"directory without an image, which is not a class",
                            "directories without an image, which are not classes"},
    [ADL_LEFT_OUT_RUN] = {"directory of a training run, which is not a class",
                          "directories of training runs, which are not classes"},
    [ADL_LEFT_OUT_FORMAT] = {"file whose name is not that of an image",
                             "files whose names are not those of images"},
    [ADL_LEFT_OUT_OUTSIDE] = {"image outside the directories of the classes",
                              "images outside the directories of the classes"},
    [ADL_LEFT_OUT_SPECIAL] = {"FIFO, socket or device", "FIFOs, sockets or devices"},
    [ADL_LEFT_OUT_DANGLING] = {"symbolic link to nothing", "symbolic links to nothing"},
    [ADL_LEFT_OUT_LOOP] = {"link in a loop, or to a directory that is read already",
                           "links in a loop, or to directories that are read already"},
    [ADL_LEFT_OUT_DEEP] = {"directory too many levels down", "directories too many levels down"},
    [ADL_LEFT_OUT_UNREADABLE] = {"directory or link that cannot be opened",
                                 "directories or links that cannot be opened"},
    [ADL_LEFT_OUT_UNKNOWN] = {"image of a class that the network does not have",
                              "images of classes that the network does not have"},
};

/* Prints a name from the file system, with '?' for control characters, so that it stays in one
 * line. */
static void print_name(const char *name, bool first)
{
    fputs(first ? " " : ", ", stderr);
    for (const char *p = name; *p; p++)
        fputc((unsigned char)*p < ' ' || *p == '\x7f' ? '?' : *p, stderr);
}

static void log_left_out(const struct adl_dataset *d, const char *command)
{
    for (size_t kind = 0; kind < ADL_LEFT_OUT_KINDS; kind++) {
        const struct adl_left_out_count *l = &d->left_out[kind];
        if (l->count == 0)
            continue;
        bool more = kind == ADL_LEFT_OUT_UNKNOWN ? l->more : l->count > ADL_LEFT_OUT_NAMES;
        fprintf(stderr, "adl-server: %s: %s: left out %zu %s:", command, d->image_dir, l->count,
                l->count == 1 ? kinds[kind].one : kinds[kind].many);
        for (size_t i = 0; i < ADL_MIN(l->count, (size_t)ADL_LEFT_OUT_NAMES); i++)
            if (l->names[i])
                print_name(l->names[i], i == 0);
        fputs(more ? ", ...\n" : "\n", stderr);
    }
}

static void print_class(const struct adl_dataset *d, size_t class_id, bool first)
{
    char number[40];

    if (!d->classes)
        snprintf(number, sizeof number, "class %zu", class_id);
    print_name(d->classes ? d->classes[class_id] : number, first);
}

static void log_classes(const struct adl_dataset *d, const char *command)
{
    size_t *used = adl_calloc(d->class_count, sizeof *used);
    size_t empty = 0, last = 0, named = 0;

    if (!used)
        return;
    adl_dataset_count_labels(d, used);
    for (size_t i = 0; i < d->class_count; i++) {
        empty += used[i] == 0;
        if (used[i])
            last = i;
    }
    if (empty > 0) {
        fprintf(stderr, "adl-server: %s: warning: %zu of %zu classes %s no image:", command, empty,
                d->class_count, empty == 1 ? "has" : "have");
        for (size_t i = 0; i < d->class_count && named < ADL_LEFT_OUT_NAMES; i++)
            if (!used[i])
                print_class(d, i, named++ == 0);
        fputs(empty > named ? ", ...\n" : "\n", stderr);
    }
    if (d->class_count - empty == 1) {
        fprintf(stderr, "adl-server: %s: warning: all images are of a single class:", command);
        print_class(d, last, true);
        fputs("; a classifier needs at least two\n", stderr);
    }
    adl_free(used);
}

void adl_log_dataset(const struct adl_dataset *dataset, const char *command, bool training)
{
    log_left_out(dataset, command);
    if (training && dataset->count > 0)
        log_classes(dataset, command);
}
