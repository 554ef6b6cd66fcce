/* Overlays: heat map, boxes and label on the image that they belong to.
 *
 * The opacity of the heat map grows with its value, so that the object stands out and the
 * rest of the image is shaded less. A box is a bright frame with dark, partly transparent
 * edges, since either colour alone would vanish on some photographs. */

#include "image/overlay.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "image/bilinear.h"
#include "image/colormap.h"
#include "image/font.h"
#include "image/transliterate.h"

/* Sizes as fractions of the image's shorter side, and their minima in pixels. */
#define LINE_FRACTION 0.007f
#define LINE_MIN_PX 2
#define TEXT_FRACTION 0.036f
#define TEXT_MIN_PX 11.0f
/* What a text that is too long for its image is reduced to at most: smaller cannot be read. */
#define TEXT_LEAST_PX 8.0f
/* Letters of a label that are drawn at most; no image is wide enough for more. */
#define LABEL_BYTES 512

/* Opacity at a value of 0, as a fraction of that at 1: parts of value 0 are shaded a little
 * too. */
#define MIN_OPACITY 0.55f

/* The colour map has no cyan, and the dark edge beside it makes lines visible on skies and
 * snow. */
static const uint8_t line_color[3] = {64, 224, 255};
static const uint8_t edge_color[3] = {10, 16, 24};
#define EDGE_OPACITY 0.75f

struct rect {
    int x0, y0, x1, y1; /* ends exclusive */
};

static uint8_t *pixel_at(const struct adl_image *image, int x, int y)
{
    return image->rgb + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
}

/* Blends `over` onto `under`, rounded. */
static uint8_t mix(uint8_t under, float over, float opacity)
{
    return (uint8_t)((float)under + (over - (float)under) * opacity + 0.5f);
}

static void fill(struct adl_image *image, struct rect r, const uint8_t color[3], float opacity)
{
    r.x0 = ADL_MAX(r.x0, 0);
    r.y0 = ADL_MAX(r.y0, 0);
    r.x1 = ADL_MIN(r.x1, image->width);
    r.y1 = ADL_MIN(r.y1, image->height);
    for (int y = r.y0; y < r.y1; y++) {
        for (int x = r.x0; x < r.x1; x++) {
            uint8_t *rgb = pixel_at(image, x, y);
            for (int c = 0; c < 3; c++)
                rgb[c] = mix(rgb[c], color[c], opacity);
        }
    }
}

/* Draws a frame `thickness` pixels wide inside the edges of `r`. No pixel is drawn twice,
 * which would show where the colour is transparent. */
static void frame(struct adl_image *image, struct rect r, int thickness, const uint8_t color[3],
                  float opacity)
{
    if (r.x1 - r.x0 <= 2 * thickness || r.y1 - r.y0 <= 2 * thickness) {
        fill(image, r, color, opacity);
        return;
    }
    const int top = r.y0 + thickness, bottom = r.y1 - thickness;
    fill(image, (struct rect){r.x0, r.y0, r.x1, top}, color, opacity);
    fill(image, (struct rect){r.x0, bottom, r.x1, r.y1}, color, opacity);
    fill(image, (struct rect){r.x0, top, r.x0 + thickness, bottom}, color, opacity);
    fill(image, (struct rect){r.x1 - thickness, top, r.x1, bottom}, color, opacity);
}

static int shorter_side(const struct adl_image *image)
{
    return ADL_MIN(image->width, image->height);
}

static int line_width(const struct adl_image *image)
{
    return (int)fmaxf(roundf((float)shorter_side(image) * LINE_FRACTION), LINE_MIN_PX);
}

/* Boxes may extend beyond the image; clamping them keeps the arithmetic from overflowing. */
static int clamp_to(int value, int size)
{
    return ADL_MIN(ADL_MAX(value, -size), 2 * size);
}

static struct rect rect_of(const struct adl_image *image, const struct adl_overlay_box *box)
{
    return (struct rect){clamp_to(box->x0, image->width), clamp_to(box->y0, image->height),
                         clamp_to(box->x1, image->width) + 1, clamp_to(box->y1, image->height) + 1};
}

static struct rect grown(struct rect r, int by)
{
    return (struct rect){r.x0 - by, r.y0 - by, r.x1 + by, r.y1 + by};
}

/* Draws a bright frame with a dark edge on either side of its lines. */
static void draw_box(struct adl_image *image, const struct adl_overlay_box *box)
{
    const int width = line_width(image), edge = (width + 1) / 2;
    const struct rect r = rect_of(image, box);

    if (r.x0 >= r.x1 || r.y0 >= r.y1)
        return;
    frame(image, grown(r, edge), width + 2 * edge, edge_color, EDGE_OPACITY);
    frame(image, r, width, line_color, 1);
}

/* Draws the label on a filled tag above the box, or inside it if there is no space above,
 * never off the image. A text that is too long for the image is drawn smaller, down to half
 * the size or TEXT_LEAST_PX; if it is still too long, it is cut off. */
static void draw_label(struct adl_image *image, const char *name, const struct adl_overlay_box *box)
{
    char label[LABEL_BYTES];

    adl_transliterate(name, label, sizeof label);
    float height = fmaxf((float)shorter_side(image) * TEXT_FRACTION, TEXT_MIN_PX);
    float width = adl_font_width(label, height);
    const float available = (float)image->width - 1.4f * height;
    if (width > available && width > 0) {
        float fitting = fmaxf(height * available / width, fmaxf(height / 2, TEXT_LEAST_PX));
        width *= fitting / height;
        height = fitting;
    }
    const int pad = (int)ceilf(height * 0.65f);
    const int tag_width = (int)fminf(ceilf(width) + 2 * (float)pad, (float)image->width);
    const int tag_height = (int)ceilf(height * (1 + ADL_FONT_DESCENT / 2)) + 2 * pad;
    const struct rect r = box ? rect_of(image, box) : (struct rect){0, 0, 0, 0};
    const int edge = (line_width(image) + 1) / 2;

    int x = r.x0 - (box ? edge : 0), y = r.y0 - tag_height - (box ? edge : 0);
    if (y < 0)
        y = r.y0;
    x = ADL_MAX(ADL_MIN(x, image->width - tag_width), 0);
    y = ADL_MAX(ADL_MIN(y, image->height - tag_height), 0);
    const struct rect tag = {x, y, x + tag_width, y + tag_height};
    fill(image, tag, edge_color, 0.88f);
    fill(image, (struct rect){tag.x0, tag.y0, tag.x0 + ADL_MAX(pad / 3, 2), tag.y1}, line_color, 1);
    adl_font_draw(image, label, (float)(x + pad), (float)(y + pad), height,
                  (const uint8_t[3]){255, 255, 255});
}

/* Colours the enlarged map and blends it over every pixel. */
static int blend_heatmap(struct adl_image *image, const struct adl_overlay *overlay,
                         struct adl_error *err)
{
    const float opacity = fminf(fmaxf(overlay->opacity, 0), 1);
    const float glow = 1 - fminf(fmaxf(overlay->dimmed, 0), 1);
    struct adl_bilinear heat;
    int result = -1;

    ADL_TRY(adl_bilinear_init(&heat, overlay->heatmap, overlay->heatmap_width,
                              overlay->heatmap_height, image->width, image->height, err));
    for (int y = 0; y < image->height; y++) {
        const float *row = adl_bilinear_row(&heat, y);
        uint8_t *rgb = pixel_at(image, 0, y);
        for (int x = 0; x < image->width; x++, rgb += 3) {
            float value = glow * row[x];
            const uint8_t *color = adl_colormap_inferno[(int)(value * 255 + 0.5f)];
            float shade = opacity * (MIN_OPACITY + (1 - MIN_OPACITY) * value);
            for (int c = 0; c < 3; c++)
                rgb[c] = mix(rgb[c], color[c], shade);
        }
    }
    result = 0;
out:
    adl_bilinear_release(&heat);
    return result;
}

int adl_overlay_draw(struct adl_image *image, const struct adl_overlay *overlay,
                     struct adl_error *err)
{
    if (overlay->heatmap) {
        if (overlay->heatmap_width < 1 || overlay->heatmap_height < 1)
            return adl_fail(err, ADL_ERR_ARG, "a heat map cannot be %d x %d",
                            overlay->heatmap_width, overlay->heatmap_height);
        if (blend_heatmap(image, overlay, err) < 0)
            return -1;
    }
    /* The first box is the best one and is drawn last, over the others. */
    for (size_t i = overlay->box_count; i-- > 0;)
        draw_box(image, &overlay->boxes[i]);
    if (overlay->label && overlay->label[0])
        draw_label(image, overlay->label, overlay->box_count ? &overlay->boxes[0] : NULL);
    return 0;
}
