/* server/report/report_confusion: cells, names and pairs of the confusion matrix. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/report/report_parts.h"
#include "support/well_formed.h"

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

static bool has(const struct adl_str *page, const char *part)
{
    bool found = strstr(page->data, part);
    if (!found)
        TEST_FAIL("there is no \"%s\"", part);
    return found;
}

/* Counts the pairs of true and predicted classes, ended by -1. */
static struct adl_confusion count_pairs(const int (*pairs)[2], size_t count)
{
    struct adl_error err = {0};
    struct adl_confusion confusion;
    struct adl_dataset_image *images = adl_calloc(count, sizeof *images);
    struct adl_evaluate_place *places = adl_calloc(count, sizeof *places);
    for (size_t i = 0; i < count; i++) {
        images[i].class_id = pairs[i][0];
        places[i] =
            (struct adl_evaluate_place){.measured = pairs[i][1] >= 0, .predicted = pairs[i][1]};
    }
    const struct adl_dataset data = {.images = images, .count = count};
    TEST_OK(adl_confusion_count(&confusion, &data, places, &err), &err);
    adl_free(images);
    adl_free(places);
    return confusion;
}

static void cells_are_counted_and_drawn(void)
{
    static const int pairs[][2] = {{2, 0}, {0, 0}, {2, 4}, {0, 2}, {2, 0}, {2, 2}, {0, -1}, {0, 0}};
    struct adl_confusion c = count_pairs(pairs, ADL_COUNT(pairs));
    struct adl_error err = {0};
    struct adl_str page = {0};
    json_t *labels =
        json_pack("[s, s, s, s, s]", "a<b", "never", "a cat \"of nine tails\" \xc3\xa9", "neither",
                  "0123456789012345678\xc3\xa9\xc3\xa9");
    const struct adl_confusion_cell want[] = {
        {0, 0, 2}, {0, 2, 1}, {2, 0, 2}, {2, 2, 1}, {2, 4, 1}};
    CU_ASSERT_FATAL(c.count == ADL_COUNT(want) && c.images == 7);
    for (size_t i = 0; i < c.count; i++)
        CU_ASSERT(c.cells[i].truth == want[i].truth && c.cells[i].predicted == want[i].predicted &&
                  c.cells[i].images == want[i].images);
    TEST_OK(adl_report_confusion(&page, &c, 5, labels, &err), &err);
    CU_ASSERT_PTR_NULL(well_formed_fault(page.data));
    CU_ASSERT_EQUAL(count_of(page.data, "<rect class=\"dot l1\""), 3);
    CU_ASSERT_EQUAL(count_of(page.data, "<rect class=\"dot l2\""), 2);
    CU_ASSERT_EQUAL(count_of(page.data, "<text"), 6);
    CU_ASSERT(has(&page, "<title>a&lt;b recognised: 2 of 3</title>"));
    CU_ASSERT(has(&page, " taken for a&lt;b: 2 of 4</title>"));
    /* Two of four images: half of the row. */
    CU_ASSERT(has(&page, "fill-opacity=\"0.57\"><title>a cat"));
    /* A name that is too long ends between two characters. */
    CU_ASSERT(has(&page, ">0123456789012345678…</text>"));
    CU_ASSERT(has(&page, "4 of 7 images were taken for another class"));
    CU_ASSERT_EQUAL(count_of(page.data, "<tr><td>"), 3);
    CU_ASSERT(strstr(page.data, "<td class=\"num\">2</td>") <
              strstr(page.data, "<td class=\"num\">1</td>"));
    adl_str_release(&page);
    json_decref(labels);
    adl_confusion_release(&c);
}

/* 150 classes are drawn with numbers, 201 only have the table. */
static void many_classes_have_numbers_or_a_table(void)
{
    for (int classes = 150; classes <= 201; classes += 51) {
        int pairs[201][2];
        for (int i = 0; i < classes; i++) {
            pairs[i][0] = i;
            pairs[i][1] = (i + 1) % classes;
        }
        struct adl_confusion c = count_pairs((const int(*)[2])pairs, (size_t)classes);
        struct adl_error err = {0};
        struct adl_str page = {0};
        TEST_OK(adl_report_confusion(&page, &c, 1000, NULL, &err), &err);
        CU_ASSERT_PTR_NULL(well_formed_fault(page.data));
        CU_ASSERT_EQUAL(count_of(page.data, "<rect class=\"dot"), classes == 150 ? 150 : 0);
        CU_ASSERT_EQUAL(count_of(page.data, "<text"), classes == 150 ? 30 : 0);
        CU_ASSERT_EQUAL(count_of(page.data, "<tr><td>"), 30);
        adl_str_release(&page);
        adl_confusion_release(&c);
    }
}

static void nothing_wrong_is_said(void)
{
    static const int pairs[][2] = {{1, 1}};
    struct adl_error err = {0};
    struct adl_str page = {0};
    for (size_t count = 0; count < 2; count++) {
        struct adl_confusion c = count_pairs(pairs, count);
        TEST_OK(adl_report_confusion(&page, &c, 2, NULL, &err), &err);
        CU_ASSERT(has(&page, "No image was taken for another class."));
        CU_ASSERT_EQUAL(count_of(page.data, "<svg"), (int)count);
        page.length = 0;
        adl_confusion_release(&c);
    }
    adl_str_release(&page);
}

TEST_SUITE(report_confusion, {"cells are counted and drawn", cells_are_counted_and_drawn},
           {"many classes have numbers or a table", many_classes_have_numbers_or_a_table},
           {"nothing wrong is said", nothing_wrong_is_said});
