/* PUT and DELETE of /models/NAME on the listener of --admin-listen, versions and aliases in
 * requests and metrics, and --watch, from outside. */

#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

static struct test_service service;
static struct test_server admin; /* the second listener of the same process */

/* Starts a server with a second listener and the folder "models", in which are 1.safetensors to
 * 4.safetensors, with thresholds of 0.1 to 0.4. The arguments end with NULL. */
static bool open_service(const char *const *more)
{
    static const char *const folders[] = {"models", "models/sub", "models/dir.safetensors", NULL};
    static const char *const left[] = {"birds", "broken", "half", "out", "fifo"};
    char listen[100], folder[700];
    const char *arguments[17] = {"--admin-listen", listen, "--models-dir", folder};

    scratch_open("server_models", folders);
    for (int i = 1; i <= 4; i++)
        test_model_variant(scratch_path("models/%d.safetensors", i), i / 10.0);
    for (size_t i = 0; i < ADL_COUNT(left); i++)
        unlink(scratch_path("models/%s.safetensors", left[i]));
    snprintf(listen, sizeof listen, "unix:%s", scratch_path("socket"));
    snprintf(folder, sizeof folder, "%s", scratch_path("models"));
    snprintf(admin.address, sizeof admin.address, "%s", listen);
    for (size_t i = 0; more && more[i]; i++)
        arguments[i + 4] = more[i];
    return test_service_open(&service, 64, 48, arguments);
}

static struct test_reply put(const char *name, const char *body, const char *headers)
{
    struct test_reply reply;
    char path[200], lines[300];

    snprintf(path, sizeof path, "/models/%s", name);
    snprintf(lines, sizeof lines, "Content-Type: application/json\r\n%s", headers ? headers : "");
    test_request(&admin, "PUT", path, lines, body, strlen(body), &reply);
    return reply;
}

/* Sends a PUT and returns its status. */
static int put_status(const char *name, const char *body)
{
    struct test_reply reply = put(name, body, NULL);
    test_reply_release(&reply);
    return reply.status;
}

static int put_file(const char *name, int variant)
{
    char body[60];
    snprintf(body, sizeof body, "{\"file\":\"%d.safetensors\"}", variant);
    return put_status(name, body);
}

static int delete_status(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "/models/%s", name);
    struct test_reply reply = test_get(&admin, "DELETE", path, NULL);
    test_reply_release(&reply);
    return reply.status;
}

/* Sends the picture to a model and returns the status; *threshold (may be NULL) and `version` (of
 * 13 bytes; may be NULL) become those of the answer. */
static int localize(const char *model, double *threshold, char *version)
{
    char target[200];
    snprintf(target, sizeof target, "/localize?model=%s", model);
    struct test_reply reply = test_post(&service.server, target, "Content-Type: image/jpeg\r\n",
                                        service.jpeg, service.jpeg_length);
    json_t *json = test_reply_json(&reply);
    const char *text = json_string_value(json_object_get(json, "model_version"));

    if (threshold)
        *threshold = json_number_value(json_object_get(json, "threshold"));
    if (version)
        snprintf(version, 13, "%s", text ? text : "");
    json_decref(json);
    test_reply_release(&reply);
    return reply.status;
}

/* Returns the variant that answers for a name; 0 if there is none. */
static int variant(const char *model)
{
    double threshold;
    return localize(model, &threshold, NULL) == 200 ? (int)(threshold * 10 + 0.5) : 0;
}

static int variant_reaches(const char *model, int want)
{
    uint64_t begin = adl_clock_ns();
    int got;

    while ((got = variant(model)) != want && adl_clock_ms(begin, adl_clock_ns()) < 15000)
        poll(NULL, 0, 50);
    return got;
}

static void adds_replaces_and_removes(void)
{
    struct test_reply reply;
    char sum[100] = "", line[1000];

    if (!open_service(NULL))
        return;
    CU_ASSERT_EQUAL(localize("birds", NULL, NULL), 404);
    reply = put("birds", "{\"file\":\"1.safetensors\"}", NULL);
    CU_ASSERT_EQUAL(reply.status, 201);
    CU_ASSERT(test_header_is(&reply, "Location", "/models/birds"));
    json_t *json = test_reply_json(&reply);
    const char *version = json_string_value(json_object_get(json, "model_version"));
    /* The version is what sha256sum says. */
    snprintf(line, sizeof line, "sha256sum %s", scratch_path("models/1.safetensors"));
    FILE *pipe = popen(line, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
    CU_ASSERT_EQUAL(fscanf(pipe, "%64s", sum), 1);
    pclose(pipe);
    CU_ASSERT(version && strlen(version) == 12 && !strncmp(sum, version, 12));
    json_decref(json);
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(variant("birds"), 1);

    reply = put("birds", "{\"file\":\"2.safetensors\"}", NULL);
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT_PTR_NULL(test_reply_header(&reply, "Location"));
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(variant("birds"), 2);
    /* A file that is no model leaves what there is. */
    scratch_append("models/broken.safetensors", "no model");
    reply = put("birds", "{\"file\":\"broken.safetensors\"}", NULL);
    CU_ASSERT_EQUAL(reply.status, 422);
    CU_ASSERT(reply.body && strstr(reply.body, "/problems/unusable-model") &&
              strstr(reply.body, "neither a safetensors nor a PyTorch file"));
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(variant("birds"), 2);
    /* The default may be replaced, and is not removed. */
    CU_ASSERT_EQUAL(put_file("default", 4), 200);
    CU_ASSERT_EQUAL(variant("default"), 4);
    CU_ASSERT_EQUAL(delete_status("default"), 409);
    CU_ASSERT_EQUAL(delete_status("birds"), 204);
    CU_ASSERT_EQUAL(delete_status("birds"), 404);
    reply = test_post(&service.server, "/localize?model=birds", "Content-Type: image/jpeg\r\n",
                      service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 404);
    CU_ASSERT(reply.body && strstr(reply.body, "there are: default"));
    test_reply_release(&reply);
    test_service_close(&service);
}

static void refuses_what_it_should(void)
{
    static const struct {
        const char *name, *body;
        int status;
    } cases[] = {
        {"birds", "{\"file\":\"nope.safetensors\"}", 404},
        {"birds", "{\"file\":\"../model.safetensors\"}", 400},
        {"birds", "{\"file\":\"sub/../1.safetensors\"}", 400},
        {"birds", "{\"file\":\"/etc/passwd\"}", 400},
        {"birds", "{\"file\":\"/1.safetensors\"}", 400},
        {"birds", "{\"file\":\".1.safetensors\"}", 400},
        {"birds", "{\"file\":\"1.safetensors\\u0000x.safetensors\"}", 400},
        {"birds", "{\"file\":\"1.pth\"}", 400},
        {"birds", "{\"file\":\"\"}", 400},
        {"birds", "{\"file\":1}", 400},
        {"birds", "{\"file\":null}", 400},
        {"birds", "{\"file\":[\"1.safetensors\"]}", 400},
        {"birds", "{\"file\":\"out.safetensors\"}", 404},
        {"birds", "{\"file\":\"fifo.safetensors\"}", 422},
        {"birds", "{\"file\":\"dir.safetensors\"}", 422},
        {"birds", "{}", 400},
        {"birds", "[]", 400},
        {"birds", "\"1.safetensors\"", 400},
        {"birds", "{\"file\":\"1.safetensors\"", 400},
        {"birds", "{\"file\":\"1.safetensors\"} x", 400},
        {"birds", "{\"file\":\"1.safetensors\",\"file\":\"2.safetensors\"}", 400},
        {"birds", "{\"file\":\"1.safetensors\",\"alias_of\":\"default\"}", 400},
        {"birds", "{\"file\":\"1.safetensors\",\"more\":1}", 400},
        {"birds", "{\"path\":\"1.safetensors\"}", 400},
        {"birds", "\xff", 400},
        {"birds", "{\"alias_of\":\"nope\"}", 404},
        {"birds", "{\"alias_of\":\"default@0123456789ab\"}", 404},
        {"birds", "{\"alias_of\":\"\"}", 400},
        {"default", "{\"alias_of\":\"default\"}", 409},
        {"bi%20rds", "{\"file\":\"1.safetensors\"}", 400},
        {"birds@1", "{\"file\":\"1.safetensors\"}", 400},
        {"birds", "{\"file\":\"1.safetensors\"}", 201},
    };
    char large[6000];
    struct test_reply reply;

    if (!open_service(NULL))
        return;
    unlink(scratch_path("models/fifo.safetensors"));
    unlink(scratch_path("models/out.safetensors"));
    CU_ASSERT_EQUAL(mkfifo(scratch_path("models/fifo.safetensors"), 0666), 0);
    CU_ASSERT_EQUAL(symlink(test_small_model(), scratch_path("models/out.safetensors")), 0);
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        reply = put(cases[i].name, cases[i].body, NULL);
        if (reply.status != cases[i].status)
            TEST_FAIL("%s %s: %d %s", cases[i].name, cases[i].body, reply.status, reply.body);
        test_reply_release(&reply);
    }
    memset(large, ' ', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    CU_ASSERT_EQUAL(put_status("birds", large), 413);
    int fd = test_connect(&admin);
    test_send_text(fd, "PUT /models/birds HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    test_send_text(fd, "176f\r\n"); /* 5999 bytes */
    test_send(fd, large, sizeof large - 1);
    test_send_text(fd, "\r\n0\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(fd), 413);
    close(fd);
    test_request(&admin, "PUT", "/models/birds", "Content-Type: text/plain\r\n", "{}", 2, &reply);
    CU_ASSERT_EQUAL(reply.status, 415);
    test_reply_release(&reply);
    test_request(&admin, "PUT", "/models/birds", NULL, NULL, 0, &reply);
    CU_ASSERT_EQUAL(reply.status, 411);
    test_reply_release(&reply);
    reply = put("birds", "{\"file\":\"2.safetensors\"}", "Origin: http://evil.example\r\n");
    CU_ASSERT_EQUAL(reply.status, 403);
    test_reply_release(&reply);
    /* The first listener has neither. */
    test_request(&service.server, "PUT", "/models/birds", "Content-Type: application/json\r\n",
                 "{\"file\":\"2.safetensors\"}", 24, &reply);
    CU_ASSERT_EQUAL(reply.status, 405);
    CU_ASSERT(test_header_is(&reply, "Allow", "GET, HEAD, OPTIONS"));
    test_reply_release(&reply);
    reply = test_get(&service.server, "DELETE", "/models/birds", NULL);
    CU_ASSERT_EQUAL(reply.status, 405);
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(variant("birds"), 1);
    test_service_close(&service);
}

/* Without --models-dir nothing can be changed, and the answer says which option it is. */
static void is_off_by_default(void)
{
    char listen[100];
    const char *more[] = {"--admin-listen", listen, NULL};

    scratch_open("server_models", NULL);
    snprintf(listen, sizeof listen, "unix:%s", scratch_path("socket"));
    snprintf(admin.address, sizeof admin.address, "%s", listen);
    if (!test_service_open(&service, 64, 48, more))
        return;
    struct test_reply reply = put("birds", "{\"file\":\"1.safetensors\"}", NULL);
    CU_ASSERT_EQUAL(reply.status, 403);
    CU_ASSERT(reply.body && strstr(reply.body, "--models-dir"));
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(delete_status("default"), 403);
    test_service_close(&service);
}

static void needs_the_right(void)
{
    char tokens[700];
    const char *more[] = {"--token-file", tokens, NULL};
    struct test_reply reply;

    scratch_open("server_models", NULL);
    FILE *file = scratch_file("tokens", "w");
    fputs("secret-1\nsecret-2 rights=admin\n", file);
    fclose(file);
    snprintf(tokens, sizeof tokens, "%s", scratch_path("tokens"));
    if (!open_service(more))
        return;
    static const struct {
        const char *header;
        int put, get, delete;
    } cases[] = {{NULL, 401, 401, 401},
                 {"Authorization: Bearer secret-1\r\n", 403, 200, 403},
                 {"Authorization: Bearer secret-2\r\n", 201, 403, 204}};
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        reply = put("birds", "{\"file\":\"1.safetensors\"}", cases[i].header);
        CU_ASSERT_EQUAL(reply.status, cases[i].put);
        test_reply_release(&reply);
        reply = test_get(&admin, "GET", "/models/default", cases[i].header);
        CU_ASSERT_EQUAL(reply.status, cases[i].get);
        test_reply_release(&reply);
        reply = test_get(&admin, "DELETE", "/models/birds", cases[i].header);
        CU_ASSERT_EQUAL(reply.status, cases[i].delete);
        test_reply_release(&reply);
    }
    test_service_close(&service);
}

static void versions_and_aliases(void)
{
    static const char *const more[] = {"--keep-versions", "1", NULL};
    char versions[4][13], name[100], body[100], sample[200];

    if (!open_service(more))
        return;
    for (int i = 1; i <= 3; i++) {
        CU_ASSERT_EQUAL(put_file("birds", i), i == 1 ? 201 : 200);
        CU_ASSERT_EQUAL(localize("birds", NULL, versions[i]), 200);
    }
    for (int i = 1; i <= 3; i++) {
        snprintf(name, sizeof name, "birds@%s", versions[i]);
        CU_ASSERT_EQUAL(variant(name), i == 1 ? 0 : i);
    }
    snprintf(name, sizeof name, "/models/birds@%s", versions[2]);
    struct test_reply reply = test_get(&service.server, "GET", name, NULL);
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT(reply.body && strstr(reply.body, versions[2]) && !strstr(reply.body, versions[3]));
    test_reply_release(&reply);

    /* Metrics of versions that are loaded, and of no others. */
    snprintf(sample, sizeof sample,
             "\nadl_model_version_images_total{model=\"birds\",version=\"%s\"} ", versions[2]);
    CU_ASSERT_EQUAL(test_metric(&admin, sample), 2);
    snprintf(sample, sizeof sample,
             "\nadl_model_version_load_seconds{model=\"birds\",version=\"%s\"} ", versions[3]);
    CU_ASSERT(test_metric(&admin, sample) > 0);
    snprintf(sample, sizeof sample,
             "\nadl_model_version_images_total{model=\"birds\",version=\"%s\"} ", versions[1]);
    CU_ASSERT_EQUAL(test_metric(&admin, sample), -1);

    snprintf(body, sizeof body, "{\"alias_of\":\"birds@%s\"}", versions[2]);
    CU_ASSERT_EQUAL(put_status("stable", body), 201);
    CU_ASSERT_EQUAL(put_status("latest", "{\"alias_of\":\"birds\"}"), 201);
    CU_ASSERT_EQUAL(put_file("birds", 4), 200);
    CU_ASSERT_EQUAL(put_file("birds", 1), 200);
    CU_ASSERT_EQUAL(variant("stable"), 2);
    CU_ASSERT_EQUAL(variant("latest"), 1);
    reply = test_get(&service.server, "GET", "/models", NULL);
    json_t *json = test_reply_json(&reply);
    json_t *all = json_object_get(json, "aliases"),
           *birds = json_array_get(json_object_get(json, "models"), 1);
    snprintf(name, sizeof name, "birds@%s", versions[2]);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "models")), 2);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(all, "stable")), name);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(all, "latest")), "birds");
    /* The current one, the last one, and that of the alias. */
    CU_ASSERT_EQUAL(json_array_size(json_object_get(birds, "versions")), 3);
    struct test_reply other = test_get(&service.server, "GET", "/v2/models/birds", NULL);
    json_t *inference = test_reply_json(&other);
    CU_ASSERT(
        json_equal(json_object_get(inference, "versions"), json_object_get(birds, "versions")));
    json_decref(inference);
    test_reply_release(&other);
    json_decref(json);
    test_reply_release(&reply);

    reply = test_get(&admin, "DELETE", "/models/birds", NULL);
    CU_ASSERT_EQUAL(reply.status, 409);
    CU_ASSERT(reply.body && strstr(reply.body, "stable"));
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(delete_status("stable"), 204);
    CU_ASSERT_EQUAL(delete_status("latest"), 204);
    CU_ASSERT_EQUAL(delete_status("birds"), 204);
    CU_ASSERT_EQUAL(test_metric(&admin, "\nadl_images_total{model=\"birds\",outcome=\"ok\"} "), -1);
    test_service_close(&service);
}

/* --- changes while requests run ---------------------------------------------------------- */

static atomic_bool stop;
static _Atomic int answered, missing, failed;

static void *send_pictures(void *argument)
{
    const char *model = argument;

    while (!stop) {
        double threshold = 0;
        int status = localize(model, &threshold, NULL);
        if (status == 200 && threshold > 0)
            answered++;
        else if (status == 404 && !strcmp(model, "birds"))
            missing++;
        else
            failed++;
    }
    return NULL;
}

static void *change_models(void *argument)
{
    const int seed = *(int *)argument;

    for (int i = 0; !stop; i++) {
        int status = put_file(i % 2 ? "birds" : "fish", 1 + (i + seed) % 4);
        bool fine = status == 200 || status == 201 || status == 409;
        if (i % 3 == seed % 3) {
            status = delete_status("birds");
            fine &= status == 204 || status == 404 || status == 409;
        }
        if (!fine)
            failed++;
    }
    return NULL;
}

/* Eight clients, two of whom use a name that comes and goes, and two who change the models. */
static void no_request_is_lost(void)
{
    static const char *const more[] = {"--keep-versions", "1", NULL};
    static char *const names[] = {"default", "default", "default", "fish",
                                  "fish",    "fish",    "birds",   "birds"};
    pthread_t clients[ADL_COUNT(names)], changers[2];
    int seeds[2] = {0, 1};

    if (!open_service(more))
        return;
    CU_ASSERT_EQUAL(put_file("fish", 1), 201);
    answered = missing = failed = 0;
    stop = false;
    for (size_t i = 0; i < ADL_COUNT(clients); i++)
        pthread_create(&clients[i], NULL, send_pictures, names[i]);
    for (size_t i = 0; i < ADL_COUNT(changers); i++)
        pthread_create(&changers[i], NULL, change_models, &seeds[i]);
    /* For 5 s; longer where the machine is slow. */
    uint64_t begin = adl_clock_ns();
    for (double ms = 0; ms < 5000 || ((answered < 100 || missing == 0) && ms < 60000);
         ms = adl_clock_ms(begin, adl_clock_ns()))
        poll(NULL, 0, 100);
    stop = true;
    for (size_t i = 0; i < ADL_COUNT(changers); i++)
        pthread_join(changers[i], NULL);
    for (size_t i = 0; i < ADL_COUNT(clients); i++)
        pthread_join(clients[i], NULL);
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT(answered >= 100);
    CU_ASSERT(missing > 0);
    CU_ASSERT_EQUAL(test_metric(&admin, "\nadl_queue_depth{model=\"fish\"} "), 0);
    test_service_close(&service);
}

/* Sends a PUT without waiting for its answer; returns the connection. */
static int begin_put(const char *name)
{
    int fd = test_connect(&admin);
    test_send_text(fd,
                   "PUT /models/%s HTTP/1.1\r\nHost: localhost\r\n"
                   "Content-Type: application/json\r\nContent-Length: 24\r\n\r\n"
                   "{\"file\":\"1.safetensors\"}",
                   name);
    return fd;
}

/* While a change of a name waits behind others, a further one of it is refused, and one of another
 * name is not. */
static void one_change_of_a_name(void)
{
    int fds[8];

    if (!open_service(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(fds); i++)
        fds[i] = begin_put((const char *[]){"a", "b", "c", "d", "e", "f", "g", "twice"}[i]);
    poll(NULL, 0, 20); /* another connection may overtake them otherwise */
    struct test_reply reply = put("twice", "{\"file\":\"2.safetensors\"}", NULL);
    CU_ASSERT_EQUAL(reply.status, 409);
    CU_ASSERT(reply.body && strstr(reply.body, "under way"));
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(delete_status("twice"), 409);
    for (size_t i = 0; i < ADL_COUNT(fds); i++) {
        CU_ASSERT_EQUAL(test_next_status(fds[i]), 201);
        close(fds[i]);
    }
    CU_ASSERT_EQUAL(variant("twice"), 1);
    test_service_close(&service);
}

/* Requests whose change has not been made when the server ends get an answer. */
static void answers_at_the_end(void)
{
    int fds[8];

    if (!open_service(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(fds); i++)
        fds[i] = begin_put((const char *[]){"a", "b", "c", "d", "e", "f", "g", "h"}[i]);
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    for (size_t i = 0; i < ADL_COUNT(fds); i++) {
        int status = test_next_status(fds[i]);
        if (status != 201 && status != 503)
            TEST_FAIL("request %zu: %d", i, status);
        close(fds[i]);
    }
    test_service_release(&service);
}

/* What is put stays after a reload, which reads it again. */
static void reloads_what_was_put(void)
{
    if (!open_service(NULL))
        return;
    CU_ASSERT_EQUAL(put_file("birds", 1), 201);
    CU_ASSERT_EQUAL(put_file("default", 2), 200);
    CU_ASSERT_EQUAL(put_status("same", "{\"alias_of\":\"birds\"}"), 201);
    test_model_variant(scratch_path("models/1.safetensors"), 0.7);
    test_model_variant(scratch_path("models/2.safetensors"), 0.8);
    struct test_reply reply = test_post(&admin, "/reload", NULL, NULL, 0);
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT_STRING_EQUAL(reply.body, "{\"status\":\"reloaded\",\"models\":2}\n");
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(variant("birds"), 7);
    CU_ASSERT_EQUAL(variant("same"), 7);
    CU_ASSERT_EQUAL(variant("default"), 8);
    test_service_close(&service);
}

/* --- --watch --------------------------------------------------------------------------------- */

static int count_lines(const char *text)
{
    char *log = test_server_log(&service.server);
    int count = 0;

    for (const char *at = log; at && (at = strstr(at, text)); at++)
        count++;
    free(log);
    return count;
}

static void watches_the_folder(void)
{
    static const char *const more[] = {"--watch", NULL};
    char bytes[4096];
    size_t got;

    if (!open_service(more))
        return;
    /* Those that were there at the start are loaded. */
    CU_ASSERT_EQUAL(variant("3"), 3);
    test_model_variant(scratch_path("models/birds.safetensors"), 0.5);
    CU_ASSERT_EQUAL(variant_reaches("birds", 5), 5);
    test_model_variant(scratch_path("models/birds.safetensors"), 0.6);
    CU_ASSERT_EQUAL(variant_reaches("birds", 6), 6);
    /* A broken one leaves the old version and one line. */
    FILE *file = scratch_file("models/birds.safetensors", "w");
    fputs("no model", file);
    fclose(file);
    poll(NULL, 0, 2500);
    CU_ASSERT_EQUAL(variant("birds"), 6);
    CU_ASSERT_EQUAL(count_lines("neither a safetensors nor a PyTorch file"), 1);
    /* One that is being written is not looked at. */
    FILE *from = fopen(scratch_path("models/4.safetensors"), "rb");
    file = scratch_file("models/half.safetensors", "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(from);
    got = fread(bytes, 1, sizeof bytes, from);
    fwrite(bytes, 1, got, file);
    fflush(file);
    poll(NULL, 0, 1500);
    CU_ASSERT_EQUAL(localize("half", NULL, NULL), 404);
    while ((got = fread(bytes, 1, sizeof bytes, from)) > 0)
        fwrite(bytes, 1, got, file);
    fclose(file);
    fclose(from);
    CU_ASSERT_EQUAL(variant_reaches("half", 4), 4);
    CU_ASSERT_EQUAL(count_lines("could not be loaded"), 0);
    unlink(scratch_path("models/half.safetensors"));
    CU_ASSERT_EQUAL(variant_reaches("half", 0), 0);
    /* What was removed by a request stays removed until its file changes. */
    CU_ASSERT_EQUAL(delete_status("3"), 204);
    poll(NULL, 0, 1500);
    CU_ASSERT_EQUAL(localize("3", NULL, NULL), 404);
    test_model_variant(scratch_path("models/3.safetensors"), 0.9);
    CU_ASSERT_EQUAL(variant_reaches("3", 9), 9);
    test_service_close(&service);
}

TEST_SUITE(server_models, {"adds, replaces and removes", adds_replaces_and_removes},
           {"refuses what it should", refuses_what_it_should},
           {"is off by default", is_off_by_default}, {"needs the right", needs_the_right},
           {"versions and aliases", versions_and_aliases},
           {"no request is lost", no_request_is_lost},
           {"one change of a name", one_change_of_a_name},
           {"answers at the end", answers_at_the_end},
           {"reloads what was put", reloads_what_was_put},
           {"watches the folder", watches_the_folder});
TEST_SLOW(no_request_is_lost);
TEST_SLOW(watches_the_folder);
