#ifndef ADL_SERVER_TRAINING_RUNS_TREE_H
#define ADL_SERVER_TRAINING_RUNS_TREE_H

/* Reads the files of training runs below one directory, for those who name runs from outside. A run
 * is a directory with a run.json or a metrics.jsonl; its name is its path below the directory.
 *
 * Nothing outside of the directory is reachable: names have no "..", no empty and no hidden part,
 * and no symbolic link is followed below the directory, not even one that appears while a path is
 * walked, because each part is opened from the one before (openat with O_NOFOLLOW). Only regular
 * files are read, and no more of them than asked for. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Bounds of a search: runs that are listed, entries of directories that are looked at, and levels
 * of directories below the first. */
#define ADL_RUNS_MOST 500
#define ADL_RUNS_ENTRIES 50000
#define ADL_RUNS_DEPTH 6

struct adl_runs; /* immutable; any number of threads may use it */

/* Opens the directory, which may be named by a link. Fails with ADL_ERR_NOT_FOUND if it does not
 * exist, with ADL_ERR_ARG if it is not a directory, and with ADL_ERR_IO. */
struct adl_runs *adl_runs_open(const char *dir, struct adl_error *err) ADL_MUST_CHECK;
void adl_runs_free(struct adl_runs *runs);

struct adl_runs_list {
    char **names; /* owned, in order of their bytes; "." is a run in the directory itself */
    size_t count;
    bool more; /* a bound was met: there may be others */
};

/* Finds the runs. Directories that cannot be read count as empty. Fails with ADL_ERR_NOMEM. */
int adl_runs_find(const struct adl_runs *runs, struct adl_runs_list *list,
                  struct adl_error *err) ADL_MUST_CHECK;
void adl_runs_list_release(struct adl_runs_list *list);

/* What is known of a file of a run. */
struct adl_runs_file {
    uint64_t bytes;
    int64_t changed_s; /* when it was written last, in seconds since 1970 */
};

/* Returns whether the run has such a regular file, and fills in `file` unless it is NULL. `name`
 * may have one folder, "pictures/00.jpg". */
bool adl_runs_look(const struct adl_runs *runs, const char *run, const char *name,
                   struct adl_runs_file *file);

/* Reads `limit` bytes at most of a file of a run, from `offset` on, with a NUL behind them; *length
 * becomes their number, which is 0 beyond the end, and *file, unless it is NULL, what is known of
 * the file. The caller frees the bytes with adl_free(). Fails with ADL_ERR_NOT_FOUND if there is no
 * such run or file, or its name is not allowed, with ADL_ERR_IO and with ADL_ERR_NOMEM. */
char *adl_runs_read(const struct adl_runs *runs, const char *run, const char *name, uint64_t offset,
                    size_t limit, size_t *length, struct adl_runs_file *file,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Returns the names of the files in a folder of a run that begin with `start`, sorted, at most
 * `most`; none if there is no such folder. Fails with ADL_ERR_NOMEM. */
int adl_runs_files(const struct adl_runs *runs, const char *run, const char *folder,
                   const char *start, size_t most, struct adl_runs_list *list,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
