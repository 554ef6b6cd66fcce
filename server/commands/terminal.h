#ifndef ADL_SERVER_COMMANDS_TERMINAL_H
#define ADL_SERVER_COMMANDS_TERMINAL_H

/* What the terminal can show, and pictures in the form that it takes. */

#include <stdbool.h>

#include "base/str.h"
#include "image/image.h"

/* How a picture is shown; the names are those of `run --show`. */
enum adl_show {
    ADL_SHOW_AUTO,
    ADL_SHOW_KITTY,  /* the graphics protocol of kitty: the picture as a PNG */
    ADL_SHOW_SIXEL,  /* DEC's: six rows of pixels a character, in a palette */
    ADL_SHOW_BLOCKS, /* two pixels in each character cell, in 24-bit colours */
    ADL_SHOW_256,    /* the same in the 256 colours of xterm */
    ADL_SHOW_NONE
};
extern const char *const adl_show_names[]; /* "auto", "kitty", ..., NULL */

struct adl_terminal {
    enum adl_show best; /* never ADL_SHOW_AUTO */
    int columns, rows;  /* of characters */
    int cell_w, cell_h; /* of a character, in pixels, or a guess */
};

/* Returns whether text on a descriptor may be coloured: it is a terminal that has colours, and
 * NO_COLOR (https://no-color.org) is not set. */
bool adl_terminal_coloured(int fd);

/* Finds out what the terminal that standard output is can show: from the environment, and by asking
 * it, which takes 200 ms at most if it does not answer. Shows nothing if standard output is no
 * terminal or NO_COLOR is set. */
void adl_terminal_probe(struct adl_terminal *terminal);

/* Returns what an answer of the terminal to the queries says: ADL_SHOW_KITTY, ADL_SHOW_SIXEL or
 * ADL_SHOW_NONE; *complete says whether the answer to the last query, on its attributes, is there.
 * Sources: kitty, "Terminal graphics protocol"; xterm, "Control Sequences", DA1. */
enum adl_show adl_terminal_read_answer(const char *text, size_t length, bool *complete);

/* Appends the picture, scaled down to the terminal, in a form other than ADL_SHOW_AUTO. Fails as
 * adl_image_resize() and adl_image_encode_png() do. */
int adl_terminal_draw(const struct adl_terminal *terminal, enum adl_show form,
                      const struct adl_image *image, struct adl_str *out,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Appends a text of unknown origin, with '?' for every character that could command a terminal. */
void adl_terminal_text(const char *text, struct adl_str *out);

#endif
