/* Keeps lines in a file without a name. Its place in a directory is given up at once, so nothing
 * is left behind however the process ends, and nobody else can open it.
 *
 * A line is written before its end is noted, so what is open to readers is whole. The lock is held
 * for the note alone. */

#include "server/serving/job_results.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"

struct adl_job_results {
    int fd;
    pthread_mutex_t lock; /* protects the rest */
    uint64_t *ends;       /* of each line, in the file */
    size_t count, capacity;
};

const char *adl_job_results_folder(void)
{
    const char *given = getenv("TMPDIR");
    return given && *given == '/' ? given : "/tmp";
}

static int open_nameless(struct adl_error *err)
{
    const char *folder = adl_job_results_folder();
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char name[4200];

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL) &&
        (size_t)snprintf(name, sizeof name, "%s/adl-job-XXXXXX", folder) < sizeof name) {
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    if (fd < 0)
        adl_fail(err, ADL_ERR_IO,
                 "%s: cannot make a file for the results: %s; TMPDIR names another directory",
                 folder, strerror(errno));
    return fd;
}

struct adl_job_results *adl_job_results_create(struct adl_error *err)
{
    struct adl_job_results *results = adl_calloc(1, sizeof *results);

    if (!results) {
        adl_fail_nomem(err, "the results");
        return NULL;
    }
    results->fd = open_nameless(err);
    if (results->fd < 0) {
        adl_free(results);
        return NULL;
    }
    pthread_mutex_init(&results->lock, NULL);
    return results;
}

void adl_job_results_free(struct adl_job_results *results)
{
    if (!results)
        return;
    close(results->fd);
    pthread_mutex_destroy(&results->lock);
    adl_free(results->ends);
    adl_free(results);
}

static int write_at(int fd, const char *bytes, size_t length, uint64_t offset,
                    struct adl_error *err)
{
    while (length > 0) {
        ssize_t put = pwrite(fd, bytes, length, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return adl_fail(err, ADL_ERR_IO, "the results cannot be written: %s",
                            put < 0 ? strerror(errno) : "the disk is full");
        bytes += put;
        length -= (size_t)put;
        offset += (uint64_t)put;
    }
    return 0;
}

int adl_job_results_add(struct adl_job_results *results, const char *line, size_t length,
                        struct adl_error *err)
{
    /* Only the caller changes the ends, so it may read them without the lock. */
    const uint64_t begin = results->count > 0 ? results->ends[results->count - 1] : 0;
    int result = -1;

    if (length >= ADL_LIMIT_JOB_RESULT_BYTES || begin > ADL_LIMIT_JOB_RESULT_BYTES - length - 1)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "the results have more than %zu MiB; ask for fewer pictures, or less of "
                        "each",
                        ADL_LIMIT_JOB_RESULT_BYTES / ADL_MIB);
    if (write_at(results->fd, line, length, begin, err) < 0 ||
        write_at(results->fd, "\n", 1, begin + length, err) < 0)
        return -1;
    pthread_mutex_lock(&results->lock);
    uint64_t *ends = adl_array_grow(results->ends, &results->capacity, results->count + 1,
                                    sizeof *results->ends);
    if (ends) {
        results->ends = ends;
        ends[results->count++] = begin + length + 1;
        result = 0;
    }
    pthread_mutex_unlock(&results->lock);
    return result == 0 ? 0 : adl_fail_nomem(err, "the results");
}

size_t adl_job_results_count(struct adl_job_results *results)
{
    pthread_mutex_lock(&results->lock);
    size_t count = results->count;
    pthread_mutex_unlock(&results->lock);
    return count;
}

int adl_job_results_open(struct adl_job_results *results, size_t from, int *fd, uint64_t *offset,
                         size_t *length, struct adl_error *err)
{
    pthread_mutex_lock(&results->lock);
    const uint64_t end = results->count > 0 ? results->ends[results->count - 1] : 0;
    *offset = from == 0 ? 0 : from >= results->count ? end : results->ends[from - 1];
    pthread_mutex_unlock(&results->lock);
    *length = (size_t)(end - *offset);
    *fd = fcntl(results->fd, F_DUPFD_CLOEXEC, 0);
    if (*fd < 0)
        return adl_fail(err, ADL_ERR_IO, "the results cannot be opened: %s", strerror(errno));
    return 0;
}
