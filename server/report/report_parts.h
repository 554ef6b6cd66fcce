#ifndef ADL_SERVER_REPORT_REPORT_PARTS_H
#define ADL_SERVER_REPORT_REPORT_PARTS_H

/* Types and functions that the files of this directory and the page about an experiment
 * (server/experiment/) share; no other file includes this header. Every function appends to a page
 * in memory, which is well-formed XML as well as HTML. Running out of memory sets page->failed,
 * which is checked once, before the page is written. */

#include "base/str.h"
#include "eval/confusion.h"
#include "eval/evaluate.h"
#include "image/image.h"
#include "models/model.h"
#include "server/training/run_record.h"
#include "server/training/train_event.h"

/* A space that no line is broken at. */
#define NBSP "\xc2\xa0"

/* --- report_html.c ---------------------------------------------------------------- */

/* Appends untrusted text, for use between tags or in a quoted attribute. Characters with a
 * meaning in HTML are escaped; bytes that are not UTF-8, and characters that XML does not
 * allow, become U+FFFD. */
void adl_html_text(struct adl_str *page, const char *text);
/* Append an image as a data URI; `alt` is untrusted text. */
int adl_html_jpeg(struct adl_str *page, const struct adl_image *image, const char *alt,
                  struct adl_error *err) ADL_MUST_CHECK;
int adl_html_png(struct adl_str *page, const struct adl_image *image, const char *alt,
                 struct adl_error *err) ADL_MUST_CHECK;
/* Appends a paragraph, which is cut after 1023 bytes. The text is escaped. */
void adl_html_note(struct adl_str *page, const char *fmt, ...) ADL_PRINTF(2, 3);
/* Append the beginning of a page, up to its content, and the end. `title` is untrusted text. */
void adl_html_start(struct adl_str *page, const char *title);
void adl_html_end(struct adl_str *page);

/* --- report_files.S ---------------------------------------------------------------- */

/* The style sheet of reports, the script of a report with pictures (report.js) and the sections
 * that it draws into, each up to its `_end`. */
extern const char adl_report_style[], adl_report_style_end[];
extern const char adl_report_script[], adl_report_script_end[];
extern const char adl_report_frame[], adl_report_frame_end[];

/* --- report_held.c ----------------------------------------------------------------- */

/* Appends the pictures over the epochs (server/training/run_pictures.h) of the run in `dir`, with
 * the script that shows them; nothing if the run has none. What is damaged or too large is left
 * out. Fails with ADL_ERR_NOMEM. */
struct adl_report_epochs;
int adl_report_held(struct adl_str *page, const char *dir, const struct adl_report_epochs *epochs,
                    struct adl_error *err) ADL_MUST_CHECK;

/* --- report_svg.c ----------------------------------------------------------------- */

/* Beyond eight lines, those with the same colour are told apart by dashes. */
#define ADL_CHART_LINES 16

struct adl_chart_line {
    const char *name; /* untrusted text */
    const double *y;  /* `count` values; NaN: no point */
};

struct adl_chart {
    const char *title;
    const char *x_name;
    const double *x; /* `count` rising values */
    size_t count;
    struct adl_chart_line lines[ADL_CHART_LINES];
    size_t line_count;
    bool percent;  /* y starts at 0 and ends at 100 at most */
    bool log_y;    /* a logarithmic y axis, if all values are positive and span more than 20:1 */
    bool whole_x;  /* ticks at whole numbers only */
    bool log_x;    /* a logarithmic x axis; all x are positive */
    double mark_x; /* where to draw a vertical line; NaN: nowhere */
    const char *mark_name;
};

/* Appends a figure with title, legend, axes and lines; if there is no point, only the title
 * and a note. Titles are not escaped: they must not come from files. */
void adl_chart_write(struct adl_str *page, const struct adl_chart *chart);

/* --- report_sections.c ------------------------------------------------------------- */

/* The lines of metrics.jsonl as columns in one block of memory; NaN where a line lacks the
 * number. Epochs rise, but some may be missing. */
struct adl_report_epochs {
    size_t count;
    int best_epoch; /* the last that was marked as best; 0: none */
    /* Images may have several labels: train_top1 is the percentage of their classes that are judged
     * right, and val_top1 the mean average precision. */
    bool several;
    double *epoch, *lr, *loss, *train_top1, *seconds;
    double *val_top1, *gt_known, *max_box_acc, *max_box_acc_v2, *threshold;
    double *pxap, *miou, *miou_threshold; /* with masks; the mean IoU at its best threshold */
};

/* Reads the text of metrics.jsonl. Lines that are not JSON objects, or whose epoch does not
 * rise, are skipped. */
int adl_report_epochs_parse(const char *text, struct adl_report_epochs *epochs,
                            struct adl_error *err) ADL_MUST_CHECK;
void adl_report_epochs_release(struct adl_report_epochs *epochs);

void adl_report_curves(struct adl_str *page, const struct adl_report_epochs *epochs);
/* `evaluation` may be NULL in both functions: then a note says that there is none. `labels`
 * is an array with the name of each class, or NULL. */
void adl_report_thresholds(struct adl_str *page, const struct adl_evaluate_report *evaluation);
int adl_report_classes(struct adl_str *page, const struct adl_evaluate_report *evaluation,
                       const json_t *labels, struct adl_error *err) ADL_MUST_CHECK;

/* --- report_kept.c -------------------------------------------------------------------- */

/* Returns whether a list of pictures, a file, says that it has this digest. */
bool adl_report_kept_fits(const char *index, const char *digest);
/* Removes the list of pictures of a run, and what its first `epochs` epochs saw in them; what is
 * not there is none. Fails with ADL_ERR_NOMEM. */
int adl_report_kept_forget(const char *dir, int epochs, struct adl_error *err) ADL_MUST_CHECK;

/* --- report_confusion.c --------------------------------------------------------------- */

/* Appends the confusion matrix of a network of `class_count` classes, as a picture if up to 200 of
 * them occur, and the pairs of classes that are confused most. `labels` is an array with the name
 * of each class, or NULL. Fails with ADL_ERR_NOMEM. */
int adl_report_confusion(struct adl_str *page, const struct adl_confusion *confusion,
                         size_t class_count, const json_t *labels,
                         struct adl_error *err) ADL_MUST_CHECK;

/* --- report_reliability.c ------------------------------------------------------------ */

/* Appends the reliability diagrams of class scores and boxes; `evaluation` may be NULL. */
void adl_report_reliability(struct adl_str *page, const struct adl_evaluate_report *evaluation);

/* --- report_rates.c --------------------------------------------------------------------- */

/* Replaces DIR/find-lr.html, the losses of --find-lr. Fails with ADL_ERR_NOMEM, and as
 * adl_file_write does. */
int adl_report_rates(const char *dir, const struct adl_train_rates *rates,
                     struct adl_error *err) ADL_MUST_CHECK;

/* --- report_head.c ----------------------------------------------------------------- */

void adl_report_head(struct adl_str *page, const struct adl_run_record *record,
                     const struct adl_report_epochs *epochs);

/* --- report_gallery.c --------------------------------------------------------------- */

/* What the sections with images are made from. Immutable, except for the views. */
struct adl_report_images {
    const struct adl_dataset *data; /* val, or train if there is no val split */
    const struct adl_model *model;
    struct adl_views *views;
    struct adl_pool *pool;
    const union adl_method_value *values;    /* the options of all methods in the run */
    const struct adl_evaluate_place *places; /* by index in `data`; NULL: not measured */
    bool localized;                          /* `data` has true boxes, or else masks */
    uint64_t seed;                           /* of the random choice of images */
};

/* Decodes image `index` as training does. *width and *height become its size, `small` a reduced
 * copy for a page with the same aspect ratio, and `inputs` copies resized to the network's input
 * sizes, which the caller releases. */
int adl_report_open_image(const struct adl_report_images *p, size_t index, int *width, int *height,
                          const struct adl_view_sizes *sizes, struct adl_image *small,
                          struct adl_view_images *inputs, struct adl_error *err) ADL_MUST_CHECK;

/* The network's result for an image. */
struct adl_report_prediction {
    struct adl_localization place; /* of the true class, in pixels of `small`; owned */
    float probability;             /* of the true class */
    size_t top;                    /* the most probable class, */
    float top_probability;         /* and its probability */
};

/* Runs the network on the views of an image and cuts the map of the class into the largest box, in
 * pixels of an image of the size of `small`. */
int adl_report_predict(const struct adl_report_images *p, const struct adl_view_run *run,
                       int class_id, const struct adl_image *small,
                       const struct adl_view_images *inputs,
                       struct adl_report_prediction *prediction,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Returns the model's weights as a tape takes them, to be freed by adl_free(). The tape writes to
 * running statistics only, and not even to those while batch norm is frozen. */
float **adl_report_tape_params(const struct adl_model *model, struct adl_error *err) ADL_MUST_CHECK;

/* Appends the best, the worst and some random images with map and boxes. */
int adl_report_gallery(struct adl_str *page, const struct adl_report_images *images,
                       struct adl_error *err) ADL_MUST_CHECK;
/* Appends one image as a figure, with the map and the box of its true class. With `places` its
 * caption has the IoU. */
int adl_report_shot(struct adl_str *page, const struct adl_report_images *p, size_t index,
                    struct adl_error *err) ADL_MUST_CHECK;
/* Returns the method of the model whose layers save an attention; NULL if there is none, or no
 * model. */
const struct adl_method *adl_report_attention_method(const struct adl_model *model);
/* Appends what such layers see in a few images: the attention of each, what it hides and the
 * factors of the rest. */
int adl_report_attention(struct adl_str *page, const struct adl_report_images *images,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
