#ifndef ADL_SERVER_REPORT_REPORT_H
#define ADL_SERVER_REPORT_REPORT_H

/* report.html of a training run: one file without scripts that shows offline
 * what the run did. report.c has the page, report_sections.c its curves and
 * tables, report_gallery.c its pictures, report_svg.c charts, report_html.c
 * text and images as HTML. */

#include "server/training/train_run.h"

/* Writes the report anew. It reads the run's files and figures and computes
 * with weights of its own, so that training goes on to the same bits; a failure
 * is a warning on standard error. Does nothing with --no-report. Once
 * *run->stop is set, it looks at all of val no longer. */
void adl_report_write(const struct adl_train_run *run, enum adl_train_when when);

#endif
