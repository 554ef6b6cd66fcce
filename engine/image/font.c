/* A stroke font, so that labels need neither a font file nor a font library: 95 characters as
 * polylines on a grid of up to 10 x 17 units. A pixel's coverage follows from its distance to
 * the nearest stroke: full half a pixel inside the pen's edge, none half a pixel outside it,
 * and linear in between. That is antialiasing without supersampling, at any size, for the cost of a
 * distance to each segment of the glyph; labels are short, so nothing is cached. */

#include "image/font.h"

#include <math.h>

#include "base/size.h"

/* In units of the grid: height of a capital, half the pen's width, and the space between two
 * characters. */
#define CAPITAL_UNITS 12.0f
#define PEN_RADIUS_UNITS 0.95f
#define GAP_UNITS 3.6f

/* ASCII 32 to 126. First comes the width in units, then the strokes, separated by blanks. A
 * stroke is a path of points, each a digit for x and a letter for y, from `a` downwards.
 * Capitals reach from a to m, lower-case letters from e to m with descenders to q. A stroke of
 * one point is a dot. */
static const char *const glyphs[] = {
    /* clang-format off */
    "4", /*   */
    "0 0a0i 0m", /* ! */
    "3 0a0d 3a3d", /* " */
    "8 3b2l 6b5l 0e8e 0i8i", /* # */
    "7 7c5b2b0c0e2f5g7i7k5l2l0k 3a3m", /* $ */
    "8 8a0m 1a2a3b3d2e1e0d0b1a 6i7i8j8l7m6m5l5j6i", /* % */
    "8 8m1d1b2a4a5b5d0h0k2m5m8i", /* & */
    "0 0a0d", /* ' */
    "2 2a0d0l2o", /* ( */
    "2 0a2d2l0o", /* ) */
    "6 3a3g 0b6f 6b0f", /* * */
    "6 3d3j 0g6g", /* + */
    "1 1m0o", /* , */
    "5 0g5g", /* - */
    "0 0m", /* . */
    "5 5a0m", /* / */
    "7 2a5a7d7j5m2m0j0d2a", /* 0 */
    "4 0d4a4m", /* 1 */
    "7 0c2a5a7c7e0m7m", /* 2 */
    "7 0b2a5a7c7d5f7h7k5m2m0l 3f5f", /* 3 */
    "8 6m6a0i8i", /* 4 */
    "7 7a1a0f2e5e7g7k5m2m0l", /* 5 */
    "7 6b5a3a0d0j2m5m7k7h5f2f0h", /* 6 */
    "7 0a7a2m", /* 7 */
    "7 2f0d0c2a5a7c7d5f2f0h0k2m5m7k7h5f", /* 8 */
    "7 1l2m4m7j7d5a2a0c0f2h5h7f", /* 9 */
    "0 0f 0m", /* : */
    "1 1f 1m0o", /* ; */
    "6 6c0g6k", /* < */
    "6 0e6e 0i6i", /* = */
    "6 0c6g0k", /* > */
    "6 0c2a4a6c6e3g3i 3m", /* ? */
    "9 6d6i8i9h9d6a3a0d0j3m7m 6e4d3f3h4i6h", /* @ */
    "8 0m4a8m 1i7i", /* A */
    "7 0f5f7h7k5m0m0a5a7c7d5f", /* B */
    "8 8c6a3a0d0j3m6m8k", /* C */
    "8 0a0m5m8j8d5a0a", /* D */
    "6 6a0a0m6m 0f5f", /* E */
    "6 6a0a0m 0f5f", /* F */
    "8 8c6a3a0d0j3m6m8k8g5g", /* G */
    "8 0a0m 8a8m 0f8f", /* H */
    "0 0a0m", /* I */
    "5 5a5k3m2m0k", /* J */
    "7 0a0m 7a0h 3e7m", /* K */
    "6 0a0m6m", /* L */
    "8 0m0a4h8a8m", /* M */
    "8 0m0a8m8a", /* N */
    "8 3a5a8d8j5m3m0j0d3a", /* O */
    "7 0m0a5a7c7e5g0g", /* P */
    "8 3a5a8d8j5m3m0j0d3a 5j8m", /* Q */
    "7 0m0a5a7c7e5g0g 4g7m", /* R */
    "7 7b5a2a0c0d2f5g7i7k5m2m0l", /* S */
    "8 0a8a 4a4m", /* T */
    "8 0a0j3m5m8j8a", /* U */
    "8 0a4m8a", /* V */
    "8 0a2m4d6m8a", /* W */
    "8 0a8m 8a0m", /* X */
    "8 0a4g8a 4g4m", /* Y */
    "7 0a7a0m7m", /* Z */
    "2 2a0a0o2o", /* [ */
    "5 0a5m", /* \ */
    "2 0a2a2o0o", /* ] */
    "6 0e3a6e", /* ^ */
    "7 0o7o", /* _ */
    "2 0a2c", /* ` */
    "6 6e6m 6g4e2e0g0k2m4m6k", /* a */
    "6 0a0m 0g2e4e6g6k4m2m0k", /* b */
    "5 5f4e2e0g0k2m4m5l", /* c */
    "6 6a6m 6g4e2e0g0k2m4m6k", /* d */
    "6 0i6i6g4e2e0g0k2m4m6l", /* e */
    "4 4a3a1c1m 0e4e", /* f */
    "6 6e6o4q2q0p 6g4e2e0g0k2m4m6k", /* g */
    "6 0a0m 0g2e4e6g6m", /* h */
    "0 0e0m 0b", /* i */
    "2 2e2o1q0q 2b", /* j */
    "5 0a0m 5e0j 2h5m", /* k */
    "1 0a0l1m", /* l */
    "8 0e0m 0g2e3e4g4m 4g6e7e8g8m", /* m */
    "6 0e0m 0g2e4e6g6m", /* n */
    "6 2e4e6g6k4m2m0k0g2e", /* o */
    "6 0e0q 0g2e4e6g6k4m2m0k", /* p */
    "6 6e6q 6g4e2e0g0k2m4m6k", /* q */
    "4 0e0m 0g2e4e", /* r */
    "5 5f4e1e0f0g1h4i5j5l4m1m0l", /* s */
    "4 1b1k2m4m 0e4e", /* t */
    "6 6e6m 0e0k2m4m6k", /* u */
    "6 0e3m6e", /* v */
    "8 0e2m4f6m8e", /* w */
    "6 0e6m 6e0m", /* x */
    "6 0e3m 6e2p0q", /* y */
    "5 0e5e0m5m", /* z */
    "3 3a2a1b1g0h1i1n2o3o", /* { */
    "0 0a0o", /* | */
    "3 0a1a2b2g3h2i2n1o0o", /* } */
    "6 0h1f2f4h5h6f", /* ~ */
    /* clang-format on */
};
static const char frame[] = "6 0b6b6m0m0b";

/* Returns the glyph of the character at *text and advances *text past it. Continuation bytes
 * of UTF-8 belong to the character before them. */
static const char *next_glyph(const char **text)
{
    unsigned char c = (unsigned char)*(*text)++;
    while (((unsigned char)**text & 0xc0) == 0x80)
        (*text)++;
    return c >= 32 && c < 127 ? glyphs[c - 32] : frame;
}

/* Returns the distance from the left end of a character to that of the next. */
static float advance_units(const char *glyph)
{
    return (float)(glyph[0] - '0') + GAP_UNITS;
}

float adl_font_width(const char *text, float height)
{
    float units = 0;
    while (*text)
        units += advance_units(next_glyph(&text));
    return ADL_MAX(units - GAP_UNITS, 0) * height / CAPITAL_UNITS;
}

/* Returns the squared distance of (x, y) from the segment a-b. */
static float distance_squared(float x, float y, const float a[2], const float b[2])
{
    float dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy;
    float t = length > 0 ? ((x - a[0]) * dx + (y - a[1]) * dy) / length : 0;
    t = ADL_MIN(ADL_MAX(t, 0), 1);
    float ex = x - a[0] - t * dx, ey = y - a[1] - t * dy;
    return ex * ex + ey * ey;
}

/* Returns the distance of (x, y) from the nearest stroke of the glyph, in units of the grid. */
static float distance_to_glyph(const char *glyph, float x, float y)
{
    float nearest = INFINITY;
    for (const char *p = glyph + 1; *p;) {
        if (*p == ' ') {
            p++;
            continue;
        }
        const float a[2] = {(float)(p[0] - '0'), (float)(p[1] - 'a')};
        const bool ends = p[2] == '\0' || p[2] == ' ';
        const float b[2] = {ends ? a[0] : (float)(p[2] - '0'), ends ? a[1] : (float)(p[3] - 'a')};
        const bool dot = ends && (p == glyph + 2 || p[-1] == ' ');
        if (!ends || dot) {
            float d = distance_squared(x, y, a, b);
            nearest = ADL_MIN(nearest, d);
        }
        p += 2;
    }
    return sqrtf(nearest);
}

static void draw_glyph(struct adl_image *image, const char *glyph, float left, float top,
                       float unit, const uint8_t color[3])
{
    const float margin = 2 * PEN_RADIUS_UNITS;
    const float radius = ADL_MAX(PEN_RADIUS_UNITS * unit, 0.6f);
    const float width = (float)(glyph[0] - '0'), height = CAPITAL_UNITS * (1 + ADL_FONT_DESCENT);
    const int x0 = (int)fmaxf(left - margin * unit, 0), y0 = (int)fmaxf(top - margin * unit, 0);
    const int x1 = (int)fminf(left + (width + margin) * unit + 1, (float)image->width);
    const int y1 = (int)fminf(top + (height + margin) * unit + 1, (float)image->height);

    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++) {
            float units = distance_to_glyph(glyph, ((float)x + 0.5f - left) / unit,
                                            ((float)y + 0.5f - top) / unit);
            float coverage = ADL_MIN(radius + 0.5f - units * unit, 1);
            uint8_t *rgb = image->rgb + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
            for (int c = 0; c < 3 && coverage > 0; c++)
                rgb[c] =
                    (uint8_t)((float)rgb[c] + ((float)color[c] - (float)rgb[c]) * coverage + 0.5f);
        }
    }
}

void adl_font_draw(struct adl_image *image, const char *text, float x, float y, float height,
                   const uint8_t color[3])
{
    const float unit = height / CAPITAL_UNITS;
    while (*text && x < (float)image->width) {
        const char *glyph = next_glyph(&text);
        draw_glyph(image, glyph, x, y, unit, color);
        x += advance_units(glyph) * unit;
    }
}
