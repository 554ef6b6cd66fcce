#ifndef ADL_SERVER_REPORT_REPORT_PARTS_H
#define ADL_SERVER_REPORT_REPORT_PARTS_H

/* Between the report's files; nobody else includes this. Everything is appended
 * to a page in memory that is well-formed XML as well as HTML; whether memory
 * was enough is asked once, when it is written. */

#include "base/str.h"
#include "image/image.h"
#include "models/model.h"
#include "plan/session.h"
#include "eval/evaluate.h"
#include "server/training/run_record.h"

/* --- report_html.c ---------------------------------------------------------------- */

/* Text from anywhere, between tags or in a quoted attribute: what has a meaning
 * in HTML is escaped, and bytes that are no UTF-8 or no XML become U+FFFD. */
void adl_html_text(struct adl_str *page, const char *text);
/* An image within the page, its `alt` text from anywhere. */
int adl_html_jpeg(struct adl_str *page, const struct adl_image *image, const char *alt,
                  struct adl_error *err) ADL_MUST_CHECK;
int adl_html_png(struct adl_str *page, const struct adl_image *image, const char *alt,
                 struct adl_error *err) ADL_MUST_CHECK;
/* A paragraph of the program's own words. */
void adl_html_note(struct adl_str *page, const char *fmt, ...) ADL_PRINTF(2, 3);
void adl_html_style(struct adl_str *page);

/* --- report_svg.c ----------------------------------------------------------------- */

#define ADL_CHART_LINES 4

struct adl_chart_line {
    const char *name;
    const double *y; /* NaN: no point here */
};

struct adl_chart {
    const char *title;
    const char *x_name;
    const double *x; /* rising */
    size_t count;
    struct adl_chart_line lines[ADL_CHART_LINES];
    size_t line_count;
    bool percent;  /* y from 0 on, up to 100 at most */
    bool log_y;    /* where all are above 0 */
    bool whole_x;  /* ticks at whole numbers */
    double mark_x; /* a vertical line; NaN: none */
    const char *mark_name;
};

/* A figure: title, legend, axes and lines; with no point at all, its title and
 * a sentence. Names are the program's own words. */
void adl_chart_write(struct adl_str *page, const struct adl_chart *chart);

/* --- report_sections.c ------------------------------------------------------------- */

/* The lines of metrics.jsonl in columns; one block, NaN where a line has no such
 * number. Epochs rise, but some may be missing. */
struct adl_report_epochs {
    size_t count;
    int best_epoch; /* the last that was marked as best; 0: none */
    double *epoch, *lr, *loss, *train_top1, *seconds;
    double *val_top1, *gt_known, *max_box_acc, *max_box_acc_v2, *threshold;
};

int adl_report_epochs_parse(const char *text, struct adl_report_epochs *epochs,
                            struct adl_error *err) ADL_MUST_CHECK;
void adl_report_epochs_release(struct adl_report_epochs *epochs);

void adl_report_curves(struct adl_str *page, const struct adl_report_epochs *epochs);
/* `evaluation` may be NULL in both: then a note says that there is none. `labels`
 * is an array with the name of each class, or NULL. */
void adl_report_thresholds(struct adl_str *page, const struct adl_evaluate_report *evaluation);
int adl_report_classes(struct adl_str *page, const struct adl_evaluate_report *evaluation,
                       const json_t *labels, struct adl_error *err) ADL_MUST_CHECK;

/* --- report_head.c ----------------------------------------------------------------- */

void adl_report_head(struct adl_str *page, const struct adl_run_record *record,
                     const struct adl_report_epochs *epochs);

/* --- report_gallery.c --------------------------------------------------------------- */

/* What pictures are made with: weights read back from the run's folder. */
struct adl_report_pictures {
    const struct adl_dataset *data; /* val, or train where there is no val */
    const struct adl_model *model;
    struct adl_session *session;
    struct adl_pool *pool;
    double adl_threshold; /* of the drop mask, a share of the greatest attention */
    bool adl_importance;  /* false: the run put 1 in place of the importance map */
    const struct adl_evaluate_place *places; /* by index in `data` */
    bool localized;                          /* there are boxes */
    uint64_t seed;                           /* of what is drawn by lot */
};

int adl_report_gallery(struct adl_str *page, const struct adl_report_pictures *pictures,
                       struct adl_error *err) ADL_MUST_CHECK;
int adl_report_adl_maps(struct adl_str *page, const struct adl_report_pictures *pictures,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
