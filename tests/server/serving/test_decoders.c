/* Processes that decode images (server/serving/decoders.c): the same pixels and the same errors as
 * without them, and what their end costs at each stage. */

#include "support/test.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "server/serving/decoders.h"
#include "support/helper_processes.h"
#include "support/image_bytes.h"
#include "support/noise_image.h"

enum { FILE_BYTES = 4 << 20, PATIENCE_S = 60 };

static struct adl_metrics metrics;
static struct adl_decoders *decoders;
static struct adl_decoder_client client;

static bool open_decoders_for(int helpers, unsigned limit_s)
{
    const struct adl_decoders_config config = {
        .helpers = helpers,
        .most = helpers,
        .file_bytes = FILE_BYTES,
        .memory = 256 * ADL_MIB,
        .limit_s = limit_s,
        .metrics = &metrics,
    };
    struct adl_error err = {0};

    memset(&metrics, 0, sizeof metrics);
    decoders = adl_decoders_create(&config, &err);
    TEST_OK(decoders ? 0 : -1, &err);
    adl_decoder_client_init(&client, decoders);
    return decoders;
}

static bool open_decoders(int helpers)
{
    return open_decoders_for(helpers, PATIENCE_S);
}

static pid_t only_helper(void)
{
    pid_t found[MAX_HELPER_PROCESSES] = {0};

    CU_ASSERT_EQUAL(helper_processes(getpid(), found), 1);
    return found[0];
}

static unsigned restarts(enum adl_decoder_reason reason)
{
    return (unsigned)metrics.decoder_restarts[reason];
}

/* --- the same as without ---------------------------------------------------------------- */

static void same_image(const char *name, const struct adl_image *a, const struct adl_image *b)
{
    if (a->width != b->width || a->height != b->height || !a->rgb != !b->rgb ||
        (a->rgb && memcmp(a->rgb, b->rgb, 3 * (size_t)a->width * (size_t)a->height) != 0))
        TEST_FAIL("%s: other pixels", name);
}

static void same_outcome(const char *name, int a, int b, const struct adl_error *ea,
                         const struct adl_error *eb)
{
    if (a != b || ea->kind != eb->kind || strcmp(ea->message, eb->message) != 0)
        TEST_FAIL("%s: \"%s\" and in a helper \"%s\"", name, ea->message, eb->message);
}

static void compare(const char *name, const void *bytes, size_t length,
                    const struct adl_decode_options *options)
{
    enum { SIZES = 3 };
    struct adl_decode_options there = *options;
    struct adl_image a[SIZES] = {
        {.width = 8, .height = 5}, {.width = 27, .height = 40}, {.width = 224, .height = 224}};
    struct adl_image b[SIZES], whole_a, whole_b;
    struct adl_image_info info_a = {0}, info_b = {0};
    struct adl_error err_a = {0}, err_b = {0};

    there.decoder = &client.decoder;
    memcpy(b, a, sizeof b);
    int result_a = adl_image_decode_sizes(bytes, length, options, a, SIZES, &info_a, &err_a);
    int result_b = adl_image_decode_sizes(bytes, length, &there, b, SIZES, &info_b, &err_b);
    same_outcome(name, result_a, result_b, &err_a, &err_b);
    CU_ASSERT(!memcmp(&info_a, &info_b, sizeof info_a));
    for (int i = 0; i < SIZES; i++) {
        same_image(name, &a[i], &b[i]);
        adl_image_release(&a[i]);
        adl_image_release(&b[i]);
    }
    if (options->target_width)
        return;
    adl_error_clear(&err_a);
    adl_error_clear(&err_b);
    result_a = adl_image_decode(bytes, length, options, &whole_a, &info_a, &err_a);
    result_b = adl_image_decode(bytes, length, &there, &whole_b, &info_b, &err_b);
    same_outcome(name, result_a, result_b, &err_a, &err_b);
    CU_ASSERT(!memcmp(&info_a, &info_b, sizeof info_a));
    same_image(name, &whole_a, &whole_b);
    adl_image_release(&whole_a);
    adl_image_release(&whole_b);
}

/* Every golden picture as it is, cut off at some places, and with damaged bytes. */
static void same_pixels_and_errors(void)
{
    const struct adl_decode_options plain = {0}, few = {.max_pixels = 100},
                                    little = {.max_memory_bytes = 1000},
                                    stored = {.ignore_orientation = true, .ignore_alpha = true};
    DIR *folder = opendir("tests/golden/images");
    int files = 0;

    if (!folder || !open_decoders(1))
        return;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (!adl_image_named(entry->d_name))
            continue;
        struct image_bytes file = image_bytes_load(entry->d_name);
        compare(entry->d_name, file.data, file.length, &plain);
        compare(entry->d_name, file.data, file.length, &few);
        compare(entry->d_name, file.data, file.length, &little);
        compare(entry->d_name, file.data, file.length, &stored);
        for (size_t part = 0; part < 5; part++)
            compare(entry->d_name, file.data, file.length * part / 5, &plain);
        for (size_t part = 1; part < 5; part++) {
            file.data[file.length * part / 5] ^= 0x55;
            compare(entry->d_name, file.data, file.length, &plain);
        }
        free(file.data);
        files++;
    }
    closedir(folder);
    CU_ASSERT(files > 50);
    for (int r = 0; r < ADL_DECODER_REASONS; r++)
        CU_ASSERT_EQUAL(restarts((enum adl_decoder_reason)r), 0);
    adl_decoders_free(decoders);
}

static void *large_jpeg(size_t *length)
{
    struct adl_image noise = noise_image(1100, 800, 1, 2, 3);
    struct adl_error err = {0};
    void *bytes = NULL;

    TEST_OK(adl_image_encode_jpeg(&noise, 80, &bytes, length, &err), &err);
    adl_image_release(&noise);
    return bytes;
}

static int count_call(void *context, struct adl_error *err)
{
    (void)err;
    ++*(int *)context;
    return 0;
}

/* One whose rows take several windows, with pauses, reduced, and larger than what is kept of
 * files. */
static void large_pictures(void)
{
    int calls = 0;
    const struct adl_pause pause = {.call = count_call, .context = &calls};
    const struct adl_decode_options plain = {0}, paused = {.pause = &pause},
                                    reduced = {.target_width = 96, .target_height = 96};
    struct adl_image noise = noise_image(900, 700, 4, 5, 6);
    struct adl_error err = {0};
    size_t length;
    void *bytes = large_jpeg(&length);

    if (!open_decoders(1))
        return;
    compare("a large JPEG", bytes, length, &plain);
    compare("a large JPEG with pauses", bytes, length, &paused);
    CU_ASSERT(calls > 40);
    compare("a reduced JPEG", bytes, length, &reduced);
    adl_free(bytes);
    TEST_OK(adl_image_encode_png(&noise, &bytes, &length, &err), &err);
    CU_ASSERT(length > ADL_MIB + ADL_MIB / 2);
    compare("a large PNG", bytes, length, &plain);
    adl_free(bytes);
    adl_image_release(&noise);
    CU_ASSERT(client.cpu_ms > 1);
    adl_decoders_free(decoders);
}

static void too_large_a_file(void)
{
    struct image_bytes file = image_bytes_load("baseline.jpg");
    const struct adl_decode_options options = {.decoder = &client.decoder};
    uint8_t *padded = adl_calloc(FILE_BYTES + 2 * ADL_MIB, 1);
    struct adl_image image;
    struct adl_error err = {0};

    if (!open_decoders(1) || !padded)
        return;
    memcpy(padded, file.data, file.length);
    CU_ASSERT(adl_image_decode(padded, FILE_BYTES + 2 * ADL_MIB, &options, &image, NULL, &err) < 0);
    CU_ASSERT(err.kind == ADL_ERR_LIMIT);
    adl_error_clear(&err);
    TEST_OK(adl_image_decode(file.data, file.length, &options, &image, NULL, &err), &err);
    adl_image_release(&image);
    adl_free(padded);
    free(file.data);
    adl_decoders_free(decoders);
}

/* --- the end of a helper ---------------------------------------------------------------- */

static struct image_bytes small;

/* Decodes a small picture; returns the kind of error. */
static enum adl_error_kind decode(const struct adl_pause *pause)
{
    const struct adl_decode_options options = {.decoder = &client.decoder, .pause = pause};
    struct adl_image image = {.width = 10, .height = 10};
    struct adl_error err = {0};

    int result = adl_image_decode_sizes(small.data, small.length, &options, &image, 1, NULL, &err);
    CU_ASSERT((result == 0) == (image.rgb != NULL));
    CU_ASSERT((result == 0) == (err.kind == ADL_ERR_NONE));
    adl_image_release(&image);
    return err.kind;
}

static bool begin_ends_for(unsigned limit_s)
{
    small = image_bytes_load("baseline.jpg");
    return small.data && open_decoders_for(1, limit_s);
}

static bool begin_ends(void)
{
    return begin_ends_for(PATIENCE_S);
}

/* The next picture is decoded as if nothing had been, by a new process, and it is the only one. */
static void finish_ends(pid_t before)
{
    CU_ASSERT_EQUAL(decode(NULL), ADL_ERR_NONE);
    pid_t after = only_helper();
    CU_ASSERT(after != before);
    CU_ASSERT_EQUAL(adl_decoders_count(decoders), 1);
    adl_decoders_free(decoders);
    CU_ASSERT(test_kill(after, 0) < 0); /* not even a zombie is left */
    CU_ASSERT(test_kill(before, 0) < 0);
    free(small.data);
}

/* Nobody notices. */
static void killed_before_a_request(void)
{
    if (!begin_ends())
        return;
    pid_t pid = only_helper();
    test_kill(pid, SIGKILL);
    CU_ASSERT(helper_process_ended(pid));
    CU_ASSERT_EQUAL(decode(NULL), ADL_ERR_NONE);
    CU_ASSERT_EQUAL(restarts(ADL_DECODER_KILLED), 1);
    finish_ends(pid);
}

static void killed_after_an_answer(void)
{
    if (!begin_ends())
        return;
    pid_t pid = only_helper();
    CU_ASSERT_EQUAL(decode(NULL), ADL_ERR_NONE);
    CU_ASSERT_EQUAL(only_helper(), pid); /* which was used again */
    test_kill(pid, SIGKILL);
    CU_ASSERT(helper_process_ended(pid));
    finish_ends(pid);
}

struct killer {
    pid_t pid;
    int number; /* of the signal */
    int calls;
};

static int kill_it(void *context, struct adl_error *err)
{
    struct killer *killer = context;

    (void)err;
    killer->calls++;
    test_kill(killer->pid, killer->number);
    return 0;
}

/* It is stopped, so it has the request and the file and does nothing. */
static void killed_with_the_file(void)
{
    if (!begin_ends())
        return;
    struct killer killer = {only_helper(), SIGKILL, 0};
    const struct adl_pause pause = {.call = kill_it, .context = &killer};
    test_kill(killer.pid, SIGSTOP);
    CU_ASSERT_EQUAL(decode(&pause), ADL_ERR_NOMEM);
    CU_ASSERT(killer.calls > 0);
    CU_ASSERT_EQUAL(restarts(ADL_DECODER_KILLED), 1);
    finish_ends(killer.pid);
}

/* It waits in the middle of a picture when it gets the signal. */
static void ended_while_decoding(int number, bool rows, enum adl_error_kind want,
                                 enum adl_decoder_reason reason)
{
    size_t length;
    void *bytes = large_jpeg(&length);
    if (!begin_ends())
        return;
    struct killer killer = {only_helper(), number, 0};
    const struct adl_pause pause = {.call = kill_it, .context = &killer};
    const struct adl_decode_options options = {.decoder = &client.decoder, .pause = &pause};
    struct adl_image image = {.width = 10, .height = 10};
    struct adl_error err = {0};

    int result = rows ? adl_image_decode(bytes, length, &options, &image, NULL, &err)
                      : adl_image_decode_sizes(bytes, length, &options, &image, 1, NULL, &err);
    CU_ASSERT(result < 0 && !image.rgb);
    CU_ASSERT_EQUAL(err.kind, want);
    CU_ASSERT(killer.calls > 0);
    CU_ASSERT_EQUAL(restarts(reason), 1);
    adl_free(bytes);
    finish_ends(killer.pid);
}

static void killed_while_decoding(void)
{
    ended_while_decoding(SIGKILL, false, ADL_ERR_NOMEM, ADL_DECODER_KILLED);
    ended_while_decoding(SIGKILL, true, ADL_ERR_NOMEM, ADL_DECODER_KILLED);
}

/* As a mistake in a decoder does it. */
static void crashed_while_decoding(void)
{
    ended_while_decoding(SIGSEGV, false, ADL_ERR_FORMAT, ADL_DECODER_CRASHED);
}

static int too_late(void *context, struct adl_error *err)
{
    (void)context;
    return adl_fail(err, ADL_ERR_BUSY, "too late");
}

/* One that hangs is ended when its picture is not wanted any more, or after the limit. */
static void hung(void)
{
    const struct adl_pause pause = {.call = too_late, .context = NULL};

    for (int limited = 0; limited < 2; limited++) {
        if (!begin_ends_for(1))
            return;
        pid_t pid = only_helper();
        test_kill(pid, SIGSTOP);
        CU_ASSERT_EQUAL(decode(limited ? NULL : &pause), ADL_ERR_BUSY);
        CU_ASSERT_EQUAL(restarts(ADL_DECODER_LATE), 1);
        finish_ends(pid);
    }
}

/* One that can stop is not ended for it. */
static void stopped(void)
{
    size_t length;
    void *bytes = large_jpeg(&length);
    const struct adl_pause pause = {.call = too_late, .context = NULL};
    const struct adl_decode_options options = {.decoder = &client.decoder, .pause = &pause};
    struct adl_error err = {0};

    if (!begin_ends())
        return;
    pid_t pid = only_helper();
    for (int rows = 0; rows < 2; rows++) {
        struct adl_image image = {.width = 10, .height = 10};
        adl_error_clear(&err);
        int result = rows ? adl_image_decode(bytes, length, &options, &image, NULL, &err)
                          : adl_image_decode_sizes(bytes, length, &options, &image, 1, NULL, &err);
        CU_ASSERT(result < 0 && err.kind == ADL_ERR_BUSY && !strcmp(err.message, "too late"));
    }
    CU_ASSERT_EQUAL(only_helper(), pid);
    CU_ASSERT_EQUAL(decode(NULL), ADL_ERR_NONE);
    CU_ASSERT_EQUAL(restarts(ADL_DECODER_LATE), 0);
    adl_free(bytes);
    free(small.data);
    adl_decoders_free(decoders);
}

/* --- many threads ------------------------------------------------------------------------ */

enum { THREADS = 4, ROUNDS = 25 };

struct user {
    pthread_t thread;
    int decoded, failed, wrong;
};

static void *use(void *argument)
{
    struct user *user = argument;
    struct adl_decoder_client own;
    adl_decoder_client_init(&own, decoders);
    const struct adl_decode_options here = {0}, there = {.decoder = &own.decoder};
    struct adl_image want = {.width = 20, .height = 30};
    struct adl_error err = {0};

    if (adl_image_decode_sizes(small.data, small.length, &here, &want, 1, NULL, &err) < 0)
        return NULL;
    for (int i = 0; i < ROUNDS; i++) {
        struct adl_image got = {.width = 20, .height = 30};
        adl_error_clear(&err);
        if (adl_image_decode_sizes(small.data, small.length, &there, &got, 1, NULL, &err) == 0)
            user->decoded++;
        else
            user->failed++;
        user->wrong += got.rgb && memcmp(got.rgb, want.rgb, 3 * 20 * 30) != 0;
        user->wrong += err.kind != ADL_ERR_NONE && err.kind != ADL_ERR_NOMEM;
        adl_image_release(&got);
    }
    adl_image_release(&want);
    return NULL;
}

/* More threads than helpers share them, while helpers are killed at any moment: each costs one
 * picture at most. */
static void many_threads(void)
{
    struct user users[THREADS] = {0};
    pid_t killed[6];
    int count = 0, failed = 0;

    small = image_bytes_load("baseline.jpg");
    if (!small.data || !open_decoders(2))
        return;
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_FATAL(pthread_create(&users[i].thread, NULL, use, &users[i]) == 0);
    for (int i = 0; i < 6; i++) {
        pid_t found[MAX_HELPER_PROCESSES];
        poll(NULL, 0, 2);
        if (helper_processes(getpid(), found) > 0 && test_kill(found[0], SIGKILL) == 0)
            killed[count++] = found[0];
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(users[i].thread, NULL);
        CU_ASSERT_EQUAL(users[i].wrong, 0);
        CU_ASSERT_EQUAL(users[i].decoded + users[i].failed, ROUNDS);
        failed += users[i].failed;
    }
    CU_ASSERT(failed <= count);
    CU_ASSERT((int)restarts(ADL_DECODER_KILLED) <= count);
    for (int i = 0; i < count; i++)
        CU_ASSERT(helper_process_ended(killed[i]));
    CU_ASSERT_EQUAL(decode(NULL), ADL_ERR_NONE);
    CU_ASSERT(adl_decoders_count(decoders) <= 2);
    adl_decoders_free(decoders);
    free(small.data);
}

TEST_SUITE(decoders, {"the same pixels and errors", same_pixels_and_errors},
           {"large pictures", large_pictures}, {"too large a file", too_large_a_file},
           {"killed before a request", killed_before_a_request},
           {"killed with the file", killed_with_the_file},
           {"killed while decoding", killed_while_decoding},
           {"crashed while decoding", crashed_while_decoding},
           {"killed after an answer", killed_after_an_answer}, {"hung", hung}, {"stopped", stopped},
           {"many threads", many_threads});
