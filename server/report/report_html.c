/* Writes text and images as HTML, and the report's style sheet,
 * beginning and end. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
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

/* --- style ------------------------------------------------------------------------- */

/* The style sheet must not contain characters that XML requires to be escaped. */
static const char style[] =
    ":root{color-scheme:light dark;--page:#f6f4f1;--card:#fffefc;--ink:#221d2b;--soft:#655e70;"
    "--line:#ded8d1;--c0:#8a2d63;--c1:#c2500f;--c2:#1d6fa5;--c3:#2f7d4f;--c4:#6b4bb8;"
    "--c5:#8a6d00;--c6:#0d7c86;--c7:#b3261e;--track:#ece8e3;"
    "--shadow:0 1px 2px rgb(34 29 43/5%),0 8px 28px rgb(34 29 43/6%)}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#15131a;--card:#1f1c26;--ink:#f1edf5;"
    "--soft:#aaa2b6;--line:#35303f;--c0:#f08bbd;--c1:#fb9a5b;--c2:#74b9ee;--c3:#6fd096;"
    "--c4:#b9a2f5;--c5:#e0c050;--c6:#5cc9d3;--c7:#ff8f84;--track:#2c2835;"
    "--shadow:0 1px 2px rgb(0 0 0/30%),0 10px 30px rgb(0 0 0/25%)}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:clamp(12px,3vw,32px) clamp(10px,3vw,24px) 60px}\n"
    "h1{font-size:26px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}\n"
    "h2{font-size:18px;margin:0 0 4px}h3{font-size:14px;margin:20px 0 8px}\n"
    "p{margin:0 0 12px}.note,.sub{color:var(--soft)}.note{max-width:75ch}\n"
    "section,header{margin-bottom:20px;background:var(--card);border:1px solid var(--line);"
    "border-radius:16px;box-shadow:var(--shadow);padding:clamp(16px,4vw,24px)}\n"
    "code{font:13px/1.5 ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}\n"
    ".command{display:block;background:var(--page);border:1px solid var(--line);"
    "border-radius:8px;padding:10px 12px;margin:14px 0;white-space:pre-wrap}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:10px;"
    "margin:16px 0}\n"
    ".tile{border:1px solid var(--line);border-radius:10px;padding:10px 14px}\n"
    ".tile b{display:block;font-size:22px;line-height:1.3;font-weight:600;"
    "font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:13px}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0}\n"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "summary{cursor:pointer;color:var(--soft);margin-top:14px}details dl{margin-top:8px}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));"
    "gap:22px 28px;margin-top:14px}\n"
    "figure{margin:0}.chart figcaption{display:flex;flex-wrap:wrap;gap:2px 14px;"
    "align-items:baseline;font-size:13px;color:var(--soft)}\n"
    ".chart figcaption b{color:var(--ink);font-size:14px;margin-right:auto}\n"
    ".key::before{content:'';display:inline-block;width:14px;height:3px;border-radius:2px;"
    "vertical-align:middle;margin-right:6px;background:var(--k)}\n"
    ".chart svg{display:block;width:100%;height:auto;font-size:11.5px}\n"
    ".chart text{fill:var(--soft)}.grid{stroke:var(--line)}"
    ".mark{stroke:var(--soft);stroke-dasharray:3 4}\n"
    ".at rect{fill:transparent}.at line{stroke:var(--soft);stroke-dasharray:3 3;opacity:0}"
    ".at text{fill:var(--ink);opacity:0}.at:hover line,.at:hover text{opacity:1}\n"
    ".curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n"
    ".l0,.l8{--k:var(--c0)}.l1,.l9{--k:var(--c1)}.l2,.l10{--k:var(--c2)}.l3,.l11{--k:var(--c3)}"
    ".l4,.l12{--k:var(--c4)}.l5,.l13{--k:var(--c5)}.l6,.l14{--k:var(--c6)}.l7,.l15{--k:var(--c7)}"
    ".curve.l8,.curve.l9,.curve.l10,.curve.l11,.curve.l12,.curve.l13,.curve.l14,.curve.l15"
    "{stroke-dasharray:6 5}"
    ".curve{stroke:var(--k)}.dot{fill:var(--k)}\n"
    ".shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:14px}\n"
    ".shot{position:relative;border-radius:8px;overflow:hidden;background:#000;"
    "aspect-ratio:1;display:flex;align-items:center}\n"
    ".shot div{position:relative;margin:auto}.wide div{width:100%}.tall div{height:100%}\n"
    ".shot img{position:absolute;width:100%;height:100%}\n"
    ".shot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}\n"
    ".shot rect{fill:none;vector-effect:non-scaling-stroke}.edge{stroke:#0a1018;stroke-width:4.5}"
    ".found{stroke:#40e0ff;stroke-width:2.5}.true{stroke:#fff;stroke-width:2.5;"
    "stroke-dasharray:5 4}\n"
    ".shots figcaption{font-size:12.5px;line-height:1.4;margin-top:6px;overflow-wrap:anywhere}"
    ".shots figcaption span{color:var(--soft)}\n"
    ".sample{display:inline-block;width:26px;height:0;border-top:3px solid #19b5d8;"
    "vertical-align:middle;margin:0 4px 0 10px}"
    ".sample.dashed{border-top:3px dashed var(--soft)}\n"
    ".maps{display:grid;grid-template-columns:170px 1fr;gap:20px;padding:16px 0;"
    "border-top:1px solid var(--line)}.maps .photo img{width:100%;height:auto;"
    "border-radius:8px;display:block}.maps figcaption{font-size:12.5px;margin-top:6px;"
    "overflow-wrap:anywhere}\n"
    ".maps table{width:auto;justify-self:start}.maps td{padding:4px 10px 4px 0;border:0}"
    ".maps td img{width:92px;height:92px;image-rendering:pixelated;border-radius:6px;"
    "display:block}.maps th{border:0;padding:0 10px 2px 0}"
    ".maps .sub{font-size:12.5px;max-width:36ch}\n"
    "@media(max-width:640px){.maps{grid-template-columns:1fr}.maps .photo{max-width:170px}"
    ".maps td img{width:64px;height:64px}.shots{grid-template-columns:repeat(2,minmax(0,1fr))}"
    "dl{grid-template-columns:1fr}dt{margin-top:6px}th,td{padding:5px 6px}.bar i{min-width:24px}"
    ".maps,.maps table,.maps tr{min-width:0}.maps tr{display:grid;"
    "grid-template-columns:repeat(3,auto);justify-content:start}.maps thead{display:none}"
    ".maps .sub{grid-column:1/-1}}\n"
    "@media(forced-colors:active){svg,.bar i,.key::before,.sample{forced-color-adjust:none}}\n"
    ".cells{fill:var(--track)}.matrix svg{margin:10px 0 18px}\n"
    ".scroll{max-height:520px;overflow:auto;border:1px solid var(--line);border-radius:8px}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;"
    "font-size:13.5px}th{text-align:left;font-weight:500;color:var(--soft)}\n"
    "th,td{padding:5px 12px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}"
    ".scroll th{position:sticky;top:0;background:var(--card)}.num{text-align:right}\n"
    ".scroll td:first-child{min-width:9em}\n"
    ".bar{display:flex;align-items:center;gap:10px;white-space:nowrap}"
    ".bar i{flex:1;min-width:70px;height:7px;border-radius:4px;"
    "background:linear-gradient(90deg,var(--k) var(--v),var(--track) var(--v))}"
    ".bar span{width:3.6em;text-align:right}\n"
    "td.best{font-weight:600}.sure{color:var(--ink)}.unsure{color:var(--soft)}\n"
    ".side{display:grid;grid-auto-flow:column;grid-auto-columns:150px;gap:14px;overflow-x:auto;"
    "padding:4px 0 14px}.side h4{font-size:12.5px;line-height:1.35;font-weight:600;margin:0 0 6px;"
    "height:2.7em;overflow:hidden}\n"
    ".wide-table{overflow-x:auto}.wide-table th,.wide-table td{overflow-wrap:normal}"
    ".wide-table td:first-child{min-width:12em}.wide-table .num{white-space:nowrap}\n"
    "footer{color:var(--soft);font-size:13px;padding:0 4px}\n"
    "@media print{section,header{break-inside:avoid}.scroll{max-height:none}}\n";

static void put_style(struct adl_str *page)
{
    adl_str_puts(page, "<style>\n");
    adl_str_puts(page, style);
    adl_str_puts(page, "</style>\n");
}

/* --- the page ---------------------------------------------------------------------------- */

void adl_html_start(struct adl_str *page, const char *title)
{
    adl_str_puts(page, "<!DOCTYPE html>\n"
                       "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head>\n"
                       "<meta charset=\"utf-8\"/>\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                       "img-src data:; style-src 'unsafe-inline'\"/>\n"
                       "<title>");
    adl_html_text(page, title);
    adl_str_puts(page, "</title>\n");
    put_style(page);
    adl_str_puts(page, "</head><body><main>\n");
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
