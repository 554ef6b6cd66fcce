/* Writes the section on how sure the model is: for class scores and for the confidences of boxes, a
 * reliability diagram (DeGroot & Fienberg, 1983). A point stands for a bin of answers, at their
 * mean confidence and the percentage of them that is right; points on the diagonal are calibrated.
 */

#include <math.h>

#include "base/plural.h"
#include "server/report/report_parts.h"

enum { POINTS = ADL_RELIABILITY_BINS + 2 };

static void put_note(struct adl_str *page, const struct adl_reliability *r)
{
    adl_html_note(
        page,
        "Expected calibration error %.3f. Chance alone gives about %.3f on %llu answer%s, "
        "so that an error near that shows no lack of calibration.",
        adl_reliability_error(r), adl_reliability_chance(r), (unsigned long long)r->count,
        ADL_S(r->count));
}

static void put_counts(struct adl_str *page, const struct adl_reliability *r)
{
    const char *separator = "";

    adl_str_puts(page, "<p class=\"note\">Answers by confidence:");
    for (int b = 0; b < ADL_RELIABILITY_BINS; b++) {
        if (r->bins[b].count) {
            adl_str_printf(page, "%s %d–%d" NBSP "%%: %llu", separator,
                           b * 100 / ADL_RELIABILITY_BINS, (b + 1) * 100 / ADL_RELIABILITY_BINS,
                           (unsigned long long)r->bins[b].count);
            separator = ";";
        }
    }
    adl_str_puts(page, "</p>\n");
}

/* The diagonal reaches from corner to corner; bins without answers interrupt the curve. */
static void put_diagram(struct adl_str *page, const char *title, const char *x_name,
                        const struct adl_reliability *r)
{
    double x[POINTS] = {0}, right[POINTS];

    right[0] = right[POINTS - 1] = NAN;
    x[POINTS - 1] = 100;
    for (int b = 0; b < ADL_RELIABILITY_BINS; b++) {
        double count = (double)r->bins[b].count;
        x[b + 1] = 100 * (count > 0 ? r->bins[b].sum / count : (b + 0.5) / ADL_RELIABILITY_BINS);
        right[b + 1] = count > 0 ? 100 * (double)r->bins[b].right / count : NAN;
    }
    const struct adl_chart chart = {.title = title,
                                    .x_name = x_name,
                                    .x = x,
                                    .count = POINTS,
                                    .lines = {{"right", right}, {"calibrated", x}},
                                    .line_count = 2,
                                    .percent = true,
                                    .mark_x = NAN};
    adl_str_puts(page, "<div>\n");
    adl_chart_write(page, &chart);
    put_note(page, r);
    put_counts(page, r);
    adl_str_puts(page, "</div>\n");
}

void adl_report_reliability(struct adl_str *page, const struct adl_evaluate_report *evaluation)
{
    const struct adl_reliability *scores = evaluation ? &evaluation->class_scores : NULL;
    const struct adl_reliability *boxes = evaluation ? &evaluation->box_confidences : NULL;

    adl_str_puts(page, "<section id=\"reliability\"><h2>How sure the model is</h2>\n");
    if (!scores || scores->count == 0) {
        adl_html_note(page, "There is no evaluation of val to show here.");
        adl_str_puts(page, "</section>\n");
        return;
    }
    adl_html_note(page,
                  "Of the answers that are given with a confidence of 80 %%, 80 %% should be "
                  "right. The diagrams show how many are, in %d bins of equal width: on the "
                  "line \"calibrated\" it is as many as the model says, below it the model is "
                  "too sure.",
                  ADL_RELIABILITY_BINS);
    if (boxes->count == 0 && evaluation->localized && !evaluation->several)
        adl_html_note(page, "Boxes have no confidence yet: adl-server calibrate gives them one.");
    adl_str_puts(page, "<div class=\"charts\">\n");
    put_diagram(page, "Class recognised, % of images", "class score, %", scores);
    if (boxes->count > 0)
        put_diagram(page, "Box right at IoU 0.5, % of images", "confidence of the box, %", boxes);
    adl_str_puts(page, "</div></section>\n");
}
