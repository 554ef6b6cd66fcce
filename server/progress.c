/* The progress bar. */

#include "server/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define BAR_INTERVAL_MS 100
#define LINE_INTERVAL_MS 60000
#define BAR_CELLS 30

static void duration_text(char *text, size_t size, double seconds)
{
    long s = (long)seconds;
    if (s >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

void adl_progress_start(struct adl_progress *progress, const char *what, size_t total)
{
    const char *term = getenv("TERM");
    uint64_t now = adl_clock_ns();

    *progress = (struct adl_progress){.what = what, .total = total, .start_ns = now};
    progress->shown_ns = now;
    progress->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

void adl_progress_clear(struct adl_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}

static void show(struct adl_progress *progress, uint64_t now)
{
    double seconds = adl_clock_ms(progress->start_ns, now) / 1000;
    double rate = seconds > 0 ? (double)progress->done / seconds : 0;
    size_t left = progress->total > progress->done ? progress->total - progress->done : 0;
    char eta[40], bar[BAR_CELLS + 1];

    duration_text(eta, sizeof eta, rate > 0 ? (double)left / rate : 0);
    progress->shown_ns = now;
    if (!progress->terminal) {
        if (progress->total)
            fprintf(stderr, "%zu of %zu %s, %.1f/s, %s left%s%s\n", progress->done, progress->total,
                    progress->what, rate, eta, *progress->note ? "; " : "", progress->note);
        else
            fprintf(stderr, "%zu %s, %.1f/s\n", progress->done, progress->what, rate);
        return;
    }
    size_t filled = progress->total ? progress->done * BAR_CELLS / progress->total : 0;
    for (size_t i = 0; i < BAR_CELLS; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    if (progress->total)
        fprintf(stderr, "\r[%s] %zu/%zu %s  %.1f/s  %s left  %s\033[K", bar, progress->done,
                progress->total, progress->what, rate, eta, progress->note);
    else
        fprintf(stderr, "\r%zu %s  %.1f/s\033[K", progress->done, progress->what, rate);
    progress->drawn = true;
}

void adl_progress_update(struct adl_progress *progress, size_t done)
{
    uint64_t now = adl_clock_ns();
    double interval = progress->terminal ? BAR_INTERVAL_MS : LINE_INTERVAL_MS;

    progress->done = done;
    if (adl_clock_ms(progress->shown_ns, now) >= interval)
        show(progress, now);
}

void adl_progress_finish(struct adl_progress *progress)
{
    bool shown = progress->shown_ns != progress->start_ns;

    adl_progress_clear(progress);
    if (shown && !progress->terminal)
        show(progress, adl_clock_ns());
}
