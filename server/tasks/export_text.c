/* Texts and numbers of the exports of boxes; see export_text.h. */

#include "server/tasks/export_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "server/tasks/csv_out.h"

/* U+FFFE and U+FFFF, which neither XML nor YAML can hold. */
static bool is_noncharacter(const char *text)
{
    return !strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3);
}

static void put_json_byte(struct adl_str *out, char byte)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *known = byte ? strchr(from, byte) : NULL;

    if (known)
        adl_str_printf(out, "\\%c", to[known - from]);
    else if ((unsigned char)byte < 0x20)
        adl_str_printf(out, "\\u%04x", (unsigned)(unsigned char)byte);
    else
        adl_str_append(out, &byte, 1);
}

void adl_export_put_json(struct adl_str *out, const char *text)
{
    adl_str_puts(out, "\"");
    for (; *text; text++)
        put_json_byte(out, *text);
    adl_str_puts(out, "\"");
}

void adl_export_put_yaml(struct adl_str *out, const char *text)
{
    adl_str_puts(out, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        const size_t control = adl_utf8_late_control((const char *)c);
        if (control > 0) {
            c += control - 1; /* the last byte is the code point */
            adl_str_printf(out, "\\u%04x", (unsigned)*c);
        } else if (is_noncharacter((const char *)c)) {
            adl_str_puts(out, c[2] == 0xbe ? "\\ufffe" : "\\uffff");
            c += 2;
        } else {
            put_json_byte(out, (char)*c);
        }
    }
    adl_str_puts(out, "\"");
}

void adl_export_put_xml(struct adl_str *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': adl_str_puts(out, "&amp;"); break;
        case '<': adl_str_puts(out, "&lt;"); break;
        case '>': adl_str_puts(out, "&gt;"); break;
        case '"': adl_str_puts(out, "&quot;"); break;
        default:
            if (is_noncharacter(text)) {
                adl_str_puts(out, "?");
                text += 2;
            } else {
                bool control = (unsigned char)*text < 0x20 && !strchr("\t\n\r", *text);
                adl_str_append(out, control ? "?" : text, 1);
            }
        }
    }
}

void adl_export_put_csv(struct adl_str *out, const char *text)
{
    struct adl_str field = {0};

    if (*text && strchr("=+-@\t\r", *text))
        adl_str_puts(&field, "'");
    adl_str_puts(&field, text);
    if (field.failed)
        out->failed = true;
    else
        adl_csv_put_text(out, field.data);
    adl_str_release(&field);
}

/* printf() rounds a tie to the even digit, JavaScript's toFixed(6) to the larger one. A number is
 * such a tie only if it is an odd multiple of 1/128, because seven decimals that end in 5 are an
 * odd multiple of 5^-6 / 128 and binary numbers have no factor 5^-6. */
static double above_tie(double value)
{
    return fmod(value * 128, 2) == 1 ? nextafter(value, HUGE_VAL) : value;
}

void adl_export_put_fixed(struct adl_str *out, double value)
{
    adl_str_printf(out, "%.6f", above_tie(value));
}

void adl_export_put_short(struct adl_str *out, double value)
{
    char text[400]; /* the largest double has 309 digits */
    int length = snprintf(text, sizeof text, "%.6f", above_tie(value));

    while (text[length - 1] == '0')
        length--;
    length -= text[length - 1] == '.';
    adl_str_append(out, text, (size_t)length);
}

void adl_export_put_stem(struct adl_str *out, const char *name)
{
    size_t begin = out->length, last = begin;

    while (*name) {
        size_t length = strcspn(name, "/\\");
        bool skipped =
            length == 0 || !strncmp(name, ".", length) || (length == 2 && !strncmp(name, "..", 2));
        if (!skipped && out->length > begin)
            adl_str_puts(out, "/");
        last = skipped ? last : out->length;
        for (size_t i = 0; i < length && !skipped; i++) {
            unsigned char c = (unsigned char)name[i];
            adl_str_append(out, c < 0x20 || c == 0x7f ? "_" : name + i, 1);
        }
        name += length + (name[length] != '\0');
    }
    if (out->length == begin)
        adl_str_puts(out, "_");
    if (out->failed)
        return;
    char *stem = out->data + begin;
    if (((stem[0] >= 'A' && stem[0] <= 'Z') || (stem[0] >= 'a' && stem[0] <= 'z')) &&
        stem[1] == ':')
        stem[1] = '_';
    char *dot = strrchr(out->data + last, '.');
    if (dot && dot > out->data + last) {
        *dot = '\0';
        out->length = (size_t)(dot - out->data);
    }
}
