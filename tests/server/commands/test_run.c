/* `run` and what it draws: read back by decoders of each form, and shown to a terminal that answers
 * in different ways. */

#include "support/test.h"

#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "io/file.h"
#include "server/commands/hint.h"
#include "server/commands/terminal.h"
#include "server/http/multipart.h"
#include "support/command_run.h"
#include "support/formula.h"
#include "support/golden.h"
#include "support/scratch.h"

static const struct adl_terminal terminal = {
    .best = ADL_SHOW_NONE, .columns = 40, .rows = 23, .cell_w = 4, .cell_h = 8};

static struct adl_image picture(int width, int height)
{
    struct adl_error err = {0};
    struct adl_image image;

    TEST_OK(adl_image_init(&image, width, height, &err), &err);
    formula_picture("run", height, width, image.rgb);
    return image;
}

static struct adl_str draw(const struct adl_image *image, enum adl_show form)
{
    struct adl_error err = {0};
    struct adl_str text = {0};

    TEST_OK(adl_terminal_draw(&terminal, form, image, &text, &err), &err);
    return text;
}

/* --- forms ---------------------------------------------------------------------------- */

/* Kitty gets a PNG of the size that fits: 40 x 4 by 20 x 8 pixels at most. */
static void draws_kitty(void)
{
    struct adl_image image = picture(320, 240), shown, wanted;
    struct adl_str text = draw(&image, ADL_SHOW_KITTY), all = {0};
    struct adl_error err = {0};
    size_t pieces = 0, length;

    for (const char *at = text.data; (at = strstr(at, "\033_G")); pieces++) {
        const char *data = strchr(at, ';') + 1, *end = strstr(data, "\033\\");
        const bool more = strstr(at, "m=1;") && strstr(at, "m=1;") < data;
        CU_ASSERT_EQUAL(more, strstr(end, "\033_G") != NULL);
        CU_ASSERT(end - data <= 4096);
        CU_ASSERT_EQUAL(pieces == 0, strncmp(at, "\033_Ga=T,f=100,", 13) == 0);
        adl_str_append(&all, data, (size_t)(end - data));
        at = end;
    }
    CU_ASSERT(pieces > 1);
    void *png = golden_base64(all.data, &length);
    TEST_OK(adl_image_decode(png, length, NULL, &shown, NULL, &err), &err);
    TEST_OK(adl_image_resize(&image, 160, 120, &wanted, &err), &err);
    CU_ASSERT(shown.width == 160 && shown.height == 120);
    CU_ASSERT(!memcmp(shown.rgb, wanted.rgb, 3 * 160 * 120));
    adl_image_release(&shown);
    adl_image_release(&wanted);
    adl_image_release(&image);
    adl_free(png);
    adl_str_release(&all);
    adl_str_release(&text);
}

/* Reads sixel graphics into `rgb`; false if they are malformed or a pixel is missing. */
static bool read_sixel(const char *text, int width, int height, unsigned char *rgb)
{
    unsigned char palette[256][3] = {{0}};
    bool *seen = calloc((size_t)width * (size_t)height, 1);
    int x = 0, top = 0, colour = 0, a, b, c, d, used;
    bool good =
        sscanf(text, "\033Pq\"1;1;%d;%d%n", &a, &b, &used) == 2 && a == width && b == height;

    for (const char *at = text + used; good && *at != '\033';) {
        int count = 1;
        if (sscanf(at, "#%d;2;%d;%d;%d%n", &a, &b, &c, &d, &used) == 4) {
            palette[a][0] = (unsigned char)(b * 255 / 100);
            palette[a][1] = (unsigned char)(c * 255 / 100);
            palette[a][2] = (unsigned char)(d * 255 / 100);
            at += used;
        } else if (sscanf(at, "#%d%n", &colour, &used) == 1) {
            at += used;
        } else if (*at == '$') {
            x = 0;
            at++;
        } else if (*at == '-') {
            x = 0;
            top += 6;
            at++;
        } else {
            if (sscanf(at, "!%d%n", &count, &used) == 1)
                at += used;
            for (; good && count > 0; count--, x++)
                for (int y = 0; y < 6; y++)
                    if ((*at - 63) >> y & 1) {
                        const size_t i = (size_t)(top + y) * (size_t)width + (size_t)x;
                        good = x < width && top + y < height && !seen[i];
                        if (!good)
                            break;
                        seen[i] = true;
                        memcpy(rgb + 3 * i, palette[colour], 3);
                    }
            at++;
        }
    }
    for (int i = 0; good && i < width * height; i++)
        good = seen[i];
    free(seen);
    return good;
}

/* Every pixel is set once, is near its colour, and an even area keeps its mean. */
static void draws_sixel(void)
{
    struct adl_image image = picture(101, 57);
    struct adl_error err = {0};
    unsigned char *rgb = malloc(3 * 101 * 57);
    struct adl_str text = draw(&image, ADL_SHOW_SIXEL);

    (void)err;
    CU_ASSERT_FATAL(read_sixel(text.data, 101, 57, rgb));
    for (size_t i = 0; i < 3 * 101 * 57; i++)
        if (abs(rgb[i] - image.rgb[i]) > 52) {
            TEST_FAIL("value %zu is %d, not %d", i, rgb[i], image.rgb[i]);
            break;
        }
    adl_str_release(&text);
    for (int grey = 0; grey < 256; grey += 17) {
        long sum = 0;
        memset(image.rgb, grey, 3 * 101 * 57);
        text = draw(&image, ADL_SHOW_SIXEL);
        CU_ASSERT(read_sixel(text.data, 101, 57, rgb));
        for (size_t i = 0; i < 3 * 101 * 57; i++)
            sum += rgb[i];
        CU_ASSERT_DOUBLE_EQUAL((double)sum / (3 * 101 * 57), grey, 4);
        adl_str_release(&text);
    }
    free(rgb);
    adl_image_release(&image);
}

/* Half blocks in 24 bits have the pixels of the scaled picture, two a character. */
static void draws_blocks(void)
{
    struct adl_image image = picture(80, 50), wanted;
    struct adl_error err = {0};
    struct adl_str text = draw(&image, ADL_SHOW_BLOCKS);
    const char *at = text.data;

    TEST_OK(adl_image_resize(&image, 40, 25, &wanted, &err), &err);
    for (int y = 0; y < 25; y += 2) {
        for (int x = 0; x < 40; x++) {
            for (int half = 0; half < 2 && y + half < 25; half++) {
                const uint8_t *rgb = wanted.rgb + 3 * ((y + half) * 40 + x);
                int ground, r, g, b, used = 0;
                CU_ASSERT_EQUAL_FATAL(
                    sscanf(at, "\033[%d;2;%d;%d;%dm%n", &ground, &r, &g, &b, &used), 4);
                CU_ASSERT(ground == (half ? 48 : 38) && r == rgb[0] && g == rgb[1] && b == rgb[2]);
                at += used;
            }
            CU_ASSERT_FATAL(!strncmp(at, "\xE2\x96\x80", 3));
            at += 3;
        }
        CU_ASSERT_FATAL(!strncmp(at, "\033[0m\n", 5));
        at += 5;
    }
    CU_ASSERT_EQUAL(*at, 0);
    adl_str_release(&text);
    /* In 256 colours each is the nearest of the cube. */
    static const int levels[] = {0, 95, 135, 175, 215, 255};
    struct adl_image dot = picture(1, 1);
    for (int v = 0; v < 256; v++) {
        int code, best = 0;
        memset(dot.rgb, v, 3);
        text = draw(&dot, ADL_SHOW_256);
        CU_ASSERT_EQUAL_FATAL(sscanf(text.data, "\033[38;5;%dm", &code), 1);
        for (int i = 1; i < 6; i++)
            if (abs(levels[i] - v) < abs(levels[best] - v))
                best = i;
        code = (code - 16) / 43;
        CU_ASSERT_EQUAL(abs(levels[code] - v), abs(levels[best] - v));
        adl_str_release(&text);
    }
    adl_image_release(&dot);
    adl_image_release(&wanted);
    adl_image_release(&image);
}

static void hides_commands_in_texts(void)
{
    struct adl_str text = {0};

    adl_terminal_text("a\033]0;b\a\n\x7f\xC2\x9B"
                      "31mc\xC3\xA9\xE2\x80\x94",
                      &text);
    CU_ASSERT_STRING_EQUAL(text.data, "a?]0;b????31mc\xC3\xA9\xE2\x80\x94");
    adl_str_release(&text);
}

static void reads_answers(void)
{
    static const struct {
        const char *text;
        enum adl_show found;
        bool complete;
    } cases[] = {
        {"", ADL_SHOW_NONE, false},
        {"\033[?62;c", ADL_SHOW_NONE, true},
        {"\033[?62;4;22c", ADL_SHOW_SIXEL, true},
        {"\033[?62;4c", ADL_SHOW_SIXEL, true},
        {"\033[?4c", ADL_SHOW_SIXEL, true},
        {"\033[?62;14;24;44c", ADL_SHOW_NONE, true},
        {"\033[?62;4", ADL_SHOW_NONE, false},
        {"\033_Gi=31;OK\033\\", ADL_SHOW_KITTY, false},
        {"\033_Gi=31;OK\033\\\033[?62c", ADL_SHOW_KITTY, true},
        {"\033_Gi=31;ENOTSUP\033\\\033[?62;4c", ADL_SHOW_SIXEL, true},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        bool complete;
        if (adl_terminal_read_answer(cases[i].text, strlen(cases[i].text), &complete) !=
                cases[i].found ||
            complete != cases[i].complete)
            TEST_FAIL("case %zu", i);
    }
}

/* --- the command --------------------------------------------------------------------------- */

/* Runs the program in a terminal, which sends `answer` when it is asked (NULL: never); returns what
 * it shows. */
static char *show(const char *const *environment, const char *const *arguments, const char *answer)
{
    struct winsize size = {.ws_row = 23, .ws_col = 40, .ws_xpixel = 160, .ws_ypixel = 184};
    struct adl_str text = {0};
    char buffer[4096];
    bool answered = false;
    int fd, status;
    const pid_t child = forkpty(&fd, NULL, NULL, &size);

    if (child == 0) {
        execve(program_path(), (char *const *)arguments, (char *const *)environment);
        _exit(127);
    }
    CU_ASSERT_FATAL(child > 0);
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ssize_t got;
        if (poll(&wait, 1, 20000) <= 0 || (got = read(fd, buffer, sizeof buffer)) <= 0)
            break;
        adl_str_append(&text, buffer, (size_t)got);
        if (!answered && answer && strstr(text.data, "\033[c")) {
            answered = true;
            CU_ASSERT(write(fd, answer, strlen(answer)) == (ssize_t)strlen(answer));
        }
    }
    close(fd);
    waitpid(child, &status, 0);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return text.data;
}

static void shows_what_the_terminal_can(void)
{
    static const struct {
        const char *environment[3];
        const char *answer;
        const char *shown, *hidden;
    } cases[] = {
        {{"TERM=xterm"}, "\033_Gi=31;OK\033\\\033[?62c", "\033_Ga=T", "\033P"},
        {{"TERM=xterm"}, "\033[?62;4c", "\033Pq", "\033_Ga=T"},
        {{"TERM=xterm", "COLORTERM=truecolor"}, "\033[?62c", "\033[38;2;", "\033P"},
        {{"TERM=xterm"}, "\033[?62c", "\033[38;5;", "\033[38;2;"},
        {{"TERM=xterm"}, NULL, "\033[38;5;", "\033P"},
        {{"TERM=xterm-kitty"}, NULL, "\033_Ga=T", "\033[c"},
        {{"TERM=tmux-256color"}, NULL, "\033[38;5;", "\033[c"},
        {{"TERM=dumb"}, NULL, "umbrella", "\033"},
        {{"TERM=xterm", "NO_COLOR=1"}, NULL, "umbrella", "\033"},
    };
    if (!program_exists())
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char *text = show(cases[i].environment,
                          (const char *[]){"adl-server", "run", "web/examples/umbrella.jpg", NULL},
                          cases[i].answer);
        if (!text || !strstr(text, cases[i].shown) || strstr(text, cases[i].hidden) ||
            !strstr(text, "umbrella.jpg  umbrella  "))
            TEST_FAIL("case %zu", i);
        adl_free(text);
    }
}

/* Off a terminal there are lines alone, with the boxes of `localize`. */
static void prints_lines_elsewhere(void)
{
    char name[300];

    if (!program_exists())
        return;
    struct command_result lines =
        RUN("run", "web/examples/umbrella.jpg", "web/examples/starfish.jpg");
    struct command_result table =
        RUN("localize", "web/examples/umbrella.jpg", "web/examples/starfish.jpg");
    int x0, y0, x1, y1, a, b, c, d;
    CU_ASSERT_EQUAL(lines.status, 0);
    CU_ASSERT_EQUAL(command_lines(lines.out), 2);
    CU_ASSERT_EQUAL(sscanf(lines.out, "%299s umbrella %*f%% %d,%d-%d,%d", name, &x0, &y0, &x1, &y1),
                    5);
    CU_ASSERT_EQUAL(sscanf(table.out, "%299s %*f%% umbrella %d,%d-%d,%d", name, &a, &b, &c, &d), 5);
    CU_ASSERT(x0 == a && y0 == b && x1 == c && y1 == d);
    command_release(&lines);
    command_release(&table);
    struct command_result half = RUN("run", "web/examples/umbrella.jpg", "models/README.md");
    CU_ASSERT_EQUAL(half.status, 1);
    CU_ASSERT_EQUAL(command_lines(half.out), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(half.err, "models/README.md"));
    command_release(&half);
    command_expect(RUN("run", "/no/such.jpg"), 1, "a missing image");
    command_expect(RUN("run"), 2, "no image");
}

static void saves_overlays(void)
{
    struct adl_error err = {0};
    struct adl_image_info info;
    struct adl_image image;
    size_t length;

    if (!program_exists())
        return;
    const char *file = command_path("run.png"), *folder = command_path("run-folder");
    command_expect(RUN("run", "--save", file, "web/examples/umbrella.jpg"), 0, "--save FILE");
    void *bytes = adl_file_read(file, 10 << 20, &length, &err);
    TEST_OK(bytes ? 0 : -1, &err);
    TEST_OK(adl_image_decode(bytes, length, NULL, &image, &info, &err), &err);
    CU_ASSERT(info.type == ADL_IMAGE_PNG && info.width == 420 && info.height == 420);
    adl_image_release(&image);
    adl_free(bytes);
    command_expect(RUN("run", "--save", folder, "web/examples/umbrella.jpg",
                       "web/examples/small/umbrella.webp"),
                   0, "--save DIR");
    for (int i = 1; i < 3; i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/umbrella%s.jpg", folder, i == 1 ? "" : "-2");
        bytes = adl_file_read(path, 10 << 20, &length, &err);
        TEST_OK(bytes ? 0 : -1, &err);
        TEST_OK(adl_image_decode(bytes, length, NULL, &image, &info, &err), &err);
        CU_ASSERT_EQUAL(info.type, ADL_IMAGE_JPEG);
        adl_image_release(&image);
        adl_free(bytes);
    }
    command_expect(RUN("run", "--save", "web/examples/umbrella.jpg", "web/examples/umbrella.jpg"),
                   2, "overwriting an input");
}

/* --- hints ------------------------------------------------------------------------------------ */

static void hints_at_remedies(void)
{
    static const struct {
        enum adl_error_kind kind;
        const char *message, *words;
    } cases[] = {
        {ADL_ERR_ARG, "--x: unknown option", "adl-server help serve"},
        {ADL_ERR_IO, "--listen 127.0.0.1:80: Address already in use", "--listen 127.0.0.1:0"},
        {ADL_ERR_NOT_FOUND, "x.jpg: No such file or directory", "relative to /"},
        {ADL_ERR_NOMEM, "there is not enough memory", "doctor"},
        {ADL_ERR_INTERNAL, "something", NULL},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {.kind = cases[i].kind};
        char text[400];
        snprintf(err.message, sizeof err.message, "%s", cases[i].message);
        const char *hint = adl_hint("serve", &err, text, sizeof text);
        if ((hint != NULL) != (cases[i].words != NULL) || (hint && !strstr(hint, cases[i].words)))
            TEST_FAIL("%s: %s", cases[i].message, hint ? hint : "no hint");
    }
}

TEST_SUITE(run, {"draws kitty graphics", draws_kitty}, {"draws sixel graphics", draws_sixel},
           {"draws half blocks", draws_blocks},
           {"hides commands in texts", hides_commands_in_texts},
           {"reads answers of terminals", reads_answers},
           {"shows what the terminal can", shows_what_the_terminal_can},
           {"prints lines elsewhere", prints_lines_elsewhere}, {"saves overlays", saves_overlays},
           {"hints at remedies", hints_at_remedies});
