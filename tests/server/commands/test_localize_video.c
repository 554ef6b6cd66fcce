/* `localize --video`: frames have the answers of pictures and the times of the rate, whatever is
 * wrong with ffmpeg or with what it sends is said, and a name cannot be an option or a protocol.
 * ffmpeg is a script here that sends what a test has prepared, and in one test the real one. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image.h"
#include "io/file.h"
#include "server/commands/subcommands.h"
#include "support/command_call.h"
#include "support/noise_image.h"
#include "support/scratch.h"
#include "support/small_model.h"

enum { FRAMES = 11, WIDTH = 80, HEIGHT = 50 };

static char path_before[4096];

/* Frames of noise of some sizes, as PNG files and one after the other as PPM. */
static void make_frames(const char *name)
{
    static const char *const folders[] = {"in", "bin", "empty", NULL};
    struct adl_error err = {0};
    scratch_open(name, folders);
    model_small_save(scratch_path("model.safetensors"));
    FILE *file = scratch_file("frames.ppm", "w");
    for (int i = 0; i < FRAMES; i++) {
        struct adl_image image = noise_image(WIDTH, HEIGHT, 3, (uint64_t)i, 5);
        size_t length;
        void *bytes;
        TEST_OK(adl_image_encode_png(&image, &bytes, &length, &err), &err);
        TEST_OK(adl_file_write(scratch_path("in/%02d.png", i),
                               &(struct adl_file_piece){bytes, length}, 1, &err),
                &err);
        fprintf(file, "P6\n%d %d\n255\n", WIDTH, HEIGHT);
        fwrite(image.rgb, 1, 3 * (size_t)WIDTH * (size_t)HEIGHT, file);
        adl_free(bytes);
        adl_image_release(&image);
    }
    fclose(file);
    fclose(scratch_file("-y.mp4", "w"));
}

/* Puts a script in the place of ffmpeg, which is the only program in PATH but those of the shell.
 */
static void fake_ffmpeg(const char *commands)
{
    FILE *file = scratch_file("bin/ffmpeg", "w");
    fprintf(file, "#!/bin/sh\ncd '%s' || exit 9\nprintf '%%s\\n' \"$@\" >words\n%s\n",
            scratch_root(), commands);
    fclose(file);
    chmod(scratch_path("bin/ffmpeg"), 0755);
    snprintf(path_before, sizeof path_before, "%s", getenv("PATH") ? getenv("PATH") : "");
    char path[5000];
    snprintf(path, sizeof path, "%s:%s", scratch_path("bin"), path_before);
    setenv("PATH", path, 1);
}

static void real_path(void)
{
    setenv("PATH", path_before, 1);
}

static int run_video(const char *video, const char *fps, struct adl_error *err)
{
    const char *const words[] = {"-m",     scratch_path("model.safetensors"),
                                 "--json", "--video",
                                 video,    "--fps",
                                 fps,      "--smooth",
                                 "0",      NULL};
    *err = (struct adl_error){0};
    return command_call(&adl_command_localize, words, "video.out", err);
}

/* Compares the lines of the video with those of the pictures, of the same names. */
static void compare_lines(double fps)
{
    struct adl_error err = {0};
    const char *const words[] = {"-m", scratch_path("model.safetensors"), "--json",
                                 scratch_path("in"), NULL};
    TEST_OK(command_call(&adl_command_localize, words, "images.out", &err), &err);
    FILE *video = fopen(scratch_path("video.out"), "r");
    FILE *images = fopen(scratch_path("images.out"), "r");
    CU_ASSERT_FATAL(video && images);
    for (int i = 0; i < FRAMES; i++) {
        json_t *line = json_loadf(video, JSON_DISABLE_EOF_CHECK, NULL);
        json_t *image = json_loadf(images, JSON_DISABLE_EOF_CHECK, NULL);
        json_t *first = json_array_get(json_object_get(line, "predictions"), 0);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(line, "frame")), i);
        CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(line, "time")), i / fps, 5.1e-4);
        json_t *smoothed = json_object_get(first, "smoothed");
        json_t *raw = json_array_get(json_object_get(first, "boxes"), 0);
        CU_ASSERT(json_equal(json_object_get(smoothed, "x0"), json_object_get(raw, "x0")) &&
                  json_equal(json_object_get(smoothed, "y1"), json_object_get(raw, "y1")));
        json_object_del(first, "smoothed");
        CU_ASSERT(json_equal(json_object_get(line, "image"), json_object_get(image, "image")));
        json_t *expected = json_object_get(image, "predictions");
        const char *label = "class_id";
        json_t *of_image = json_array_get(expected, 0);
        CU_ASSERT(json_equal(json_object_get(first, label), json_object_get(of_image, label)));
        CU_ASSERT(json_equal(json_object_get(first, "boxes"), json_object_get(of_image, "boxes")));
        CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(first, "score")),
                               json_number_value(json_object_get(of_image, "score")), 1e-6);
        json_decref(line);
        json_decref(image);
    }
    CU_ASSERT_EQUAL(fgetc(video) == '\n' ? fgetc(video) : EOF, EOF);
    fclose(video);
    fclose(images);
}

static void frames_have_the_answers_of_pictures(void)
{
    struct adl_error err;
    make_frames("localize-video");
    fake_ffmpeg("cat frames.ppm");
    TEST_OK(run_video(scratch_path("-y.mp4"), "12.5", &err), &err);
    real_path();
    compare_lines(12.5);
}

/* Returns whether ffmpeg got these two words one after the other. */
static bool ffmpeg_got(const char *option, const char *value)
{
    FILE *file = fopen(scratch_path("words"), "r");
    char line[4200], before[4200] = "";
    bool found = false;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        found |= !strcmp(before, option) && !strcmp(line, value);
        snprintf(before, sizeof before, "%s", line);
    }
    if (file)
        fclose(file);
    return found;
}

static void a_name_is_a_name(void)
{
    struct adl_error err;
    make_frames("localize-video-names");
    fake_ffmpeg("cat frames.ppm");
    /* In the current directory, as a person would type it. */
    static const char *const names[] = {"-y.mp4", "concat:a|b.mp4", "$(touch owned);.mp4"};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        fclose(scratch_file(names[i], "w"));
        char expected[4200];
        snprintf(expected, sizeof expected, "file:%s", scratch_path("%s", names[i]));
        TEST_OK(run_video(scratch_path("%s", names[i]), "5", &err), &err);
        CU_ASSERT(ffmpeg_got("-i", expected));
        CU_ASSERT(ffmpeg_got("-protocol_whitelist", "file"));
    }
    CU_ASSERT(access(scratch_path("owned"), F_OK) < 0);
    CU_ASSERT_EQUAL(run_video("http://127.0.0.1:1/clip.mp4", "5", &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOT_FOUND);
    real_path();
}

/* Counts the lines that were printed. */
static int lines_out(void)
{
    FILE *file = fopen(scratch_path("video.out"), "r");
    int lines = 0, c;
    while (file && (c = fgetc(file)) != EOF)
        lines += c == '\n';
    if (file)
        fclose(file);
    return lines;
}

static void what_is_wrong_is_said(void)
{
    static const struct {
        const char *commands, *words;
        enum adl_error_kind kind;
        int lines;
    } cases[] = {
        {"cat frames.ppm; printf 'first\\nthe moov\\tatom is lost\\n' >&2; exit 3",
         "moov atom is lost", ADL_ERR_FORMAT, FRAMES},
        {"exit 0", "no frame", ADL_ERR_FORMAT, 0},
        {"head -c 30000 frames.ppm", "within a frame after 2 frames", ADL_ERR_FORMAT, 2},
        {"head -c 12020 frames.ppm; head -c 99 /dev/zero", "no frame", ADL_ERR_FORMAT, 1},
        {"printf 'P6\\n99999 99999\\n255\\n'", "larger than the limit", ADL_ERR_LIMIT, 0},
        {"printf 'P6\\n-3 5\\n255\\n'", "no frame", ADL_ERR_FORMAT, 0},
        {"printf 'P5\\n3 5\\n255\\n'; cat frames.ppm", "no frame", ADL_ERR_FORMAT, 0},
        {"cat frames.ppm; kill -9 $$", "signal 9", ADL_ERR_IO, FRAMES},
        /* More words than a pipe holds must not stop it. */
        {"cat frames.ppm; head -c 300000 /dev/zero | tr '\\0' x >&2; echo >&2; echo done >&2; exit "
         "1",
         "done", ADL_ERR_FORMAT, FRAMES},
    };
    make_frames("localize-video-errors");
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err;
        fake_ffmpeg(cases[i].commands);
        int result = run_video(scratch_path("-y.mp4"), "5", &err);
        real_path();
        if (result == 0 || err.kind != cases[i].kind || !strstr(err.message, cases[i].words))
            TEST_FAIL("%s: %d, %s: %s", cases[i].commands, result, test_error_kind(err.kind),
                      err.message);
        CU_ASSERT_EQUAL(lines_out(), cases[i].lines);
    }
    struct adl_error err;
    snprintf(path_before, sizeof path_before, "%s", getenv("PATH"));
    setenv("PATH", scratch_path("empty"), 1);
    CU_ASSERT_EQUAL(run_video(scratch_path("-y.mp4"), "5", &err), -1);
    real_path();
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND && strstr(err.message, "apt-get install ffmpeg"));
    CU_ASSERT_EQUAL(run_video(scratch_path("none.mp4"), "5", &err), -1);
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND && strstr(err.message, "none.mp4"));
}

/* A video without loss, of the same frames, through the program itself. */
static void the_real_ffmpeg_gives_the_same(void)
{
    char command[6000];
    struct adl_error err;
    make_frames("localize-video-real");
    if (system("command -v ffmpeg >/dev/null") != 0) {
        test_skip("ffmpeg is not installed");
        return;
    }
    snprintf(command, sizeof command,
             "cd '%s' && ffmpeg -nostdin -loglevel error -framerate 10 -i in/%%02d.png -c:v ffv1 "
             "-pix_fmt bgr0 clip.mkv",
             scratch_root());
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    TEST_OK(run_video(scratch_path("clip.mkv"), "10", &err), &err);
    compare_lines(10);
    TEST_OK(run_video(scratch_path("clip.mkv"), "5", &err), &err);
    CU_ASSERT(lines_out() == FRAMES / 2 || lines_out() == FRAMES / 2 + 1);
    CU_ASSERT_EQUAL(run_video(scratch_path("model.safetensors"), "10", &err), -1);
    CU_ASSERT(err.kind == ADL_ERR_FORMAT && strstr(err.message, "no frame"));
}

static void options_of_images_are_refused(void)
{
    static const char *const cases[][6] = {{"--video", "v", "x.jpg"},
                                           {"--video", "v", "--coco", "c.json"},
                                           {"--video", "v", "--boxes", "all"},
                                           {"--video", "v", "--fps", "0"},
                                           {"x.jpg", "--fps", "5"},
                                           {"--json"}};
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        CU_ASSERT_EQUAL(command_call(&adl_command_localize, cases[i], "out", &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
}

TEST_SUITE(localize_video,
           {"frames have the answers of pictures", frames_have_the_answers_of_pictures},
           {"a name is a name", a_name_is_a_name}, {"what is wrong is said", what_is_wrong_is_said},
           {"the real ffmpeg gives the same", the_real_ffmpeg_gives_the_same},
           {"options of images are refused", options_of_images_are_refused});
