/* Writes line charts as inline SVG: a few lines over a common x axis. Ticks are multiples of
 * 1, 2 or 5 times a power of ten. Colours come from the page's style sheet. */

#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "server/report/report_parts.h"

/* The drawing's size and margins in SVG units; the page scales it. */
#define WIDTH 520.0
#define HEIGHT 250.0
#define LEFT 52.0
#define RIGHT 14.0
#define TOP 20.0
#define BOTTOM 40.0

/* A line of more points is thinned out, because they could not be distinguished.
 * Dots with tooltips are drawn for up to MAX_DOTS points. */
#define MAX_POINTS 400
#define MAX_DOTS 60

/* Places along the axis that say their values under the cursor, and the lines whose values they
 * say, which is what fits beneath the chart. */
#define MAX_PLACES 120
#define NAMED_LINES 5

struct axis {
    double from, to; /* from < to */
    double step;     /* between ticks; 0 on a logarithmic axis: powers of ten */
    double pixel_from, pixel_to;
};

/* Returns the position of a value along the axis, in SVG units. */
static double place(const struct axis *axis, double value)
{
    double part = axis->step > 0
                      ? (value - axis->from) / (axis->to - axis->from)
                      : (log10(value) - log10(axis->from)) / (log10(axis->to) - log10(axis->from));
    return axis->pixel_from + part * (axis->pixel_to - axis->pixel_from);
}

/* Returns the smallest step of 1, 2 or 5 times a power of ten that divides the range into at
 * most `ticks` steps. */
static double nice_step(double range, double ticks, bool whole)
{
    double power = pow(10, floor(log10(range / ticks)));
    double part = range / ticks / power;
    double step = power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
    return whole ? fmax(step, 1) : step;
}

/* Returns whether a value is drawn. Huge values are not: they would flatten the rest of the
 * chart. */
static bool is_shown(double value)
{
    return isfinite(value) && fabs(value) < 1e12;
}

/* Finds the range of all lines; returns false if there is no point. */
static bool y_range(const struct adl_chart *chart, double *min, double *max)
{
    *min = INFINITY;
    *max = -INFINITY;
    for (size_t l = 0; l < chart->line_count; l++) {
        for (size_t i = 0; i < chart->count; i++) {
            double y = chart->lines[l].y[i];
            if (is_shown(y)) {
                *min = fmin(*min, y);
                *max = fmax(*max, y);
            }
        }
    }
    return *min <= *max;
}

/* Makes the y axis. It starts at 0 for percentages, and for values that are not close
 * together compared with their size. A constant line gets some space around it. */
static struct axis make_y(const struct adl_chart *chart, double min, double max)
{
    struct axis axis = {.from = min, .to = max, .pixel_from = HEIGHT - BOTTOM, .pixel_to = TOP};

    if (chart->log_y && min > 0 && max / min > 20) {
        axis.from = pow(10, floor(log10(min) + 1e-9));
        axis.to = pow(10, ceil(log10(max) - 1e-9));
        return axis;
    }
    if (chart->percent || (min > 0 && min < 0.6 * max))
        axis.from = 0;
    if (axis.to - axis.from <= 1e-6 * fabs(axis.to)) {
        axis.from = axis.to > 0 ? 0 : axis.to - 1;
        axis.to = axis.to > 0 ? axis.to * 1.25 : axis.to + 1;
    }
    axis.step = nice_step(axis.to - axis.from, 5, false);
    axis.from = floor(axis.from / axis.step + 1e-9) * axis.step;
    axis.to = ceil(axis.to / axis.step - 1e-9) * axis.step;
    if (chart->percent)
        axis.to = fmin(axis.to, 100);
    return axis;
}

static struct axis make_x(const struct adl_chart *chart)
{
    struct axis axis = {.from = chart->x[0],
                        .to = chart->x[chart->count - 1],
                        .pixel_from = LEFT,
                        .pixel_to = WIDTH - RIGHT};

    if (chart->log_x && axis.from > 0 && axis.to > axis.from)
        return axis;
    if (!(axis.to > axis.from)) {
        axis.from -= 1;
        axis.to += 1;
    }
    axis.step = nice_step(axis.to - axis.from, 8, chart->whole_x);
    return axis;
}

static void put_y_tick(struct adl_str *page, const struct axis *axis, double value)
{
    double y = place(axis, value);
    adl_str_printf(page,
                   "<line class=\"grid\" x1=\"%.0f\" y1=\"%.1f\" x2=\"%.0f\" y2=\"%.1f\"/>"
                   "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
                   LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4, value);
}

static void put_axes(struct adl_str *page, const struct adl_chart *chart, const struct axis *x,
                     const struct axis *y)
{
    if (y->step > 0) {
        for (int i = 0; i <= 20; i++) {
            double value = y->from + i * y->step;
            if (value > y->to + y->step * 1e-6)
                break;
            put_y_tick(page, y, fabs(value) < y->step * 1e-6 ? 0 : value);
        }
    } else {
        int all = (int)round(log10(y->to / y->from)), every = ADL_MAX(all / 6, 1);
        for (int i = 0; i <= all; i += every)
            put_y_tick(page, y, y->from * pow(10, i));
    }
    bool log_x = !(x->step > 0);
    double first = ceil(log_x ? log10(x->from) - 1e-9 : x->from / x->step - 1e-9);
    for (int i = 0; i <= 20; i++) {
        double value = log_x ? pow(10, first + i) : (first + i) * x->step;
        if (value > (log_x ? x->to * (1 + 1e-6) : x->to + x->step * 1e-6))
            break;
        adl_str_printf(page, "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%.6g</text>\n",
                       place(x, value), HEIGHT - BOTTOM + 17, value);
    }
    adl_str_printf(page, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%s</text>\n",
                   WIDTH - RIGHT, HEIGHT - 6, chart->x_name);
}

static void put_mark(struct adl_str *page, const struct adl_chart *chart, const struct axis *x)
{
    if (!(chart->mark_x >= x->from && chart->mark_x <= x->to))
        return;
    double position = place(x, chart->mark_x);
    bool right = position > WIDTH * 0.7;
    adl_str_printf(page,
                   "<line class=\"mark\" x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" y2=\"%.0f\"/>"
                   "<text x=\"%.1f\" y=\"%.0f\"%s>%s</text>\n",
                   position, TOP - 4, position, HEIGHT - BOTTOM, position + (right ? -5 : 5),
                   TOP - 8, right ? " text-anchor=\"end\"" : "", chart->mark_name);
}

/* Draws a line, which a NaN interrupts. */
static void put_line(struct adl_str *page, const struct adl_chart *chart, size_t number,
                     const struct axis *x, const struct axis *y)
{
    const struct adl_chart_line *line = &chart->lines[number];
    size_t every = (chart->count + MAX_POINTS - 1) / MAX_POINTS;
    bool pen_down = false;

    adl_str_printf(page, "<path class=\"curve l%zu\" d=\"", number);
    for (size_t i = 0; i < chart->count; i++) {
        if (i % every && i != chart->count - 1)
            continue;
        bool shown = is_shown(line->y[i]);
        if (shown)
            adl_str_printf(page, "%c%.1f %.1f", pen_down ? 'L' : 'M', place(x, chart->x[i]),
                           place(y, line->y[i]));
        pen_down = shown;
    }
    adl_str_puts(page, "\"/>\n");
    for (size_t i = 0; chart->count <= MAX_DOTS && i < chart->count; i++) {
        if (!is_shown(line->y[i]))
            continue;
        adl_str_printf(page, "<circle class=\"dot l%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>",
                       number, place(x, chart->x[i]), place(y, line->y[i]));
        adl_html_text(page, line->name);
        adl_str_printf(page, ", %s %.6g: %.5g</title></circle>\n", chart->x_name, chart->x[i],
                       line->y[i]);
    }
}

/* Says the values under the cursor, without a script: for each place along the axis an invisible
 * band, over which a line and a text become visible. */
static void put_places(struct adl_str *page, const struct adl_chart *chart, const struct axis *x)
{
    size_t every = (chart->count + MAX_PLACES - 1) / MAX_PLACES;
    double from = LEFT;

    for (size_t i = 0; i < chart->count; i += every) {
        bool last = i + every >= chart->count;
        double at = place(x, chart->x[i]);
        double to = last ? WIDTH - RIGHT : (at + place(x, chart->x[i + every])) / 2;
        const char *between = "";
        adl_str_printf(page,
                       "<g class=\"at\"><rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" "
                       "height=\"%.0f\"/><line x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" "
                       "y2=\"%.0f\"/><text x=\"%.0f\" y=\"%.0f\">%s %.6g: ",
                       from, TOP, fmax(to - from, 0), HEIGHT - BOTTOM - TOP, at, TOP, at,
                       HEIGHT - BOTTOM, LEFT, HEIGHT - 6, chart->x_name, chart->x[i]);
        for (size_t l = 0; l < ADL_MIN(chart->line_count, (size_t)NAMED_LINES); l++) {
            if (!is_shown(chart->lines[l].y[i]))
                continue;
            adl_str_puts(page, between);
            adl_html_text(page, chart->lines[l].name);
            adl_str_printf(page, " %.4g", chart->lines[l].y[i]);
            between = ", ";
        }
        adl_str_puts(page, "</text></g>\n");
        from = to;
    }
}

void adl_chart_write(struct adl_str *page, const struct adl_chart *chart)
{
    double min, max;
    bool any = chart->count > 0 && y_range(chart, &min, &max);

    adl_str_printf(page, "<figure class=\"chart\"><figcaption><b>%s</b>", chart->title);
    for (size_t l = 0; any && l < chart->line_count; l++) {
        adl_str_printf(page, "<span class=\"key l%zu\">", l);
        adl_html_text(page, chart->lines[l].name);
        adl_str_puts(page, "</span>");
    }
    adl_str_puts(page, "</figcaption>\n");
    if (any) {
        struct axis x = make_x(chart), y = make_y(chart, min, max);
        adl_str_printf(page,
                       "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                       "role=\"img\" aria-label=\"%s\">\n",
                       WIDTH, HEIGHT, chart->title);
        put_axes(page, chart, &x, &y);
        put_mark(page, chart, &x);
        for (size_t l = 0; l < chart->line_count; l++)
            put_line(page, chart, l, &x, &y);
        put_places(page, chart, &x);
        adl_str_puts(page, "</svg>");
    } else {
        adl_html_note(page, "There are no data points yet.");
    }
    adl_str_puts(page, "</figure>\n");
}
