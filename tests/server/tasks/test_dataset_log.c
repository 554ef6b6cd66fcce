/* tasks/dataset_log.h: what a user is told about a data set, once and in one line each. */

#include "support/test.h"

#include <string.h>

#include "base/mem.h"
#include "server/tasks/dataset_log.h"
#include "support/scratch.h"

static void expect_log(const struct adl_dataset *d, bool training, const char *want)
{
    scratch_stderr_begin();
    adl_log_dataset(d, "train", training);
    char *text = scratch_stderr_end();
    if (!text || strcmp(text, want) != 0)
        TEST_FAIL("\"%s\", expected \"%s\"", text ? text : "", want);
    else
        CU_PASS("");
    adl_free(text);
}

static void each_thing_is_said_once(void)
{
    static const char *classes[] = {"ant", "bee", "cat"};
    static struct adl_dataset_image images[] = {{.id = "1", .class_id = 1},
                                                {.id = "2", .class_id = 1}};
    struct adl_dataset d = {.image_dir = "photos", .images = images, .count = 2};
    scratch_open("dataset-log", (const char *const[]){NULL});

    d.class_count = 2;
    images[0].class_id = 0;
    expect_log(&d, true, "");
    images[0].class_id = 1;
    d.classes = classes;
    d.class_count = 3;
    expect_log(&d, false, "");
    expect_log(&d, true,
               "adl-server: train: warning: 2 of 3 classes have no image: ant, cat\n"
               "adl-server: train: warning: all images are of a single class: bee; a "
               "classifier needs at least two\n");

    d.left_out[ADL_LEFT_OUT_CLASS] = (struct adl_left_out_count){.count = 1, .names = {"a\nb"}};
    d.left_out[ADL_LEFT_OUT_SPECIAL] =
        (struct adl_left_out_count){.count = 9, .names = {"p", "q", "r", "s"}};
    expect_log(&d, false,
               "adl-server: train: photos: left out 1 directory without an image, which is not a "
               "class: a?b\n"
               "adl-server: train: photos: left out 9 FIFOs, sockets or devices: p, q, r, s, "
               "...\n");
    memset(d.left_out, 0, sizeof d.left_out);
    d.left_out[ADL_LEFT_OUT_UNKNOWN] = (struct adl_left_out_count){.count = 9, .names = {"dog"}};
    expect_log(&d, false,
               "adl-server: train: photos: left out 9 images of classes that the network does not "
               "have: dog\n");
}

TEST_SUITE(dataset_log, {"each thing is said once", each_thing_is_said_once});
