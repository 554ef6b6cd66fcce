/* The checks of `doctor` that look at what a server needs: its model, its address, its directories
 * and the service manager. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "server/commands/doctor.h"
#include "server/http/http.h"
#include "server/serving/job_results.h"
#include "server/serving/notify.h"
#include "server/serving/registry.h"
#include "server/tasks/default_model.h"

/* --- the model ------------------------------------------------------------------- */

/* Loads the model as `serve` does, which runs it once and refuses scores that are not finite. */
static int load_model(struct adl_registry *registry, const char *path, struct adl_error *err)
{
    char text[ADL_DEFAULT_MODEL_PATH + 16];

    snprintf(text, sizeof text, "default=%s", path);
    if (adl_registry_add(registry, text, err) < 0)
        return -1;
    return adl_registry_load(registry, "default", false, NULL, err);
}

void adl_doctor_model(struct adl_doctor *d)
{
    char shipped[ADL_DEFAULT_MODEL_PATH];
    struct adl_error err = {0};
    const char *path = adl_model_or_default(d->settings->model, shipped, &err);
    struct adl_registry *registry = path ? adl_registry_create(1, &err) : NULL;
    struct adl_served *served = NULL;

    if (registry && load_model(registry, path, &err) == 0)
        served = adl_registry_acquire(registry, "", &err);
    if (served)
        adl_doctor_say(d, ADL_FINDING_OK, NULL,
                       "%s: %zu class%s, %zu MiB; the scores of a uniform picture are finite", path,
                       served->model->class_count, ADL_ES(served->model->class_count),
                       served->memory_bytes >> 20);
    else
        adl_doctor_say(d, ADL_FINDING_FAIL,
                       !path ? "give a model: --model FILE"
                       : err.kind == ADL_ERR_NOMEM
                           ? "leave the process more memory"
                           : "get the file again, or convert it again: adl-server convert IN OUT",
                       "%s", err.message);
    adl_served_release(served);
    adl_registry_free(registry);
}

/* --- the address ------------------------------------------------------------------ */

void adl_doctor_port(struct adl_doctor *d)
{
    const char *where = d->settings->listen;
    struct adl_error err = {0};
    struct stat status;
    int fd;

    /* A socket file is not opened: that would take the place of one that a server leaves. */
    if (!strncmp(where, "unix:", 5)) {
        if (stat(where + 5, &status) == 0)
            adl_doctor_say(d, ADL_FINDING_WARN,
                           "end the server that listens there; one that was killed leaves a file "
                           "that the next one replaces",
                           "%s exists", where + 5);
        else
            adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s is free", where);
        return;
    }
    if (adl_http_listen("--listen", where, &fd, &err) < 0) {
        adl_doctor_say(d, ADL_FINDING_FAIL,
                       "see who has it (ss -ltnp), or take another one: --listen 127.0.0.1:0 lets "
                       "the system choose",
                       "%s", err.message);
        return;
    }
    close(fd);
    adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s is free", where);
}

/* --- directories ------------------------------------------------------------------ */

/* Returns whether a file can be made in a directory: a file without a name, or where the file
 * system has none, one that is removed at once. */
static bool can_write(const char *path)
{
    char name[4200];
    int fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        if ((size_t)snprintf(name, sizeof name, "%s/.adl-doctor-XXXXXX", path) >= sizeof name)
            return false;
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static void check_directory(struct adl_doctor *d, const char *option, const char *path, bool write)
{
    struct stat status;

    if (stat(path, &status) < 0) {
        adl_doctor_say(d, ADL_FINDING_FAIL,
                       "make it, for the user that the server runs as: install -d -o USER DIR",
                       "%s %s: %s", option, path, strerror(errno));
    } else if (!S_ISDIR(status.st_mode)) {
        adl_doctor_say(d, ADL_FINDING_FAIL, "give a directory", "%s %s: is not a directory", option,
                       path);
    } else if (access(path, R_OK | X_OK) < 0) {
        adl_doctor_say(d, ADL_FINDING_FAIL,
                       "let the user that the server runs as read it: chown or chmod",
                       "%s %s: cannot be read: %s", option, path, strerror(errno));
    } else if (write && !can_write(path)) {
        adl_doctor_say(d, ADL_FINDING_FAIL,
                       "let the user that the server runs as write there (chown, chmod, "
                       "ReadWritePaths= in the unit of systemd), or free space on the disk",
                       "%s %s: no file can be written there: %s", option, path, strerror(errno));
    } else {
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s %s: can be %s", option, path,
                       write ? "written" : "read");
    }
}

void adl_doctor_annotations(struct adl_doctor *d)
{
    if (d->settings->annotations)
        check_directory(d, "--annotations", d->settings->annotations, true);
}

void adl_doctor_jobs(struct adl_doctor *d)
{
    if (!d->settings->jobs)
        return;
    check_directory(d, "--jobs", d->settings->jobs, false);
    check_directory(d, "TMPDIR for the results of jobs", adl_job_results_folder(), true);
}

void adl_doctor_runs(struct adl_doctor *d)
{
    if (d->settings->runs)
        check_directory(d, "--runs", d->settings->runs, false);
}

/* --- the service manager -------------------------------------------------------------- */

/* Returns whether somebody receives at the address of a datagram socket; "@NAME" is abstract. */
static bool receives(const char *where)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = strlen(where);
    int fd, result;

    if (length == 0 || length >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, where, length);
    if (*where == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    result = connect(fd, (const struct sockaddr *)&address,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
    return result == 0;
}

/* Returns the unit of the service that is installed; NULL: none. */
static const char *find_unit(void)
{
    static const char *const places[] = {
        "/etc/systemd/system/adl-server.service", "/run/systemd/system/adl-server.service",
        "/usr/local/lib/systemd/system/adl-server.service",
        "/usr/lib/systemd/system/adl-server.service", "/lib/systemd/system/adl-server.service"};

    for (size_t i = 0; i < ADL_COUNT(places); i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

void adl_doctor_systemd(struct adl_doctor *d)
{
    const char *notify = getenv("NOTIFY_SOCKET"), *unit = find_unit();
    const uint64_t watchdog = adl_notify_watchdog_ns();

    if (notify && !receives(notify)) {
        adl_doctor_say(
            d, ADL_FINDING_FAIL,
            "start the program by systemd with NotifyAccess=main, or unset NOTIFY_SOCKET",
            "NOTIFY_SOCKET=%s: nobody receives there, so the service would never be "
            "ready",
            ADL_SHORT(notify));
        return;
    }
    if (notify)
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "the service manager is told at %s%s",
                       ADL_SHORT(notify), watchdog ? ", and watches" : "");
    if (unit)
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s", unit);
    else if (!notify)
        adl_doctor_say(d, ADL_FINDING_OK, NULL,
                       "no unit is installed, and no service manager has started this");
}
