/* server/serving/watch: which changes of files it reports, and when. Each test runs with inotify
 * and without it. */

#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "server/serving/watch.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

#define PATIENCE_MS 10000
#define QUIET_MS 2500 /* in which something would have been reported */

static struct adl_registry *registry;
static struct adl_watch *watch;
static struct adl_error err;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char said[2000]; /* "+NAME " for what changed, "-NAME " for what is gone; under the lock */
static atomic_bool refuse;

static void say(const char *sign, const char *name)
{
    pthread_mutex_lock(&lock);
    size_t length = strlen(said);
    snprintf(said + length, sizeof said - length, "%s%s ", sign, name);
    pthread_mutex_unlock(&lock);
}

/* Loads what has changed, as the server does. */
static bool on_changed(void *context, const char *name, const char *file)
{
    struct adl_registry_table *table = adl_registry_table(registry);
    bool known = adl_registry_find(table, name) != NULL, added;
    struct adl_error ignored = {0};

    (void)context;
    adl_registry_table_release(table);
    if (atomic_exchange(&refuse, false)) {
        say("?", name);
        return false;
    }
    if (known)
        (void)!adl_registry_load(registry, name, true, NULL, &ignored);
    else
        (void)!adl_registry_put(registry, name, file, &added, &ignored);
    say("+", name);
    return true;
}

static bool on_gone(void *context, const char *name, const char *file)
{
    struct adl_error ignored = {0};

    (void)context;
    (void)file;
    (void)!adl_registry_remove(registry, name, &ignored);
    say("-", name);
    return true;
}

static bool open_watch(bool poll_only)
{
    static const char *const folders[] = {"models", NULL};
    static const char *const old[] = {"a", "b", "c", "d", "broken", "half", "old"};
    const struct adl_watch_hooks hooks = {.changed = on_changed, .gone = on_gone};
    struct adl_watch_config config = {.poll_only = poll_only};
    char text[800];

    scratch_open("watch", folders);
    for (size_t i = 0; i < ADL_COUNT(old); i++)
        unlink(scratch_path("models/%s.safetensors", old[i]));
    err = (struct adl_error){0};
    *said = '\0';
    registry = test_small_model() ? adl_registry_create(1, &err) : NULL;
    if (!registry)
        return false;
    test_model_variant(scratch_path("model"), 0.1);
    test_model_variant(scratch_path("models/a.safetensors"), 0.1);
    scratch_append("models/old.safetensors", "broken from the start");
    TEST_OK(adl_registry_open_folder(registry, scratch_path("models"), &err), &err);
    snprintf(text, sizeof text, "%s", scratch_path("model"));
    TEST_OK(adl_registry_add(registry, text, &err), &err);
    config.registry = registry;
    config.folder = scratch_path("models");
    static char folder[800];
    snprintf(folder, sizeof folder, "%s", config.folder);
    config.folder = folder;
    watch = adl_watch_create(&config, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(watch);
    TEST_OK(adl_watch_start(watch, &hooks, &err), &err);
    TEST_OK(adl_registry_load(registry, "default", false, NULL, &err), &err);
    TEST_OK(adl_registry_load(registry, "a", false, NULL, &err), &err);
    CU_ASSERT(adl_registry_load(registry, "old", false, NULL, &err) < 0);
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(adl_registry_remove(registry, "old", &err), ADL_PROBLEM_NONE);
    return true;
}

static void close_watch(void)
{
    CU_ASSERT_FATAL(adl_watch_stop(watch, PATIENCE_MS));
    adl_watch_free(watch);
    adl_registry_free(registry);
}

/* Waits until something was said, and compares and forgets it. */
static void expect(const char *want)
{
    char got[sizeof said];
    uint64_t begin = adl_clock_ns();
    size_t length;

    do {
        poll(NULL, 0, 20);
        pthread_mutex_lock(&lock);
        length = strlen(said);
        pthread_mutex_unlock(&lock);
    } while (length < strlen(want) && adl_clock_ms(begin, adl_clock_ns()) < PATIENCE_MS);
    pthread_mutex_lock(&lock);
    snprintf(got, sizeof got, "%s", said);
    *said = '\0';
    pthread_mutex_unlock(&lock);
    if (strcmp(got, want) != 0)
        TEST_FAIL("\"%s\", and not \"%s\"", got, want);
}

static void expect_nothing(void)
{
    poll(NULL, 0, QUIET_MS);
    expect("");
}

static void notices(bool poll_only)
{
    if (!open_watch(poll_only))
        return;
    expect_nothing(); /* all is as it was loaded, and the broken one was tried */
    test_model_variant(scratch_path("models/b.safetensors"), 0.2); /* written aside and renamed */
    expect("+b ");
    test_model_variant(scratch_path("models/b.safetensors"), 0.3);
    expect("+b ");
    test_model_variant(scratch_path("model"), 0.4); /* that of --model */
    expect("+default ");
    unlink(scratch_path("models/b.safetensors"));
    expect("-b ");
    /* A model of --model stays when its file goes. */
    unlink(scratch_path("model"));
    /* Names that are none, hidden files and folders are not looked at. */
    scratch_append("models/.hidden.safetensors", "x");
    scratch_append("models/no model", "x");
    scratch_append("models/a b.safetensors", "x");
    expect_nothing();
    close_watch();
}

static void notices_with_inotify(void)
{
    notices(false);
}

static void notices_without_inotify(void)
{
    notices(true);
}

static void broken_ones_once(void)
{
    if (!open_watch(false))
        return;
    scratch_append("models/broken.safetensors", "no model");
    expect("+broken ");
    expect_nothing();
    scratch_append("models/broken.safetensors", " at all");
    expect("+broken ");
    expect_nothing();
    close_watch();
}

/* A file that is being written is not reported before it is closed, and one that was refused comes
 * again. */
static void written_ones_when_closed(void)
{
    char whole[700], bytes[4096];
    size_t got;

    if (!open_watch(false))
        return;
    snprintf(whole, sizeof whole, "%s", scratch_path("whole"));
    test_model_variant(whole, 0.5);
    FILE *from = fopen(whole, "rb"), *to = scratch_file("models/half.safetensors", "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(from);
    got = fread(bytes, 1, sizeof bytes, from);
    fwrite(bytes, 1, got, to);
    fflush(to);
    expect_nothing();
    while ((got = fread(bytes, 1, sizeof bytes, from)) > 0)
        fwrite(bytes, 1, got, to);
    fflush(to);
    expect_nothing();
    refuse = true;
    fclose(to);
    fclose(from);
    expect("?half +half ");
    struct adl_served *served = adl_registry_acquire(registry, "half", &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(served);
    CU_ASSERT_DOUBLE_EQUAL(served->model->map.threshold, 0.5, 1e-9);
    adl_served_release(served);
    close_watch();
}

/* Removing a file and making it anew at once is a change, and no end. */
static void made_anew(void)
{
    if (!open_watch(false))
        return;
    unlink(scratch_path("models/a.safetensors"));
    poll(NULL, 0, 100);
    test_model_variant(scratch_path("models/a.safetensors"), 0.2);
    expect("+a ");
    expect_nothing();
    close_watch();
}

TEST_SUITE(watch, {"notices with inotify", notices_with_inotify},
           {"notices without inotify", notices_without_inotify},
           {"broken ones once", broken_ones_once},
           {"written ones when closed", written_ones_when_closed}, {"made anew", made_anew});
TEST_SLOW(notices_with_inotify);
TEST_SLOW(notices_without_inotify);
TEST_SLOW(broken_ones_once);
TEST_SLOW(written_ones_when_closed);
TEST_SLOW(made_anew);
