/* eval/evaluate_parts: an evaluation that ranks share, which are threads here, gives rank 0 the
 * bits of an evaluation in one process, and ends on all ranks if one fails or is stopped. */

#include "support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "data/dataset_open.h"
#include "eval/evaluate_parts.h"
#include "models/model.h"
#include "support/scratch.h"
#include "support/small_model.h"
#include "support/thread_ranks.h"
#include "support/train_fixture.h"

enum { IMAGES = 8, GROUP = 2 };

/* Some confidence, different for each box. */
static const struct adl_confidence some_confidence = {
    .weights = {0.3, 0.7, -0.4}, .low = {-9, -9, -9, -9, -9}, .high = {9, 9, 9, 9, 9}};

static struct adl_dataset *dataset;

struct rank {
    int number, ranks, stop_at; /* the group before which it is stopped, from 1; 0: none */
    bool fails;
    int asked, result;
    struct adl_evaluate_place places[IMAGES];
    struct adl_evaluate_report report;
    struct adl_error err;
};

static bool is_stopped(void *context)
{
    struct rank *rank = context;
    return ++rank->asked == rank->stop_at;
}

static void *rank_main(void *argument)
{
    struct rank *rank = argument;
    const struct adl_exchange exchange = thread_exchange(&rank->number, rank->ranks);
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    struct adl_views *views = adl_model_into_views(model, NULL, GROUP, &err);
    struct adl_evaluate_options options = {.curve_interval = 0.01,
                                           .map = model->map,
                                           .places = rank->places,
                                           .detections = true,
                                           .confidence = &some_confidence,
                                           .stopped = is_stopped,
                                           .stop_context = rank};
    CU_ASSERT_FATAL(views != NULL);
    options.map.threshold = 0.4;
    for (int i = 0; i < 3; i++)
        options.mean[i] = options.std[i] = 0.5F;
    CU_ASSERT(adl_evaluate_divides(dataset, &options));
    if (rank->ranks > 1) {
        options.part = (size_t)rank->number;
        options.parts = (size_t)rank->ranks;
    }
    rank->result = rank->fails ? adl_fail(&rank->err, ADL_ERR_FORMAT, "on purpose")
                               : adl_evaluate_views(dataset, views, GROUP, NULL, &options,
                                                    &rank->report, &rank->err);
    if (rank->ranks > 1)
        rank->result = adl_evaluate_join(&exchange, dataset, &options, rank->result, &rank->report,
                                         &rank->err);
    adl_views_free(views);
    adl_model_free(model);
    return NULL;
}

static void run_ranks(struct rank *ranks, int count)
{
    pthread_t threads[THREAD_RANKS];
    thread_ranks_begin();
    for (int r = 0; r < count; r++) {
        ranks[r].number = r;
        ranks[r].ranks = count;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[r], NULL, rank_main, &ranks[r]), 0);
    }
    for (int r = 0; r < count; r++)
        pthread_join(threads[r], NULL);
}

static void break_image(int i)
{
    FILE *file = fopen(scratch_path("data/images/val%d.png", i), "w");
    CU_ASSERT_FATAL(file != NULL);
    fputs("no image", file);
    fclose(file);
}

static void open_data(const char *name, bool all_broken)
{
    struct adl_error err = {0};
    train_lists(name);
    for (int i = 0; i < IMAGES; i++)
        if (all_broken || i == 5)
            break_image(i);
    const struct adl_dataset_options where = {.dir = scratch_path("data"), .split = "val"};
    dataset = adl_dataset_open(&where, &err);
    CU_ASSERT_FATAL(dataset != NULL && dataset->count == IMAGES);
}

/* The boxes of ranks come in another order, which the figures do not depend on. */
static bool same_boxes(const struct adl_evaluate_report *a, const struct adl_evaluate_report *b)
{
    for (int m = 0; m < ADL_BOX_MODES; m++) {
        struct adl_detection_figures of_a, of_b;
        const struct adl_detection_choice all = {
            .dataset = dataset, .total = IMAGES, .class_id = -1};
        struct adl_error err = {0};
        TEST_OK(adl_detections_figures(&a->detections, (enum adl_box_mode)m, &all, &of_a, &err),
                &err);
        TEST_OK(adl_detections_figures(&b->detections, (enum adl_box_mode)m, &all, &of_b, &err),
                &err);
        if (of_a.boxes == 0 || memcmp(&of_a, &of_b, sizeof of_a) != 0)
            return false;
    }
    return true;
}

static bool same_reliability(const struct adl_reliability *a, const struct adl_reliability *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* With 5 ranks, one has no group of images. */
static void one_report_for_any_number_of_ranks(void)
{
    open_data("parts-same", false);
    struct rank one = {0};
    run_ranks(&one, 1);
    TEST_OK(one.result, &one.err);
    CU_ASSERT(one.report.localized && one.report.errors == 1 && one.report.images == IMAGES);
    CU_ASSERT(one.report.box_confidences.count == IMAGES - 1);
    CU_ASSERT(one.report.figures.max_box_acc > 0 && one.report.class_scores.count == IMAGES - 1);
    for (int count = 2; count <= 5; count++) {
        struct rank many[THREAD_RANKS] = {{0}};
        run_ranks(many, count);
        const struct adl_evaluate_report *r = &many[0].report;
        for (int k = 0; k < count; k++)
            TEST_OK(many[k].result, &many[k].err);
        CU_ASSERT(!memcmp(&r->figures, &one.report.figures, sizeof r->figures));
        CU_ASSERT(r->images == IMAGES && r->errors == 1 && r->labels == one.report.labels);
        CU_ASSERT(same_reliability(&r->class_scores, &one.report.class_scores));
        CU_ASSERT(same_reliability(&r->box_confidences, &one.report.box_confidences));
        CU_ASSERT(same_boxes(r, &one.report));
        for (size_t c = 0; c < r->class_count; c++)
            CU_ASSERT(!memcmp(&r->classes[c], &one.report.classes[c], sizeof r->classes[c]));
        for (int i = 0; i < IMAGES; i++) {
            const struct adl_evaluate_place *a = &many[0].places[i], *b = &one.places[i];
            CU_ASSERT(a->measured == b->measured && a->predicted == b->predicted);
            CU_ASSERT(!memcmp(&a->iou, &b->iou, sizeof a->iou));
            CU_ASSERT(!memcmp(&a->score, &b->score, sizeof a->score));
            CU_ASSERT(!memcmp(&a->probability, &b->probability, sizeof a->probability));
            CU_ASSERT(!memcmp(&a->confidence, &b->confidence, sizeof a->confidence));
        }
        for (int k = 0; k < count; k++)
            adl_evaluate_report_release(&many[k].report);
    }
    adl_evaluate_report_release(&one.report);
    adl_dataset_free(dataset);
}

static void one_rank_ends_all(void)
{
    open_data("parts-ends", false);
    for (int fails = 0; fails < 2; fails++) {
        struct rank ranks[3] = {{0}};
        ranks[1].stop_at = 1;
        ranks[2].fails = fails;
        run_ranks(ranks, 3);
        for (int k = 0; k < 3; k++) {
            CU_ASSERT(ranks[k].result == -1 && !ranks[k].report.classes);
            CU_ASSERT_EQUAL(ranks[k].err.kind, !fails   ? ADL_ERR_CANCELLED
                                               : k == 2 ? ADL_ERR_FORMAT
                                                        : ADL_ERR_IO);
        }
    }
    adl_dataset_free(dataset);
}

static void unreadable_images_of_all_are_an_error(void)
{
    open_data("parts-broken", true);
    struct rank ranks[2] = {{0}};
    run_ranks(ranks, 2);
    CU_ASSERT(ranks[0].result == -1 && ranks[0].err.kind == ADL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(ranks[0].err.message, "not one of 8 images"));
    for (int k = 0; k < 2; k++)
        adl_evaluate_report_release(&ranks[k].report);
    adl_dataset_free(dataset);
}

TEST_SUITE(evaluate_parts,
           {"one report for any number of ranks", one_report_for_any_number_of_ranks},
           {"one rank ends all", one_rank_ends_all},
           {"unreadable images of all are an error", unreadable_images_of_all_are_an_error});
