/* Shows progress.
 *
 * The bar is redrawn in place with a carriage return, at most ten times a second however often
 * it is updated. If stderr is a file or a log, one line a minute shows that a run is alive, and
 * a run of less than a minute writes nothing. */

#include "server/tasks/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"

#define BAR_INTERVAL_MS 100
#define LINE_INTERVAL_MS 60000
#define BAR_CELLS 30
/* Cells below which no bar is drawn. */
#define BAR_CELLS_MIN 5
/* Width of a terminal that does not report it. */
#define COLUMNS 80

static void duration_text(char *text, size_t size, double seconds)
{
    long s = (long)seconds;
    if (s >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

void adl_progress_start(struct adl_progress *progress, const char *unit, size_t total)
{
    const char *term = getenv("TERM");
    uint64_t now = adl_clock_ns();

    *progress = (struct adl_progress){.unit = unit, .total = total, .start_ns = now};
    progress->shown_ns = now;
    progress->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

void adl_progress_clear(struct adl_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS;
}

/* Draws the bar and the text on one line, since a line that wraps cannot be overwritten. If the
 * terminal is too narrow, the bar is shortened, then omitted, then the text is cut. */
static void draw(struct adl_progress *progress, const char *text)
{
    int columns = terminal_columns() - 1, cells = columns - (int)strlen(text) - 3;
    char bar[BAR_CELLS + 4] = "";

    cells = ADL_MIN(cells, BAR_CELLS);
    if (progress->total && cells >= BAR_CELLS_MIN) {
        size_t filled = ADL_MIN(progress->done, progress->total) * (size_t)cells / progress->total;
        bar[0] = '[';
        for (size_t i = 0; i < (size_t)cells; i++)
            bar[i + 1] = i < filled ? '#' : '.';
        memcpy(bar + cells + 1, "] ", 3);
    }
    fprintf(stderr, "\r%s%.*s\033[K", bar, columns, text);
    progress->drawn = true;
}

/* Shows the rate and the remaining time, assuming that the average rate does not change. */
static void show(struct adl_progress *progress, uint64_t now)
{
    double seconds = adl_clock_ms(progress->start_ns, now) / 1000;
    double rate = seconds > 0 ? (double)progress->done / seconds : 0;
    size_t left = progress->total > progress->done ? progress->total - progress->done : 0;
    char eta[40], text[256];
    /* `unit` is a plural; for one item, its last letter is left out. */
    size_t items = progress->total ? progress->total : progress->done;
    int length = (int)(strlen(progress->unit) - (items == 1));

    duration_text(eta, sizeof eta, rate > 0 ? (double)left / rate : 0);
    progress->shown_ns = now;
    if (!progress->terminal) {
        if (progress->total)
            fprintf(stderr, "%zu of %zu %.*s, %.1f/s, %s left%s%s\n", progress->done,
                    progress->total, length, progress->unit, rate, eta, *progress->note ? "; " : "",
                    progress->note);
        else
            fprintf(stderr, "%zu %.*s, %.1f/s\n", progress->done, length, progress->unit, rate);
        return;
    }
    if (progress->total)
        snprintf(text, sizeof text, "%zu/%zu %.*s  %.1f/s  %s left  %s", progress->done,
                 progress->total, length, progress->unit, rate, eta, progress->note);
    else
        snprintf(text, sizeof text, "%zu %.*s  %.1f/s", progress->done, length, progress->unit,
                 rate);
    draw(progress, text);
}

void adl_progress_update(struct adl_progress *progress, size_t done)
{
    uint64_t now = adl_clock_ns();
    double interval = progress->terminal ? BAR_INTERVAL_MS : LINE_INTERVAL_MS;

    progress->done = done;
    if (adl_clock_ms(progress->shown_ns, now) >= interval)
        show(progress, now);
}

void adl_progress_callback(void *progress, size_t done)
{
    adl_progress_update(progress, done);
}

void adl_progress_finish(struct adl_progress *progress)
{
    bool shown = progress->shown_ns != progress->start_ns;

    adl_progress_clear(progress);
    if (shown && !progress->terminal)
        show(progress, adl_clock_ns());
}
