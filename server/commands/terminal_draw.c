/* Pictures in the forms that terminals take; see terminal.h.
 *
 *   kitty   ESC _ G keys ; base64 of a PNG, in pieces of 4096 bytes ESC \
 *   sixel   ESC P q, a palette, then bands of six rows: for each colour of the band a character a
 *           column, whose six bits are the pixels of this colour; ESC \
 *   blocks  the upper half block, its foreground the upper pixel and its background the lower one
 *
 * Sixel has a palette of 6 x 6 x 6 colours, as most terminals have 256 registers. An ordered
 * pattern of 4 x 4 thresholds is added before rounding to it, so that even areas look even. */

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/commands/terminal.h"

#define KITTY_PIECE 4096
#define LEVELS 6
#define COLOURS (LEVELS * LEVELS * LEVELS)
#define BAND 6
/* Rows that stay free for the line of text and the prompt. */
#define TEXT_ROWS 3

static const uint8_t *pixel(const struct adl_image *image, int x, int y)
{
    return image->rgb + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
}

/* Scales a picture down to at most most_w x most_h pixels. */
static int fit(const struct adl_image *image, int most_w, int most_h, struct adl_image *out,
               struct adl_error *err)
{
    double scale = 1;

    scale = ADL_MIN(scale, (double)most_w / image->width);
    scale = ADL_MIN(scale, (double)most_h / image->height);
    return adl_image_resize(image, ADL_MAX(1, (int)(image->width * scale)),
                            ADL_MAX(1, (int)(image->height * scale)), out, err);
}

/* --- blocks ---------------------------------------------------------------------------- */

/* Returns the nearest colour of the cube in xterm's 256 colours: 16 + 36 r + 6 g + b, whose levels
 * are 0, 95, 135, 175, 215 and 255. */
static int cube(const uint8_t *rgb)
{
    int colour = 0;

    for (int c = 0; c < 3; c++) {
        const int level = rgb[c] < 48 ? 0 : rgb[c] < 115 ? 1 : (rgb[c] - 35) / 40;
        colour = LEVELS * colour + level;
    }
    return 16 + colour;
}

static void put_colour(struct adl_str *out, int ground, const uint8_t *rgb, bool all_colours)
{
    if (all_colours)
        adl_str_printf(out, "\033[%d;2;%d;%d;%dm", ground, rgb[0], rgb[1], rgb[2]);
    else
        adl_str_printf(out, "\033[%d;5;%dm", ground, cube(rgb));
}

static void draw_blocks(const struct adl_image *image, bool all_colours, struct adl_str *out)
{
    for (int y = 0; y < image->height; y += 2) {
        for (int x = 0; x < image->width; x++) {
            put_colour(out, 38, pixel(image, x, y), all_colours);
            if (y + 1 < image->height)
                put_colour(out, 48, pixel(image, x, y + 1), all_colours);
            adl_str_puts(out, "\xE2\x96\x80"); /* U+2580, upper half block */
        }
        adl_str_puts(out, "\033[0m\n");
    }
}

/* --- kitty ------------------------------------------------------------------------------- */

static int draw_kitty(const struct adl_image *image, struct adl_str *out, struct adl_error *err)
{
    struct adl_str text = {0};
    size_t length;
    void *png;

    if (adl_image_encode_png(image, &png, &length, err) < 0)
        return -1;
    adl_str_base64(&text, png, length);
    adl_free(png);
    for (size_t at = 0; at < text.length; at += KITTY_PIECE) {
        const size_t piece = ADL_MIN(text.length - at, (size_t)KITTY_PIECE);
        adl_str_printf(out, "\033_G%sm=%d;", at ? "" : "a=T,f=100,q=2,", at + piece < text.length);
        adl_str_append(out, text.data + at, piece);
        adl_str_puts(out, "\033\\");
    }
    adl_str_puts(out, "\n");
    out->failed |= text.failed;
    adl_str_release(&text);
    return 0;
}

/* --- sixel ------------------------------------------------------------------------------ */

/* Returns the colour of the palette for a pixel at x, y. */
static int quantise(const uint8_t *rgb, int x, int y)
{
    static const int pattern[4][4] = {{0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}};
    const int threshold = pattern[y & 3][x & 3];
    int colour = 0;

    /* A level is 51; the pattern moves a value by less than one of them. */
    for (int c = 0; c < 3; c++)
        colour = LEVELS * colour + (rgb[c] * 16 + threshold * 51) / (51 * 16);
    return colour;
}

/* Appends `count` times a character of sixel. */
static void put_run(struct adl_str *out, char c, int count)
{
    if (count > 3)
        adl_str_printf(out, "!%d%c", count, c);
    else
        for (; count > 0; count--)
            adl_str_append(out, &c, 1);
}

/* Draws the pixels of one colour in a band; `colours` has BAND rows of `width`. */
static void put_band(struct adl_str *out, const uint8_t *colours, int width, int rows, int colour)
{
    char last = 0;
    int count = 0;

    for (int x = 0; x < width; x++) {
        int bits = 0;
        for (int y = 0; y < rows; y++)
            bits |= (colours[y * width + x] == colour) << y;
        const char c = (char)(63 + bits);
        if (c != last && count > 0) {
            put_run(out, last, count);
            count = 0;
        }
        last = c;
        count++;
    }
    put_run(out, last, count);
}

static int draw_sixel(const struct adl_image *image, struct adl_str *out, struct adl_error *err)
{
    uint8_t *colours = adl_malloc((size_t)BAND * (size_t)image->width, 1);

    if (!colours)
        return adl_fail_nomem(err, "a picture for the terminal");
    adl_str_printf(out, "\033Pq\"1;1;%d;%d", image->width, image->height);
    for (int i = 0; i < COLOURS; i++)
        adl_str_printf(out, "#%d;2;%d;%d;%d", i, i / 36 * 20, i / 6 % 6 * 20, i % 6 * 20);
    for (int top = 0; top < image->height; top += BAND) {
        const int rows = ADL_MIN(BAND, image->height - top);
        bool used[COLOURS] = {false}, first = true;
        for (int y = 0; y < rows; y++)
            for (int x = 0; x < image->width; x++) {
                const int colour = quantise(pixel(image, x, top + y), x, top + y);
                colours[y * image->width + x] = (uint8_t)colour;
                used[colour] = true;
            }
        for (int i = 0; i < COLOURS; i++) {
            if (!used[i])
                continue;
            adl_str_printf(out, "%s#%d", first ? "" : "$", i);
            put_band(out, colours, image->width, rows, i);
            first = false;
        }
        adl_str_puts(out, "-");
    }
    adl_str_puts(out, "\033\\\n");
    adl_free(colours);
    return 0;
}

/* --- all ------------------------------------------------------------------------------------ */

int adl_terminal_draw(const struct adl_terminal *terminal, enum adl_show form,
                      const struct adl_image *image, struct adl_str *out, struct adl_error *err)
{
    const bool cells = form == ADL_SHOW_BLOCKS || form == ADL_SHOW_256;
    const int rows = ADL_MAX(1, terminal->rows - TEXT_ROWS);
    struct adl_image small;
    int result = 0;

    if (form == ADL_SHOW_NONE)
        return 0;
    if (fit(image, terminal->columns * (cells ? 1 : terminal->cell_w),
            rows * (cells ? 2 : terminal->cell_h), &small, err) < 0)
        return -1;
    if (cells)
        draw_blocks(&small, form == ADL_SHOW_BLOCKS, out);
    else if (form == ADL_SHOW_KITTY)
        result = draw_kitty(&small, out, err);
    else
        result = draw_sixel(&small, out, err);
    adl_image_release(&small);
    return result;
}
