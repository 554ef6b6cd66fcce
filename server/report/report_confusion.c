/* Writes the confusion matrix of a run's evaluation as a picture, and the most confused pairs of
 * classes as a table.
 *
 * A cell is drawn as strongly as its share of the images of its row, the true class, in one colour
 * on the diagonal and in another off it. Cells without images are not drawn, so the picture has at
 * most as many cells as there are images; classes that do not occur are left out. Cells are at
 * least 4 pixels wide: above 200 classes there is only the table. Names stand at the rows and
 * columns as long as they can be read there; with more classes, the number of every tenth class
 * does, and the name is in the tooltip of a cell. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "server/report/report_parts.h"

#define CLASSES_MAX 200 /* of the picture */
#define SIDE 800        /* of the picture, pixels, about */
#define CELL_MAX 28
#define CELL_NAMED 9 /* smallest cell that has a name beside it */
#define NAME_BYTES 20
#define NAME_WIDTH 6 /* of a character, about */
#define MARGIN_NUMBERS 34
#define PAIRS_MAX 30 /* in the table */

struct matrix {
    const struct adl_confusion *confusion;
    size_t class_count;
    const json_t *labels;
    size_t *images; /* by true class; owned */
    int *classes;   /* the ids of the classes that occur, in their order; owned */
    int *place;     /* by class id: the index in `classes`; owned */
    size_t count;   /* of `classes` */
};

/* Appends the name of a class, at most `bytes` long. */
static void put_name(struct adl_str *page, const struct matrix *m, int class_id, size_t bytes)
{
    const char *label = json_string_value(json_array_get(m->labels, (size_t)class_id));
    char text[256];

    if (label)
        snprintf(text, sizeof text, "%s", label);
    else
        snprintf(text, sizeof text, "class %d", class_id);
    if (strlen(text) > bytes) {
        size_t end = bytes - 1;
        /* Not within a character of several bytes. */
        while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--;
        text[end] = '\0';
        adl_html_text(page, text);
        adl_str_puts(page, "…");
        return;
    }
    adl_html_text(page, text);
}

/* --- picture ------------------------------------------------------------------------- */

/* Appends the name or number of a row or a column. */
static void put_axis(struct adl_str *page, const struct matrix *m, size_t i, bool row, int cell,
                     int margin)
{
    bool named = cell >= CELL_NAMED;
    double middle = margin + ((double)i + 0.5) * cell;

    if (!named && i % 10 != 0)
        return;
    if (row)
        adl_str_printf(page, "<text x=\"%d\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"end\">",
                       margin - 5, middle + 3, named ? ADL_MIN(cell, 11) : 10);
    else
        adl_str_printf(page, "<text transform=\"translate(%.1f %d) rotate(-90)\" font-size=\"%d\">",
                       middle + 3, margin - 5, named ? ADL_MIN(cell, 11) : 10);
    if (named)
        put_name(page, m, m->classes[i], NAME_BYTES);
    else
        adl_str_printf(page, "%d", m->classes[i]);
    adl_str_puts(page, "</text>\n");
}

static void put_cell(struct adl_str *page, const struct matrix *m,
                     const struct adl_confusion_cell *c, int cell, int margin)
{
    double share = (double)c->images / (double)m->images[c->truth];

    adl_str_printf(page,
                   "<rect class=\"dot l%d\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
                   "fill-opacity=\"%.2f\"><title>",
                   c->truth == c->predicted ? 2 : 1, margin + m->place[c->predicted] * cell,
                   margin + m->place[c->truth] * cell, cell, cell, 0.15 + 0.85 * share);
    put_name(page, m, c->truth, 200);
    adl_str_puts(page, c->truth == c->predicted ? " recognised" : " taken for ");
    if (c->truth != c->predicted)
        put_name(page, m, c->predicted, 200);
    adl_str_printf(page, ": %zu of %zu</title></rect>\n", c->images, m->images[c->truth]);
}

/* Returns the room that the longest name needs. */
static int name_margin(const struct matrix *m)
{
    size_t longest = 10; /* class 1000 */

    for (size_t i = 0; i < m->count; i++) {
        const char *label = json_string_value(json_array_get(m->labels, (size_t)m->classes[i]));
        longest = ADL_MAX(longest, ADL_MIN(label ? strlen(label) : 0, (size_t)NAME_BYTES));
    }
    return (int)longest * NAME_WIDTH + 12;
}

static void put_picture(struct adl_str *page, const struct matrix *m)
{
    int n = (int)m->count, cell = ADL_MIN(SIDE / n, CELL_MAX);
    int margin = cell >= CELL_NAMED ? name_margin(m) : MARGIN_NUMBERS, side = margin + n * cell + 1;

    adl_str_printf(page,
                   "<figure class=\"chart matrix\"><svg xmlns=\"http://www.w3.org/2000/svg\" "
                   "viewBox=\"0 0 %d %d\" style=\"max-width:%dpx\" role=\"img\" "
                   "aria-label=\"Confusion matrix\">\n"
                   "<rect class=\"cells\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                   side, side, side, margin, margin, n * cell, n * cell);
    for (size_t i = 0; i < m->count; i++) {
        put_axis(page, m, i, true, cell, margin);
        put_axis(page, m, i, false, cell, margin);
    }
    for (size_t i = 0; i < m->confusion->count; i++)
        put_cell(page, m, &m->confusion->cells[i], cell, margin);
    adl_str_puts(page, "</svg></figure>\n");
}

/* --- table --------------------------------------------------------------------------- */

/* Orders cells by images, descending, then as they are. */
static int most_first(const void *a, const void *b)
{
    const struct adl_confusion_cell *x = *(const struct adl_confusion_cell *const *)a;
    const struct adl_confusion_cell *y = *(const struct adl_confusion_cell *const *)b;
    if (x->images != y->images)
        return x->images > y->images ? -1 : 1;
    return (x > y) - (x < y);
}

static void put_pairs(struct adl_str *page, const struct matrix *m,
                      const struct adl_confusion_cell **pairs, size_t count)
{
    adl_str_puts(
        page,
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>class</th><th>taken for</th>"
        "<th class=\"num\">images</th><th class=\"num\">of</th></tr></thead>"
        "<tbody>\n");
    for (size_t i = 0; i < count; i++) {
        adl_str_puts(page, "<tr><td>");
        put_name(page, m, pairs[i]->truth, 200);
        adl_str_puts(page, "</td><td>");
        put_name(page, m, pairs[i]->predicted, 200);
        adl_str_printf(page, "</td><td class=\"num\">%zu</td><td class=\"num\">%zu</td></tr>\n",
                       pairs[i]->images, m->images[pairs[i]->truth]);
    }
    adl_str_puts(page, "</tbody></table></div>\n");
}

/* Appends the table of the most frequent wrong pairs. */
static int put_table(struct adl_str *page, const struct matrix *m, struct adl_error *err)
{
    const struct adl_confusion *c = m->confusion;
    const struct adl_confusion_cell **pairs = adl_malloc(c->count, sizeof *pairs);
    size_t count = 0, wrong = 0;

    if (!pairs)
        return adl_fail_nomem(err, "the confusion matrix");
    for (size_t i = 0; i < c->count; i++) {
        if (c->cells[i].truth == c->cells[i].predicted)
            continue;
        pairs[count++] = &c->cells[i];
        wrong += c->cells[i].images;
    }
    if (count > 0)
        qsort(pairs, count, sizeof *pairs, most_first);
    if (count > 0) {
        adl_html_note(page,
                      "%zu of %zu image%s %s taken for another class; the most frequent "
                      "pairs come first.",
                      wrong, c->images, ADL_S(c->images), wrong == 1 ? "was" : "were");
        put_pairs(page, m, pairs, ADL_MIN(count, (size_t)PAIRS_MAX));
    } else {
        adl_html_note(page, "No image was taken for another class.");
    }
    adl_free(pairs);
    return 0;
}

/* Finds the classes that occur, and counts the images of each. */
static int matrix_init(struct matrix *m, struct adl_error *err)
{
    const struct adl_confusion *c = m->confusion;

    m->images = adl_calloc(m->class_count, sizeof *m->images);
    m->classes = adl_malloc(m->class_count, sizeof *m->classes);
    m->place = adl_calloc(m->class_count, sizeof *m->place);
    if (!m->images || !m->classes || !m->place)
        return adl_fail_nomem(err, "the confusion matrix");
    for (size_t i = 0; i < c->count; i++) {
        m->images[c->cells[i].truth] += c->cells[i].images;
        m->place[c->cells[i].truth] = m->place[c->cells[i].predicted] = 1;
    }
    for (size_t i = 0; i < m->class_count; i++) {
        if (!m->place[i])
            continue;
        m->place[i] = (int)m->count;
        m->classes[m->count++] = (int)i;
    }
    return 0;
}

int adl_report_confusion(struct adl_str *page, const struct adl_confusion *confusion,
                         size_t class_count, const json_t *labels, struct adl_error *err)
{
    struct matrix m = {.confusion = confusion, .class_count = class_count, .labels = labels};
    int result = matrix_init(&m, err);

    if (result == 0 && m.count > 0 && m.count <= CLASSES_MAX) {
        adl_html_note(page,
                      "A row is a true class, a column the class that the network gave the highest "
                      "score: the stronger a cell, the larger its share of the row. Images on the "
                      "diagonal are recognised.%s",
                      m.count < class_count ? " Classes that do not occur are left out." : "");
        put_picture(page, &m);
    }
    if (result == 0)
        result = put_table(page, &m, err);
    adl_free(m.images);
    adl_free(m.classes);
    adl_free(m.place);
    return result;
}
