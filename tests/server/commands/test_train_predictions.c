/* predictions.csv of `train`, and `eval --predictions`: against the figures of the same
 * evaluation, and against each other. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "server/commands/subcommands.h"
#include "support/command_call.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

/* The sums over the lines of a file. */
struct sums {
    int images, read, correct, localized;
    double loss; /* of the images that were read */
};

/* Reads a file whose fields have no quotes. */
static struct sums sum_file(const char *name)
{
    struct sums sums = {0};
    char line[300];
    FILE *file = fopen(scratch_path("%s", name), "r");
    CU_ASSERT_FATAL(file != NULL && fgets(line, sizeof line, file) != NULL);
    CU_ASSERT_STRING_EQUAL(line, "path,label,predicted,correct,score,label_score,iou\n");
    while (fgets(line, sizeof line, file)) {
        char *rest = line, *fields[7];
        for (int i = 0; i < 7; i++)
            fields[i] = strsep(&rest, ",\n");
        CU_ASSERT_FATAL(fields[6] != NULL);
        bool correct = atoi(fields[3]), same = !strcmp(fields[1], fields[2]);
        sums.images++;
        sums.correct += correct;
        CU_ASSERT_EQUAL(correct, same);
        if (!*fields[2]) {
            CU_ASSERT(!*fields[4] && !*fields[5] && !*fields[6]);
            continue;
        }
        double score = atof(fields[4]), of_label = atof(fields[5]);
        CU_ASSERT(score >= 0.5 && score <= 1 && of_label >= 0);
        CU_ASSERT(fabs(of_label - (correct ? score : 1 - score)) < 1e-6); /* of two classes */
        sums.read++;
        sums.loss -= log(fmax(of_label, 1e-37));
        sums.localized += *fields[6] && atof(fields[6]) >= 0.5;
    }
    fclose(file);
    return sums;
}

/* Returns the line of the best epoch, which the caller releases. */
static json_t *best_line(const char *out)
{
    json_t *lines = train_metrics(out), *best = NULL;
    for (size_t i = 0; i < json_array_size(lines); i++)
        if (json_is_true(json_object_get(json_array_get(lines, i), "best")))
            best = json_array_get(lines, i);
    CU_ASSERT_FATAL(best != NULL);
    json_incref(best);
    json_decref(lines);
    return best;
}

static void same_text(const char *a, const char *b)
{
    struct adl_error err = {0};
    char *first = adl_file_read(scratch_path("%s", a), 1 << 20, NULL, &err);
    char *second = adl_file_read(scratch_path("%s", b), 1 << 20, NULL, &err);
    CU_ASSERT_FATAL(first && second);
    CU_ASSERT_STRING_EQUAL(first, second);
    adl_free(first);
    adl_free(second);
}

/* The shares of the file are the figures of the best epoch, also when the run was interrupted; and
 * eval writes the same file for the model of that epoch. */
static void files_agree_with_the_figures(void)
{
    struct adl_error err;
    /* At a low rate, so that no probability is 0: their logarithms are compared. */
    static const char *const words[] = {TRAIN_COMMON, "--epochs", "3", "--lr", "0.001", NULL};
    train_lists("predictions");
    fclose(fopen(scratch_path("data/images/val3.png"), "w")); /* cannot be read */
    TEST_OK(train_words("run", false, words, &err), &err);
    json_t *line = best_line("run");
    const json_t *val = json_object_get(line, "val");
    struct sums sums = sum_file("run/predictions.csv");
    CU_ASSERT(sums.images == 8 && sums.read == 7);
    CU_ASSERT_EQUAL(lround(json_number_value(json_object_get(val, "top1_cls")) * 8 / 100),
                    sums.correct);
    CU_ASSERT(fabs(json_number_value(json_object_get(line, "val_loss")) - sums.loss / 7) < 1e-5);
    json_decref(line);
    CU_ASSERT(train_in_parts("parts", words) > 3);
    same_text("run/predictions.csv", "parts/predictions.csv");

    char data[600], model[600], file[600];
    snprintf(data, sizeof data, "%s", scratch_path("data"));
    snprintf(model, sizeof model, "%s", scratch_path("run/best.safetensors"));
    snprintf(file, sizeof file, "%s", scratch_path("eval.csv"));
    const char *const eval[] = {"--data",        data, "--split", "val", "--model", model,
                                "--predictions", file, NULL};
    TEST_OK(command_call(&adl_command_eval, eval, "out", &err), &err);
    struct sums again = sum_file("eval.csv");
    CU_ASSERT(again.images == 8 && again.read == 7 && again.correct == sums.correct);
    CU_ASSERT(fabs(again.loss - sums.loss) < 1e-4);
    /* At the threshold that was best on val, in the model. */
    CU_ASSERT(again.localized >= 0 && again.localized <= 7);
    const char *const some[] = {"--data",  data, "--split",       "val", "--model", model,
                                "--limit", "4",  "--predictions", file,  NULL};
    TEST_OK(command_call(&adl_command_eval, some, "out", &err), &err);
    CU_ASSERT(sum_file("eval.csv").images <= 4);
    const char *const both[] = {"--data", data, "--split",       "val", "--model", model,
                                "--csv",  "-",  "--predictions", "-",   NULL};
    CU_ASSERT(command_call(&adl_command_eval, both, "out", &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

TEST_SUITE(train_predictions, {"files agree with the figures", files_agree_with_the_figures});
