/* Writes text and images as HTML, and the beginning and the end of a page. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "server/report/report_digest.h" /* made by pack_assets.sh */
#include "server/report/report_parts.h"

#define JPEG_QUALITY 82

/* --- text -------------------------------------------------------------------------- */

/* Returns the length in bytes of the UTF-8 character at `text`; 0 if the bytes are not UTF-8
 * (overlong forms and surrogates included) or XML 1.0 does not allow the character
 * (production 2, "Char"; U+007F is refused as well). */
static size_t character_at(const unsigned char *text)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = text[0];
    size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t code = length > 1 ? first & (0x7fu >> length) : first;

    if (length == 0 || first > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    bool control = code < 0x20 && code != '\t' && code != '\n' && code != '\r';
    bool noncharacter = (code >= 0xd800 && code < 0xe000) || code == 0xfffe || code == 0xffff;
    return control || code == 0x7f || noncharacter || code < least[length] || code > 0x10ffff
               ? 0
               : length;
}

void adl_html_text(struct adl_str *page, const char *text)
{
    while (*text) {
        size_t length = character_at((const unsigned char *)text);
        switch (*text) {
        case '&': adl_str_puts(page, "&amp;"); break;
        case '<': adl_str_puts(page, "&lt;"); break;
        case '>': adl_str_puts(page, "&gt;"); break;
        case '"': adl_str_puts(page, "&quot;"); break;
        case '\'': adl_str_puts(page, "&#39;"); break;
        default:
            if (length)
                adl_str_append(page, text, length);
            else
                adl_str_puts(page, "\xef\xbf\xbd");
        }
        text += length ? length : 1;
    }
}

void adl_html_note(struct adl_str *page, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    adl_str_puts(page, "<p class=\"note\">");
    adl_html_text(page, text);
    adl_str_puts(page, "</p>\n");
}

/* --- images ------------------------------------------------------------------------ */

static void put_image(struct adl_str *page, const struct adl_image *image, const char *type,
                      const void *bytes, size_t length, const char *alt)
{
    adl_str_printf(page, "<img width=\"%d\" height=\"%d\" alt=\"", image->width, image->height);
    adl_html_text(page, alt);
    adl_str_printf(page, "\" src=\"data:image/%s;base64,", type);
    adl_str_base64(page, bytes, length);
    adl_str_puts(page, "\"/>");
}

int adl_html_jpeg(struct adl_str *page, const struct adl_image *image, const char *alt,
                  struct adl_error *err)
{
    void *bytes;
    size_t length;

    if (adl_image_encode_jpeg(image, JPEG_QUALITY, &bytes, &length, err) < 0)
        return -1;
    put_image(page, image, "jpeg", bytes, length, alt);
    adl_free(bytes);
    return 0;
}

int adl_html_png(struct adl_str *page, const struct adl_image *image, const char *alt,
                 struct adl_error *err)
{
    void *bytes;
    size_t length;

    if (adl_image_encode_png(image, &bytes, &length, err) < 0)
        return -1;
    put_image(page, image, "png", bytes, length, alt);
    adl_free(bytes);
    return 0;
}

/* --- the page ---------------------------------------------------------------------------- */

void adl_html_start(struct adl_str *page, const char *title)
{
    adl_str_puts(page, "<!DOCTYPE html>\n"
                       "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head>\n"
                       "<meta charset=\"utf-8\"/>\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                       "img-src data: blob:; style-src 'unsafe-inline'; "
                       "script-src '" ADL_REPORT_SCRIPT_DIGEST "'\"/>\n"
                       "<title>");
    adl_html_text(page, title);
    adl_str_puts(page, "</title>\n<style>\n");
    adl_str_append(page, adl_report_style, (size_t)(adl_report_style_end - adl_report_style));
    adl_str_puts(page, "</style>\n</head><body><main>\n");
}

void adl_html_end(struct adl_str *page)
{
    time_t now = time(NULL);
    struct tm utc;
    char text[64] = "";

    if (gmtime_r(&now, &utc))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
    adl_str_printf(page,
                   "<footer>Written by adl-server %s on %s.</footer>\n</main></body></html>\n",
                   ADL_VERSION, text);
}
