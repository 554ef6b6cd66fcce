/* `serve --annotations`: pictures and boxes are kept as a data set that is read like any other,
 * whatever a client sends. */

#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "io/file.h"
#include "support/http_client.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

static struct test_service service;

static bool open_service(const char *name)
{
    scratch_open(name, (const char *const[]){NULL});
    return test_service_open(&service, 200, 120,
                             (const char *const[]){"--annotations", scratch_path("kept"), NULL});
}

static int send_bytes(const char *method, const char *name, const char *type, const void *bytes,
                      size_t length)
{
    char target[800], header[100];
    struct test_reply reply;

    snprintf(target, sizeof target, "/annotations/%s", name);
    snprintf(header, sizeof header, "Content-Type: %s\r\n", type);
    test_request(&service.server, method, target, header, bytes, length, &reply);
    int status = reply.status;
    test_reply_release(&reply);
    return status;
}

static int put_picture(const char *name)
{
    return send_bytes("PUT", name, "image/jpeg", service.jpeg, service.jpeg_length);
}

/* Sends a picture without waiting for the answer; returns the connection. */
static int put_slowly(const struct test_server *server, const char *name)
{
    int fd = test_connect(server);

    test_send_text(fd,
                   "PUT /annotations/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   name, service.jpeg_length);
    test_send(fd, service.jpeg, service.jpeg_length);
    return fd;
}

static int put_boxes(const char *name, const char *boxes)
{
    char text[2000];
    snprintf(text, sizeof text, "{\"width\": 200, \"height\": 120, \"boxes\": [%s]}", boxes);
    return send_bytes("PUT", name, "application/json", text, strlen(text));
}

#define ANT "{\"x0\": 10, \"y0\": 20, \"x1\": 59, \"y1\": 79, \"label\": \"ant\"}"
#define EDGE "{\"x0\": 150, \"y0\": 0, \"x1\": 199, \"y1\": 119, \"label\": \"ant\"}"
#define SMALL_CAT "{\"x0\": 0, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": \"cat\"}"
#define WASP "{\"x0\": 1, \"y0\": 2, \"x1\": 100, \"y1\": 50, \"label\": \"bee, wasp\"}"

static bool file_is(const char *path, const char *want)
{
    struct adl_error err = {0};
    char *text = adl_file_read(scratch_path("kept/%s", path), 100000, NULL, &err);
    bool same = text && !strcmp(text, want);
    if (!same)
        printf("%s: %s\n", path, text ? text : err.message);
    adl_free(text);
    return same;
}

/* The lines that the reference's layout needs: boxes end one pixel later, except at the border. */
static void boxes_become_a_data_set(void)
{
    struct adl_error err = {0};
    if (!open_service("annotations_data"))
        return;
    CU_ASSERT_EQUAL(put_picture("b.jpg"), 200);
    CU_ASSERT_EQUAL(put_picture("a,%20%EA%B0%9C.jpg"), 200);
    CU_ASSERT_EQUAL(put_picture("none.jpg"), 200);
    CU_ASSERT(file_is("metadata/val/image_ids.txt", ""));
    CU_ASSERT_EQUAL(put_boxes("b.jpg", ANT "," EDGE "," SMALL_CAT), 200);
    CU_ASSERT_EQUAL(put_boxes("a,%20%EA%B0%9C.jpg", WASP), 200);
    CU_ASSERT(file_is("classes.txt", "ant\ncat\nbee, wasp\n"));
    CU_ASSERT(file_is("metadata/val/image_ids.txt", "b.jpg\na, 개.jpg\n"));
    CU_ASSERT(file_is("metadata/val/class_labels.txt", "b.jpg,0\na, 개.jpg,2\n"));
    CU_ASSERT(file_is("metadata/val/image_sizes.txt", "b.jpg,200,120\na, 개.jpg,200,120\n"));
    CU_ASSERT(file_is("metadata/val/localization.txt",
                      "b.jpg,10,20,60,80\nb.jpg,150,0,199,119\na, 개.jpg,1,2,101,51\n"));

    const struct adl_dataset_options options = {.dir = scratch_path("kept"), .split = "val"};
    struct adl_dataset *data = adl_dataset_open(&options, &err);
    if (!data)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_EQUAL(data->count, 2);
    CU_ASSERT_EQUAL(data->box_count, 3);
    CU_ASSERT_EQUAL(data->class_count, 3);
    adl_dataset_free(data);

    /* No boxes any more: the picture leaves the lists, and the classes keep their numbers. */
    CU_ASSERT_EQUAL(put_boxes("b.jpg", ""), 200);
    CU_ASSERT(file_is("metadata/val/class_labels.txt", "a, 개.jpg,2\n"));
    CU_ASSERT_EQUAL(send_bytes("DELETE", "a,%20%EA%B0%9C.jpg", "x/y", NULL, 0), 204);
    CU_ASSERT(file_is("metadata/val/image_ids.txt", ""));
    CU_ASSERT_FALSE(adl_file_is_regular(scratch_path("kept/images/a, 개.jpg")));
    CU_ASSERT_FALSE(adl_file_is_regular(scratch_path("kept/boxes/a, 개.jpg.json")));
    test_service_close(&service);
}

/* What one server has kept, the next one lists; boxes whose picture is gone are left out. */
static void the_next_server_has_them(void)
{
    if (!open_service("annotations_again"))
        return;
    CU_ASSERT_EQUAL(put_picture("b.jpg"), 200);
    CU_ASSERT_EQUAL(put_picture("gone.jpg"), 200);
    CU_ASSERT_EQUAL(put_boxes("b.jpg", WASP "," ANT), 200);
    CU_ASSERT_EQUAL(put_boxes("gone.jpg", SMALL_CAT), 200);
    test_service_close(&service);
    CU_ASSERT_EQUAL(remove(scratch_path("kept/images/gone.jpg")), 0);
    if (!test_service_open(&service, 200, 120,
                           (const char *const[]){"--annotations", scratch_path("kept"), NULL}))
        return;
    struct test_reply reply = test_get(&service.server, "GET", "/annotations", NULL);
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT_STRING_EQUAL(reply.body,
                           "{\"annotations\":[{\"name\":\"b.jpg\",\"width\":200,\"height\":120,"
                           "\"boxes\":[{\"x0\":1,\"y0\":2,\"x1\":100,\"y1\":50,\"label\":"
                           "\"bee, wasp\"},{\"x0\":10,\"y0\":20,\"x1\":59,\"y1\":79,\"label\":"
                           "\"ant\"}]}]}\n");
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/annotations/gone.jpg", NULL);
    CU_ASSERT_EQUAL(reply.status, 404);
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/models", NULL);
    CU_ASSERT(strstr(reply.body, "\"annotations\":true") != NULL);
    test_reply_release(&reply);
    CU_ASSERT(file_is("classes.txt", "bee, wasp\nant\ncat\n"));
    CU_ASSERT(file_is("metadata/val/image_ids.txt", "b.jpg\n"));
    test_service_close(&service);
}

/* Counts what is below a directory of the scratch directory. */
static int entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(scratch_path("%s", path));
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return count;
}

static void hostile_names_write_nothing(void)
{
    static const char *const names[] = {
        "..%2Fout.jpg", "%2Ftmp%2Fout.jpg", "a%2Fb.jpg",  ".hidden.jpg", "..",
        "a%5Cb.jpg",    "a%0Ab.jpg",        "a%7Fb.jpg",  "%FF.jpg",     "%20a.jpg",
        "a.jpg%20",     "a%00b%2F..%2Fc",   "../out.jpg", "a/b.jpg",     "%2e%2e%2fout.jpg",
    };
    char lengthy[300];

    if (!open_service("annotations_names"))
        return;
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        int status = put_picture(names[i]);
        CU_ASSERT(status == 400 || status == 404 || !strcmp(names[i], "a%00b%2F..%2Fc"));
        status = put_boxes(names[i], ANT);
        CU_ASSERT(status == 400 || status == 404);
    }
    memset(lengthy, 'a', sizeof lengthy);
    lengthy[181] = '\0';
    CU_ASSERT_EQUAL(put_picture(lengthy), 400);
    lengthy[180] = '\0';
    CU_ASSERT_EQUAL(put_picture(lengthy), 200);
    CU_ASSERT_EQUAL(entries("kept/images"), 1);
    CU_ASSERT_EQUAL(entries("kept/boxes"), 1);
    CU_ASSERT_EQUAL(entries("kept"), 4);
    CU_ASSERT_EQUAL(entries("."), 1);
    test_service_close(&service);
}

static void bad_bodies_change_nothing(void)
{
    static const char *const boxes[] = {
        "{\"x0\": 0, \"y0\": 0, \"x1\": 200, \"y1\": 9, \"label\": \"ant\"}",
        "{\"x0\": 0, \"y0\": 0, \"x1\": 9, \"y1\": 120, \"label\": \"ant\"}",
        "{\"x0\": -1, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": \"ant\"}",
        "{\"x0\": 9, \"y0\": 0, \"x1\": 8, \"y1\": 9, \"label\": \"ant\"}",
        "{\"x0\": 0.5, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": \"ant\"}",
        "{\"x0\": 1e30, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": \"ant\"}",
        "{\"x0\": 0, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": \"\"}",
        "{\"x0\": 0, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": \"a\\nb\"}",
        "{\"x0\": 0, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": \"a\\u0000b\"}",
        "{\"x0\": 0, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": \" ant\"}",
        "{\"x0\": 0, \"y0\": 0, \"x1\": 9, \"y1\": 9, \"label\": 7}",
        "{\"x0\": 0, \"y0\": 0, \"x1\": 9, \"y1\": 9}",
        "7",
        "null",
    };
    static const char *const bodies[] = {"",
                                         "{}",
                                         "[]",
                                         "null",
                                         "{\"boxes\"}",
                                         "{\"boxes\": {}}",
                                         "\xff",
                                         "{\"width\": 10, \"boxes\": []}"};

    if (!open_service("annotations_bodies"))
        return;
    CU_ASSERT_EQUAL(put_boxes("a.jpg", ANT), 404);
    CU_ASSERT_EQUAL(put_picture("a.jpg"), 200);
    CU_ASSERT_EQUAL(put_boxes("a.jpg", ANT), 200);
    for (size_t i = 0; i < ADL_COUNT(boxes); i++)
        CU_ASSERT_EQUAL(put_boxes("a.jpg", boxes[i]), 400);
    for (size_t i = 1; i < ADL_COUNT(bodies); i++)
        CU_ASSERT_EQUAL(
            send_bytes("PUT", "a.jpg", "application/json", bodies[i], strlen(bodies[i])), 400);
    /* Another picture under the same name, half of one, none at all, and one of another type. */
    CU_ASSERT_EQUAL(send_bytes("PUT", "a.jpg", "image/png", service.png, service.png_length), 409);
    CU_ASSERT_EQUAL(
        send_bytes("PUT", "half.jpg", "image/jpeg", service.jpeg, service.jpeg_length / 2), 422);
    CU_ASSERT_EQUAL(send_bytes("PUT", "text.jpg", "image/jpeg", "no image", 8), 415);
    CU_ASSERT_EQUAL(send_bytes("PUT", "text.jpg", "text/html", "<p>", 3), 415);
    CU_ASSERT_EQUAL(put_picture("a.jpg"), 200);
    CU_ASSERT_EQUAL(entries("kept/images"), 1);
    CU_ASSERT(file_is("boxes/a.jpg.json",
                      "{\"name\":\"a.jpg\",\"width\":200,\"height\":120,\"boxes\":[{\"x0\":10,"
                      "\"y0\":20,\"x1\":59,\"y1\":79,\"label\":\"ant\"}]}\n"));
    CU_ASSERT(file_is("metadata/val/localization.txt", "a.jpg,10,20,60,80\n"));
    test_service_close(&service);
}

/* A directory that cannot be written is an error of the server, and leaks no path. */
static void a_failing_disk_is_said(void)
{
    char body[400] = "";
    struct test_reply reply;

    if (!open_service("annotations_disk"))
        return;
    CU_ASSERT_EQUAL(put_picture("a.jpg"), 200);
    /* A file in the place of the directory fails for root, too. */
    CU_ASSERT_EQUAL(rename(scratch_path("kept/boxes"), scratch_path("kept/moved")), 0);
    fclose(scratch_file("kept/boxes", "w"));
    test_request(&service.server, "PUT", "/annotations/a.jpg", "Content-Type: application/json\r\n",
                 "{\"boxes\":[" ANT "]}", strlen("{\"boxes\":[" ANT "]}"), &reply);
    CU_ASSERT_EQUAL(reply.status, 500);
    snprintf(body, sizeof body, "%s", reply.body ? reply.body : "");
    CU_ASSERT(strstr(body, "/problems/internal") != NULL);
    CU_ASSERT(strstr(body, scratch_root()) == NULL);
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(remove(scratch_path("kept/boxes")), 0);
    CU_ASSERT_EQUAL(rename(scratch_path("kept/moved"), scratch_path("kept/boxes")), 0);
    CU_ASSERT_EQUAL(put_boxes("a.jpg", ANT), 200);
    CU_ASSERT(file_is("metadata/val/class_labels.txt", "a.jpg,0\n"));
    test_service_close(&service);
}

/* A lease of the kernel makes whoever opens the file wait for its holder, as a dead file server
 * does. */
static void a_hanging_disk_does_not_hold_the_end(void)
{
    const char *more[] = {"--annotations", NULL, "--drain-timeout", "1", NULL};
    struct test_server server;
    int hangs, waits;

#ifdef __SANITIZE_THREAD__
    printf("the thread that hangs is left behind, which ThreadSanitizer reports; ");
    return;
#endif
    scratch_open("annotations_hang", NULL);
    more[1] = scratch_path("kept");
    if (!test_service_open(&service, 200, 120, more))
        return;
    CU_ASSERT_EQUAL(put_picture("a.jpg"), 200);
    server = service.server;
    signal(SIGIO, SIG_IGN);
    int file = open(scratch_path("kept/images/a.jpg"), O_RDWR | O_CLOEXEC);
    if (fcntl(file, F_SETLEASE, F_WRLCK) < 0) {
        printf("no leases on this file system; ");
        close(file);
        test_service_close(&service);
        return;
    }
    hangs = put_slowly(&server, "a.jpg");
    CU_ASSERT(test_metric_reaches(&server, "\nadl_http_requests_in_flight ", 2) >= 2);
    waits = put_slowly(&server, "b.jpg");
    CU_ASSERT(test_metric_reaches(&server, "\nadl_http_requests_in_flight ", 3) >= 3);
    uint64_t begin = adl_clock_ns();
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 15000);
    CU_ASSERT_EQUAL(test_next_status(waits), 503);
    CU_ASSERT_EQUAL(test_next_status(hangs), 0);
    close(hangs);
    close(waits);
    close(file);
    signal(SIGIO, SIG_DFL);
    test_service_release(&service);
}

static void without_the_option_there_is_nothing(void)
{
    if (!test_service_open(&service, 200, 120, NULL))
        return;
    CU_ASSERT_EQUAL(put_picture("a.jpg"), 404);
    CU_ASSERT_EQUAL(send_bytes("DELETE", "a.jpg", "x/y", NULL, 0), 404);
    struct test_reply reply = test_get(&service.server, "GET", "/annotations", NULL);
    CU_ASSERT_EQUAL(reply.status, 404);
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/models", NULL);
    CU_ASSERT(strstr(reply.body, "\"annotations\":false") != NULL);
    test_reply_release(&reply);
    test_service_close(&service);
}

TEST_SUITE(server_annotations, {"boxes become a data set", boxes_become_a_data_set},
           {"the next server has them", the_next_server_has_them},
           {"hostile names write nothing", hostile_names_write_nothing},
           {"bad bodies change nothing", bad_bodies_change_nothing},
           {"a failing disk is said", a_failing_disk_is_said},
           {"a hanging disk does not hold the end", a_hanging_disk_does_not_hold_the_end},
           {"without the option there is nothing", without_the_option_there_is_nothing});
