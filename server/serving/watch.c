/* Watches the files of models.
 *
 * DESIGN
 *
 * What is true is what a look finds: the state (struct adl_file_stamp) of each model's file and of
 * each file "NAME.safetensors" in the folder, compared with the state that the current version was
 * read from. A look is taken when inotify says that something has happened, and every LOOK_MS
 * besides, for what inotify does not see: a network file system, a link in the path that is turned
 * to another folder, a folder that was replaced, a limit of the kernel. Without inotify there are
 * only these looks, POLL_MS apart.
 *
 * A state is reported when it has lasted for SETTLE_MS and the file is not being written: after a
 * write that inotify saw, the file has to be closed. A file that was moved into place is complete
 * at once and waits for the moment as well, which also gives a program that removes a file and
 * makes a new one the time to do so. Each state is reported once, so that a broken file gives one
 * line in the log; the loader compares digests, so that a file that was only touched is not loaded.
 *
 * Threads. All of it belongs to the thread, but `stop`, which wakes it. */

#include "server/serving/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "base/wait.h"
#include "io/json_text.h"
#include "server/serving/log.h"

#define SETTLE_MS 500
#define LOOK_MS 5000     /* between two looks that nothing has asked for */
#define POLL_MS 1000     /* the same without inotify */
#define QUIET_MS 50      /* events that come in one burst are read together */
#define MOST_WRITTEN 64  /* files that are known as being written */
#define MOST_FILES 4096  /* names in the folder that are looked at */
#define MOST_RECORDS 512 /* files that are known */
#define SUFFIX ".safetensors"
#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_MODIFY | IN_ATTRIB)

/* What is known of a name's file. */
struct record {
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1];
    char file[ADL_LIMIT_MODEL_FILE_BYTES + 1]; /* the end of its path, if that is longer */
    struct adl_file_stamp stamp;               /* at the last look */
    uint64_t since_ns;                         /* when it was seen first like that */
    bool reported, seen;
};

/* A file that inotify has seen being written, and not closed. */
struct written {
    int watch;
    char name[256];
};

struct adl_watch {
    struct adl_watch_config config;
    struct adl_watch_hooks hooks;
    pthread_t thread;
    bool started;
    int stop;   /* eventfd */
    int events; /* inotify; -1: none */
    struct record records[MOST_RECORDS];
    size_t record_count;
    struct written written[MOST_WRITTEN];
    size_t written_count;
    bool said_full; /* that there are more files than names */
};

/* --- inotify ------------------------------------------------------------------------- */

/* Returns the watch of a directory, which is added if there is none; -1: there can be none. */
static int watch_directory(const struct adl_watch *watch, const char *path)
{
    return watch->events < 0 ? -1 : inotify_add_watch(watch->events, path, EVENTS | IN_ONLYDIR);
}

/* Splits the path of --model into its directory and its last part. */
static const char *split(const char *path, char *directory, size_t size)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(directory, size, ".");
    else
        snprintf(directory, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return slash ? slash + 1 : path;
}

static void note_written(struct adl_watch *watch, int directory, const char *name, bool open)
{
    size_t i = 0;

    while (i < watch->written_count &&
           (watch->written[i].watch != directory || strcmp(watch->written[i].name, name) != 0))
        i++;
    if (open && i == watch->written_count && i < MOST_WRITTEN) {
        watch->written[i].watch = directory;
        snprintf(watch->written[i].name, sizeof watch->written[i].name, "%s", name);
        watch->written_count++;
    } else if (!open && i < watch->written_count) {
        watch->written[i] = watch->written[--watch->written_count];
    }
}

/* Returns whether a name in one of the directories may be that of a model's file. Other programs
 * may write there, too. */
static bool is_of_model(const struct adl_watch *watch, const char *name)
{
    if (adl_model_file_name_valid(name))
        return true;
    for (size_t i = 0; i < watch->record_count; i++)
        if (adl_text_ends_with(watch->records[i].file, name))
            return true;
    return false;
}

/* Reads what inotify tells; returns whether it is a reason to look. */
static bool read_events(struct adl_watch *watch)
{
    bool reason = false;
    _Alignas(struct inotify_event) char bytes[8192];
    ssize_t got;

    while ((got = read(watch->events, bytes, sizeof bytes)) > 0) {
        for (const char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            at += sizeof *event + event->len;
            if (event->mask & IN_Q_OVERFLOW)
                watch->written_count = 0;
            reason |= (event->mask & IN_Q_OVERFLOW) != 0;
            if (event->len == 0 || !is_of_model(watch, event->name))
                continue;
            reason = true;
            if (event->mask & IN_MODIFY)
                note_written(watch, event->wd, event->name, true);
            if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE))
                note_written(watch, event->wd, event->name, false);
        }
    }
    return reason;
}

/* Returns whether inotify has seen that a file is being written. Adding the watch of a directory
 * again returns the same number, or that of another directory which took its path. */
static bool is_written(const struct adl_watch *watch, const char *path, const char *file)
{
    char directory[4096];
    const char *last = path ? split(path, directory, sizeof directory) : file;
    int number;

    if (watch->events < 0 || (!path && strchr(file, '/')))
        return false;
    number = watch_directory(watch, path ? directory : watch->config.folder);
    for (size_t i = 0; i < watch->written_count; i++)
        if (watch->written[i].watch == number && !strcmp(watch->written[i].name, last))
            return true;
    return false;
}

/* --- a look ---------------------------------------------------------------------------- */

static const struct adl_file_stamp none;

static struct record *record_of(struct adl_watch *watch, const char *name, const char *file)
{
    size_t length = strlen(file);
    struct record *record;

    if (length > ADL_LIMIT_MODEL_FILE_BYTES)
        file += length - ADL_LIMIT_MODEL_FILE_BYTES;
    for (size_t i = 0; i < watch->record_count; i++)
        if (!strcmp(watch->records[i].name, name) && !strcmp(watch->records[i].file, file))
            return &watch->records[i];
    if (watch->record_count == MOST_RECORDS)
        return NULL;
    record = &watch->records[watch->record_count++];
    *record = (struct record){.since_ns = adl_clock_ns()};
    snprintf(record->name, sizeof record->name, "%s", name);
    snprintf(record->file, sizeof record->file, "%s", file);
    return record;
}

/* Looks at one file. `loaded` is the state that the name's current version was read from; NULL: the
 * name has none. Returns the milliseconds until it should be looked at again; 0: nothing is due. */
static unsigned look_at(struct adl_watch *watch, const char *name, const char *path,
                        const char *file, const struct adl_file_stamp *loaded)
{
    const char *where = path ? path : file;
    const struct adl_file_stamp now =
        adl_model_file_look(path ? -1 : adl_registry_folder(watch->config.registry), where);
    const bool gone = adl_file_stamp_equal(&now, &none);
    struct record *record = record_of(watch, name, where);
    double age_ms;

    if (!record)
        return 0;
    if (!adl_file_stamp_equal(&now, &record->stamp)) {
        record->stamp = now;
        record->since_ns = adl_clock_ns();
        record->reported = false;
    }
    record->seen = true;
    /* An empty file is about to be written. */
    if ((loaded && adl_file_stamp_equal(&now, loaded)) || (!gone && now.size == 0))
        record->reported = true;
    if (gone && (path || !loaded)) /* the model of --model stays, and what was never there */
        record->reported = true;
    if (record->reported || (!gone && is_written(watch, path, file)))
        return 0;
    age_ms = adl_clock_ms(record->since_ns, adl_clock_ns());
    if (age_ms < SETTLE_MS)
        return (unsigned)(SETTLE_MS - age_ms) + 1;
    record->reported = gone ? watch->hooks.gone(watch->hooks.context, name, where)
                            : watch->hooks.changed(watch->hooks.context, name, where);
    return record->reported ? 0 : SETTLE_MS;
}

/* Writes the name of the model that a file of the folder is for; returns false if it is none. */
static bool name_of_file(const char *file, char name[ADL_LIMIT_MODEL_NAME_BYTES + 1])
{
    size_t length = strlen(file);

    if (!adl_model_file_name_valid(file) || length <= strlen(SUFFIX) ||
        length - strlen(SUFFIX) > ADL_LIMIT_MODEL_NAME_BYTES)
        return false;
    snprintf(name, ADL_LIMIT_MODEL_NAME_BYTES + 1, "%.*s", (int)(length - strlen(SUFFIX)), file);
    return adl_registry_name_valid(name);
}

/* Calls `visit` for the files of the folder that are models by their names. */
static void each_file(struct adl_watch *watch,
                      void (*visit)(struct adl_watch *watch, const char *name, const char *file,
                                    void *context),
                      void *context)
{
    int folder = adl_registry_folder(watch->config.registry);
    int copy = folder < 0 ? -1 : openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1];
    struct dirent *item;

    if (!dir && copy >= 0)
        close(copy);
    for (int i = 0; dir && i < MOST_FILES && (item = readdir(dir)); i++)
        if (name_of_file(item->d_name, name))
            visit(watch, name, item->d_name, context);
    if (dir)
        closedir(dir);
}

/* A look at all files. */
struct look {
    const struct adl_registry_table *table;
    unsigned again_ms; /* 0: no sooner than usual */
};

static void due(struct look *look, unsigned ms)
{
    if (ms > 0 && (look->again_ms == 0 || ms < look->again_ms))
        look->again_ms = ms;
}

/* A file of the folder whose name nothing has. One that has the name of something else is left
 * alone. */
static void look_at_new(struct adl_watch *watch, const char *name, const char *file, void *context)
{
    struct look *look = context;

    if (!adl_registry_find(look->table, name))
        due(look, look_at(watch, name, NULL, file, NULL));
}

/* Takes one look; returns the milliseconds until the next one is due, 0 for the usual time. */
static unsigned look(struct adl_watch *watch)
{
    struct adl_registry_table *table = adl_registry_table(watch->config.registry);
    struct look look = {.table = table};
    size_t kept = 0;

    for (size_t i = 0; i < watch->record_count; i++)
        watch->records[i].seen = false;
    for (size_t i = 0; i < table->count; i++) {
        const struct adl_registry_entry *entry = &table->entries[i];
        const char *name = entry->named->name;
        if (adl_registry_is_alias(entry))
            continue;
        if (entry->current) {
            due(&look, look_at(watch, name, entry->path, entry->file, &entry->current->stamp));
            continue;
        }
        /* The first load is still going on. */
        struct record *record = record_of(watch, name, entry->path ? entry->path : entry->file);
        if (record)
            record->seen = true;
    }
    each_file(watch, look_at_new, &look);
    adl_registry_table_release(table);
    for (size_t i = 0; i < watch->record_count; i++)
        if (watch->records[i].seen)
            watch->records[kept++] = watch->records[i];
    watch->record_count = kept;
    return look.again_ms;
}

/* --- the thread ------------------------------------------------------------------------------ */

static void *run(void *argument)
{
    struct adl_watch *watch = argument;
    const unsigned usual_ms = watch->events < 0 ? POLL_MS : LOOK_MS;
    struct pollfd polls[2] = {{.fd = watch->stop, .events = POLLIN},
                              {.fd = watch->events, .events = POLLIN}};

    for (;;) {
        unsigned next_ms = look(watch);
        const double wait_ms = next_ms > 0 ? ADL_MIN(next_ms, usual_ms) : usual_ms;
        const uint64_t begin = adl_clock_ns();
        double past_ms = 0;
        for (bool reason = false; !reason && past_ms < wait_ms;
             past_ms = adl_clock_ms(begin, adl_clock_ns())) {
            int ready = poll(polls, 2, (int)(wait_ms - past_ms) + 1);
            if (ready > 0 && polls[0].revents)
                return NULL;
            if (ready > 0 && poll(polls, 1, QUIET_MS) > 0)
                return NULL;
            reason = ready > 0 && read_events(watch);
        }
    }
}

static void add_file(struct adl_watch *watch, const char *name, const char *file, void *context)
{
    struct adl_registry *registry = watch->config.registry;
    const struct adl_file_stamp now = adl_model_file_look(adl_registry_folder(registry), file);
    struct adl_registry_table *table;
    struct adl_error err = {0};
    struct record *record;

    (void)context;
    if (adl_file_stamp_equal(&now, &none)) /* a folder, or something else */
        return;
    table = adl_registry_table(registry);
    if (adl_registry_find(table, name))
        adl_fail(&err, ADL_ERR_ARG, "another model has this name");
    else
        (void)!adl_registry_add_found(registry, name, file, &err);
    adl_registry_table_release(table);
    if (err.kind && !watch->said_full)
        adl_log(ADL_LOG_WARN, "models", "a file in the folder of models is left alone",
                json_pack("{s:o, s:s}", "file", adl_json_from_text(file), "reason", err.message));
    watch->said_full = adl_registry_full(registry);
    /* It is loaded with the others, or is not to be; only what comes after that is news. */
    record = record_of(watch, name, file);
    if (record) {
        record->stamp = now;
        record->reported = true;
    }
}

struct adl_watch *adl_watch_create(const struct adl_watch_config *config, struct adl_error *err)
{
    struct adl_watch *watch = adl_calloc(1, sizeof *watch);
    char directory[4096];

    if (!watch) {
        adl_fail_nomem(err, "watching the models");
        return NULL;
    }
    watch->config = *config;
    watch->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->stop < 0) {
        adl_fail(err, ADL_ERR_IO, "cannot watch the models: %s", strerror(errno));
        adl_free(watch);
        return NULL;
    }
    watch->events = config->poll_only ? -1 : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->events < 0 && !config->poll_only)
        adl_log(ADL_LOG_WARN, "models",
                "the kernel does not tell about changed files; they are looked at every second",
                json_pack("{s:s}", "error", strerror(errno)));
    /* Before the first look, so that nothing happens in between. */
    if (config->folder)
        watch_directory(watch, config->folder);
    struct adl_registry_table *table = adl_registry_table(config->registry);
    for (size_t i = 0; i < table->count; i++)
        if (table->entries[i].path) {
            split(table->entries[i].path, directory, sizeof directory);
            watch_directory(watch, directory);
        }
    adl_registry_table_release(table);
    each_file(watch, add_file, NULL);
    return watch;
}

int adl_watch_start(struct adl_watch *watch, const struct adl_watch_hooks *hooks,
                    struct adl_error *err)
{
    watch->hooks = *hooks;
    if (pthread_create(&watch->thread, NULL, run, watch) != 0)
        return adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread to watch the models");
    watch->started = true;
    return 0;
}

bool adl_watch_stop(struct adl_watch *watch, unsigned patience_ms)
{
    uint64_t one = 1;

    if (!watch || !watch->started)
        return true;
    if (write(watch->stop, &one, sizeof one) < 0) {
        /* The counter is full only if it was stopped before. */
    }
    if (!adl_thread_join_within(watch->thread, patience_ms))
        return false;
    watch->started = false;
    return true;
}

void adl_watch_free(struct adl_watch *watch)
{
    if (!watch)
        return;
    close(watch->stop);
    if (watch->events >= 0)
        close(watch->events);
    adl_free(watch);
}
