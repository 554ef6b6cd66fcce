/* Writes the page of --find-lr: one chart of the losses over the learning rate. */

#include <math.h>

#include "base/mem.h"
#include "io/file.h"
#include "server/report/report_parts.h"

#define FILE_NAME "find-lr.html"

static void put_page(struct adl_str *page, const struct adl_train_rates *rates)
{
    struct adl_chart chart = {.title = "Loss at a growing learning rate",
                              .x_name = "learning rate",
                              .x = rates->rates,
                              .count = rates->count,
                              .lines = {{"smoothed", rates->smoothed}, {"step", rates->losses}},
                              .line_count = 2,
                              .log_x = true,
                              .log_y = true,
                              .mark_x = rates->suggested,
                              .mark_name = "suggested"};

    adl_html_start(page, "Learning rate");
    adl_str_puts(page,
                 "<header><h1>Learning rate</h1></header>\n<section><div class=\"charts\">\n");
    adl_chart_write(page, &chart);
    adl_str_puts(page, "</div>\n");
    adl_html_note(page,
                  "Suggested is %.2g, where the smoothed loss falls steepest. It is lowest "
                  "at %.2g; a rate as high as that is close to diverging.",
                  rates->suggested, rates->lowest);
    adl_str_puts(page, "</section>\n");
    adl_html_end(page);
}

int adl_report_rates(const char *dir, const struct adl_train_rates *rates, struct adl_error *err)
{
    int result = -1;
    struct adl_str page = {0};
    char *path = adl_run_path(dir, FILE_NAME, err);

    put_page(&page, rates);
    if (path && page.failed)
        adl_fail_nomem(err, "the page");
    else if (path)
        result = adl_file_write(path, &(struct adl_file_piece){page.data, page.length}, 1, err);
    adl_free(path);
    adl_str_release(&page);
    return result;
}
