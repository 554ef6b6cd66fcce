/* The parts of report.html: text from outside is escaped, and sections and charts are
 * well-formed XML and show the right figures for any data. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "server/report/report_parts.h"
#include "support/noise_image.h"
#include "support/test.h"
#include "support/well_formed.h"

/* --- pages -------------------------------------------------------------------------------- */

static void check_xml(const char *what, const char *text)
{
    const char *fault = text ? well_formed_fault(text) : "no text";
    if (fault)
        TEST_FAIL("%s is not well-formed at: %.100s", what, fault);
    else
        CU_PASS("");
}

static void the_checker_finds_faults(void)
{
    static const char *const bad[] = {
        "<a>",          "</a>",          "<a></b>", "<a b=c></a>",
        "<a b=\"<\"/>", "<a>&nope;</a>", "a & b",   "<a b=\"\"c=\"\"/>"};
    CU_ASSERT_PTR_NULL(well_formed_fault("<a b=\"c &amp; d\"><br/>text &lt;</a>"));
    for (size_t i = 0; i < ADL_COUNT(bad); i++)
        CU_ASSERT_PTR_NOT_NULL(well_formed_fault(bad[i]));
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* --- text and images ---------------------------------------------------------------------- */

static void text_is_escaped(void)
{
#define BAD "\xef\xbf\xbd"
    static const char *const cases[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"<script>alert(\"1\")</script>", "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"},
        {"a & b's", "a &amp; b&#39;s"},
        {"&amp;", "&amp;amp;"},
        {"Kätzchen 猫 🐈", "Kätzchen 猫 🐈"},
        {"tab\tline\n", "tab\tline\n"},
        {"bell\a", "bell" BAD},
        {"\x7f", BAD},
        {"\xff<", BAD "&lt;"},
        {"\xc3", BAD},                 /* cut off */
        {"\xc3\x28", BAD "("},         /* no continuation */
        {"\xc0\xbc", BAD BAD},         /* '<' in two bytes */
        {"\xe0\x80\xbc", BAD BAD BAD}, /* and in three */
        {"\xed\xa0\x80", BAD BAD BAD}, /* half a surrogate pair */
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
        {"\xef\xbf\xbf", BAD BAD BAD}, /* U+FFFF is not in XML */
    };
#undef BAD
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_str page = {0};
        adl_html_text(&page, cases[i][0]);
        if (strcmp(page.data ? page.data : "", cases[i][1]))
            TEST_FAIL("case %zu: \"%s\"", i, page.data ? page.data : "");
        else
            CU_PASS("");
        adl_str_release(&page);
    }
}

static size_t from_base64(const char *text, unsigned char *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t count = 0;
    unsigned bits = 0, group = 0;
    for (const char *digit; *text && (digit = strchr(digits, *text)); text++) {
        group = group << 6 | (unsigned)(digit - digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[count++] = (unsigned char)(group >> bits);
        }
    }
    return count;
}

/* Embedded images decode to the same pixels. The sizes give base64 lengths of every
 * remainder by 3. */
static void images_come_back(void)
{
    for (int size = 1; size <= 6; size++) {
        struct adl_error err = {0};
        struct adl_image image = noise_image(size, 7 - size, 5, 0, (uint64_t)size), back = {0};
        struct adl_str page = {0};
        unsigned char bytes[4096];
        size_t count = (size_t)size * (size_t)(7 - size) * 3;
        TEST_OK(adl_html_png(&page, &image, "a \"<b>\"", &err), &err);
        check_xml("an image", page.data);
        CU_ASSERT_PTR_NOT_NULL(strstr(page.data, "alt=\"a &quot;&lt;b&gt;&quot;\""));
        const char *data = strstr(page.data, "src=\"data:image/png;base64,");
        CU_ASSERT_FATAL(data != NULL);
        size_t length = from_base64(data + 27, bytes);
        TEST_OK(adl_image_decode(bytes, length, &(struct adl_decode_options){0}, &back, NULL, &err),
                &err);
        CU_ASSERT_FATAL(back.rgb != NULL);
        CU_ASSERT(back.width == size && back.height == 7 - size);
        CU_ASSERT_EQUAL(memcmp(back.rgb, image.rgb, count), 0);
        adl_image_release(&image);
        adl_image_release(&back);
        adl_str_release(&page);
    }
}

/* --- charts -------------------------------------------------------------------------------- */

static char *draw(const struct adl_chart *chart)
{
    struct adl_error err = {0};
    struct adl_str page = {0};
    adl_chart_write(&page, chart);
    char *text = adl_str_take(&page, NULL, &err);
    check_xml("a chart", text);
    CU_ASSERT_FATAL(text != NULL);
    CU_ASSERT_PTR_NULL(strstr(text, "nan"));
    CU_ASSERT_PTR_NULL(strstr(text, "inf"));
    return text;
}

/* The points of the first curve, which have to lie within the drawing. */
static size_t points_of(const char *text, double (*points)[2], size_t room)
{
    const char *at = strstr(text, "<path");
    size_t count = 0;
    CU_ASSERT_FATAL(at != NULL);
    if (!at)
        return 0;
    at = strstr(at, " d=\"") + 4;
    while (*at == 'M' || *at == 'L') {
        char *end;
        double x = strtod(at + 1, &end), y = strtod(end, &end);
        CU_ASSERT(x >= 0 && x <= 520 && y >= 0 && y <= 250);
        if (count < room) {
            points[count][0] = x;
            points[count][1] = y;
        }
        count++;
        at = end;
    }
    CU_ASSERT_EQUAL(*at, '"');
    return count;
}

static void charts_have_any_number_of_points(void)
{
    enum { MOST = 5000 };
    static const size_t counts[] = {0, 1, 2, 3, 59, 61, 399, 401, MOST};
    static double x[MOST], y[MOST], points[MOST][2];
    for (size_t i = 0; i < MOST; i++) {
        x[i] = (double)i + 1;
        y[i] = 3 + (double)i * 0.01;
    }
    for (size_t i = 0; i < ADL_COUNT(counts); i++) {
        for (int log_y = 0; log_y < 2; log_y++) {
            const struct adl_chart chart = {.title = "t",
                                            .x_name = "epoch",
                                            .x = x,
                                            .count = counts[i],
                                            .lines = {{"l", y}},
                                            .line_count = 1,
                                            .whole_x = true,
                                            .log_y = log_y,
                                            .mark_x = (double)counts[i],
                                            .mark_name = "best"};
            char *text = draw(&chart);
            CU_ASSERT_EQUAL(strstr(text, "<svg") != NULL, counts[i] > 0);
            if (counts[i] > 0) {
                size_t n = points_of(text, points, MOST);
                CU_ASSERT(n == counts[i] || (counts[i] > 300 && n > 200 && n <= 402));
                CU_ASSERT_PTR_NOT_NULL(strstr(text, ">best</text>"));
                /* Rising values are drawn rising, from left to right. */
                for (size_t k = 1; k < n; k++)
                    CU_ASSERT(points[k][0] >= points[k - 1][0] && points[k][1] <= points[k - 1][1]);
                CU_ASSERT(n < 2 || (points[0][0] == 52 && points[n - 1][0] == 506));
            }
            adl_free(text);
        }
    }
}

static void charts_cope_with_odd_values(void)
{
    static const double x[] = {1, 2, 3, 4, 5};
    const double rows[][5] = {
        {NAN, NAN, NAN, NAN, NAN}, {1, NAN, 3, NAN, 5},      {0, 0, 0, 0, 0},
        {-1, -1, -1, -1, -1},      {1e-9, 1e-3, 1, 10, 1e6}, {INFINITY, 1, -INFINITY, 2, 1e300},
        {100, 100, 100, 100, 100}, {-1e11, 0, 1e11, 5, 6},   {1e-30, 1e-30, 1e-30, 1e-30, 1e-30}};
    static const size_t pieces[] = {0, 3, 1, 1, 1, 2, 1, 1, 1};
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        for (int kind = 0; kind < 3; kind++) {
            const struct adl_chart chart = {.title = "t",
                                            .x_name = "x",
                                            .x = x,
                                            .count = 5,
                                            .lines = {{"l", rows[i]}},
                                            .line_count = 1,
                                            .percent = kind == 1,
                                            .log_y = kind == 2,
                                            .mark_x = NAN,
                                            .mark_name = "m"};
            if (kind == 1 && i != 1 && i != 2 && i != 6)
                continue; /* no percentages */
            char *text = draw(&chart);
            CU_ASSERT_EQUAL(strstr(text, "<svg") != NULL, i > 0);
            CU_ASSERT_PTR_NULL(strstr(text, ">m</text>"));
            if (i > 0) {
                double points[5][2];
                points_of(text, points, 5);
                const char *path = strstr(text, " d=\"");
                size_t begun = 0;
                for (const char *c = path + 4; *c != '"'; c++)
                    begun += *c == 'M';
                CU_ASSERT_EQUAL(begun, pieces[i]);
            }
            adl_free(text);
        }
    }
}

/* --- sections --------------------------------------------------------------------------------- */

static void metrics_are_read_line_by_line(void)
{
    static const char text[] =
        "{\"epoch\":1,\"lr\":0.1,\"train_loss\":2.5,\"train_top1\":10,\"seconds\":3}\n"
        "no json\n\n[]\n{\"epoch\":\"2\"}\n{\"epoch\":1,\"train_loss\":9}\n"
        "{\"epoch\":3,\"lr\":\"x\",\"train_loss\":1.5,\"best\":true,\"val\":{\"top1_cls\":40,"
        "\"max_box_acc_v2\":33,\"best_threshold\":0.25}}";
    struct adl_report_epochs e;
    struct adl_error err = {0};
    TEST_OK(adl_report_epochs_parse(text, &e, &err), &err);
    CU_ASSERT_EQUAL_FATAL(e.count, 2);
    CU_ASSERT_EQUAL(e.best_epoch, 3);
    CU_ASSERT(e.epoch[0] == 1 && e.epoch[1] == 3 && e.loss[0] == 2.5 && e.loss[1] == 1.5);
    CU_ASSERT(e.lr[0] == 0.1 && isnan(e.lr[1]) && isnan(e.val_top1[0]) && e.val_top1[1] == 40);
    CU_ASSERT(e.max_box_acc_v2[1] == 33 && isnan(e.max_box_acc[1]) && e.threshold[1] == 0.25);
    struct adl_str page = {0};
    adl_report_curves(&page, &e);
    check_xml("curves", page.data);
    CU_ASSERT_EQUAL(count_of(page.data, "<svg"), 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(page.data, "has no boxes"));
    adl_str_release(&page);
    adl_report_epochs_release(&e);
    TEST_OK(adl_report_epochs_parse("", &e, &err), &err);
    CU_ASSERT(e.count == 0 && e.best_epoch == 0);
    adl_report_curves(&page, &e);
    check_xml("no curves", page.data);
    CU_ASSERT_EQUAL(count_of(page.data, "<svg"), 0);
    adl_str_release(&page);
    adl_report_epochs_release(&e);
}

/* The curves show the counts of the evaluation as percentages. */
static void threshold_curves_show_the_counts(void)
{
    uint64_t right[3 * 4] = {8, 8, 4, 0, 8, 6, 4, 0, 2, 0, 0, 0};
    const struct adl_evaluate_report r = {
        .images = 8,
        .localized = true,
        .figures = {.best_threshold = 0.25},
        .counts = {.interval = 0.25, .steps = 4, .localized = 8, .largest = right, .all = right}};
    struct adl_str page = {0};
    adl_report_thresholds(&page, &r);
    check_xml("thresholds", page.data);
    CU_ASSERT_EQUAL(count_of(page.data, "<svg"), 2);
    CU_ASSERT_EQUAL(count_of(page.data, "IoU 0.5, threshold 0.25: 75</title>"), 2);
    CU_ASSERT_EQUAL(count_of(page.data, "IoU 0.7, threshold 0: 25</title>"), 2);
    adl_str_release(&page);
    adl_report_thresholds(&page, NULL);
    adl_report_thresholds(&page, &(struct adl_evaluate_report){.images = 3});
    check_xml("no thresholds", page.data);
    CU_ASSERT_EQUAL(count_of(page.data, "<p class=\"note\">"), 2);
    adl_str_release(&page);
}

/* Two answers at 0.9, one of them right, and one at 0.35: the points of the diagram. */
static void reliability_diagrams_show_the_bins(void)
{
    struct adl_evaluate_report r = {.images = 3, .localized = true};
    struct adl_str page = {0};
    adl_reliability_add(&r.class_scores, 0.9, true);
    adl_reliability_add(&r.class_scores, 0.94, false);
    adl_reliability_add(&r.class_scores, 0.35, false);
    adl_report_reliability(&page, &r);
    check_xml("reliability", page.data);
    CU_ASSERT_EQUAL(count_of(page.data, "<svg"), 1);
    CU_ASSERT_EQUAL(count_of(page.data, "right, class score, % 92: 50</title>"), 1);
    CU_ASSERT_EQUAL(count_of(page.data, "right, class score, % 35: 0</title>"), 1);
    CU_ASSERT_EQUAL(count_of(page.data, "; 90–100\u00a0%: 2</p>"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(page.data, "Expected calibration error 0.397"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page.data, "calibrate gives them one"));
    adl_str_release(&page);
    r.box_confidences = r.class_scores;
    adl_report_reliability(&page, &r);
    check_xml("reliability of boxes", page.data);
    CU_ASSERT_EQUAL(count_of(page.data, "<svg"), 2);
    adl_str_release(&page);
    adl_report_reliability(&page, NULL);
    adl_report_reliability(&page, &(struct adl_evaluate_report){.images = 3});
    check_xml("no reliability", page.data);
    CU_ASSERT_EQUAL(count_of(page.data, "<svg"), 0);
    adl_str_release(&page);
}

static void classes_come_hardest_first(void)
{
    json_t *labels = json_pack("[s, s, s, s]", "easy", "<b>bad</b>", "none", "\"middle\" & more");
    struct adl_evaluate_class classes[] = {{.images = 4, .gt_known = 4, .top1 = 4},
                                           {.images = 4, .gt_known = 1, .top1 = 4},
                                           {0},
                                           {.images = 4, .gt_known = 2, .top1 = 3}};
    struct adl_evaluate_report r = {
        .images = 12, .localized = true, .classes = classes, .class_count = 4};
    struct adl_error err = {0};
    struct adl_str page = {0};
    TEST_OK(adl_report_classes(&page, &r, labels, &err), &err);
    check_xml("classes", page.data);
    const char *bad = strstr(page.data, "&lt;b&gt;bad&lt;/b&gt;</td>");
    const char *middle = strstr(page.data, "&quot;middle&quot; &amp; more</td>");
    const char *easy = strstr(page.data, "easy</td>");
    CU_ASSERT(bad && middle && easy && bad < middle && middle < easy);
    CU_ASSERT_PTR_NULL(strstr(page.data, ">none<"));
    CU_ASSERT_EQUAL(count_of(page.data, "--v:25.0%"), 1);
    adl_str_release(&page);
    r.localized = false;
    TEST_OK(adl_report_classes(&page, &r, NULL, &err), &err);
    TEST_OK(adl_report_classes(&page, NULL, NULL, &err), &err);
    check_xml("classes without boxes", page.data);
    CU_ASSERT_PTR_NULL(strstr(page.data, "localized %"));
    CU_ASSERT_EQUAL(count_of(page.data, "<td>class 3</td>"), 1);
    adl_str_release(&page);
    json_decref(labels);
}

/* The head names the measure that chose the best epoch (adl_train_measure). */
static void the_best_epoch_has_its_measure(void)
{
    static const struct {
        const char *line, *by;
        bool boxes;
    } cases[] = {
        {"\"val\":{\"top1_cls\":40}", "by top-1 on val", false},
        {"\"val\":{\"top1_cls\":40,\"max_box_acc_v2\":50}", "by MaxBoxAccV2 on val", true},
        {"\"val\":{\"top1_cls\":40,\"pxap\":60}", "by PxAP on val", false},
        {"\"val\":{\"pxap\":60,\"max_box_acc_v2\":50}", "by MaxBoxAccV2 on val", true},
        {"\"train_labels\":70,\"val\":{\"mean_average_precision\":40}",
         "by mean average precision on val", false},
        {"\"train_labels\":70,\"val\":{\"mean_average_precision\":40,\"pxap\":60}",
         "by PxAP on val", false},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_run_record record = {.program = "p",
                                        .command = "c",
                                        .network = "n",
                                        .data = "d",
                                        .epochs = 1,
                                        .train_images = 9,
                                        .val_images = 3,
                                        .classes = 2,
                                        .val_boxes = cases[i].boxes,
                                        .cpu_path = "a",
                                        .processor = "b",
                                        .blas_version = "v",
                                        .blas_threading = "t",
                                        .config = json_object()};
        struct adl_report_epochs epochs;
        struct adl_error err = {0};
        struct adl_str page = {0};
        char line[200];
        snprintf(line, sizeof line, "{\"epoch\":1,\"best\":true,%s}\n", cases[i].line);
        TEST_OK(adl_report_epochs_parse(line, &epochs, &err), &err);
        adl_report_head(&page, &record, &epochs);
        CU_ASSERT_PTR_NOT_NULL_FATAL(page.data);
        if (!strstr(page.data, cases[i].by))
            TEST_FAIL("%s is not %s", cases[i].line, cases[i].by);
        adl_str_release(&page);
        adl_report_epochs_release(&epochs);
        json_decref(record.config);
    }
}

TEST_SUITE(report, {"the checker finds faults", the_checker_finds_faults},
           {"text is escaped", text_is_escaped}, {"images come back", images_come_back},
           {"charts have any number of points", charts_have_any_number_of_points},
           {"charts cope with odd values", charts_cope_with_odd_values},
           {"metrics are read line by line", metrics_are_read_line_by_line},
           {"threshold curves show the counts", threshold_curves_show_the_counts},
           {"reliability diagrams show the bins", reliability_diagrams_show_the_bins},
           {"classes come hardest first", classes_come_hardest_first},
           {"the best epoch has its measure", the_best_epoch_has_its_measure});
