/* `train`: from a folder of labelled photographs to a checkpoint. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/report/report.h"
#include "server/training/train_run.h"

static volatile sig_atomic_t stop;

/* The first signal finishes the step and saves; the second ends at once. */
static void on_signal(int number)
{
    stop = 1;
    signal(number, SIG_DFL);
}

/* Without a word, a comparison of drop rates would compare the same run. */
static void tell_unused(const struct adl_train_settings *s, const struct adl_options *options)
{
    static const char *const names[] = {"adl-draw", "adl-drop-rate", "adl-threshold",
                                        "adl-per-image", "adl-no-importance"};
    /* --init may name a model with ADL layers. */
    if (s->arch.method == ADL_METHOD_ADL || (s->arch.method < 0 && s->init))
        return;
    for (size_t i = 0; i < ADL_COUNT(names); i++)
        if (adl_options_given(options, names[i]))
            fprintf(stderr, "adl-server: train: --%s does nothing without --method adl\n",
                    names[i]);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct adl_train_settings *s = settings;
    struct sigaction action = {.sa_handler = on_signal};
    if (!s->data && !(s->images && s->metadata))
        return adl_fail(err, ADL_ERR_ARG, "--data DIR is needed, or --images and --metadata");
    tell_unused(s, options);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return adl_train_run(settings, options->command_line, &stop, adl_report_on_event, err);
}

static const char *const schedules[] = {"step", "cosine", NULL};

static const struct adl_option table[] = {
    ADL_OPTIONS_DATA(struct adl_train_settings,
                     .help = "data set: lists and images as in the reference, CUB-200-2011, or a "
                             "directory per class"),
    {"out", ADL_STRING(struct adl_train_settings, out), .letter = 'o', .metavar = "DIR",
     .required = true, .help = "where checkpoints, metrics and report go"},
    {"init", ADL_STRING(struct adl_train_settings, init), .metavar = "FILE",
     .help =
         "pretrained weights, or default: those that ship; what does not fit, as a classifier of "
         "another size, is new. Of a model file also the network and its input, as far as no "
         "option says otherwise"},
    ADL_OPTION_KEY(struct adl_train_settings),
    {"resume", ADL_FLAG(struct adl_train_settings, resume),
     .help = "go on where the run in --out stopped"},
    {"epochs", ADL_INT(struct adl_train_settings, epochs), .letter = 'e', .min = 1, .max = 100000,
     .value = "40", .metavar = "N", .help = "passes over the training images"},
    {"batch-size", ADL_INT(struct adl_train_settings, batch_size), .letter = 'b', .min = 1,
     .max = ADL_LIMIT_BATCH, .value = "32", .metavar = "N", .help = "images of one step"},
    {"accumulate", ADL_INT(struct adl_train_settings, accumulate), .min = 1, .max = 1000,
     .value = "1", .metavar = "N", .help = "batches whose gradients make one step"},
    ADL_METHOD_OPTIONS(struct adl_train_settings, method),
    {"schedule", ADL_CHOICE(struct adl_train_settings, schedule), .choices = schedules,
     .value = "step", .metavar = "NAME", .help = "how the learning rate falls"},
    {"lr-decay", ADL_DOUBLE(struct adl_train_settings, lr_decay), .min = 0, .max = 1,
     .value = "0.1", .metavar = "FACTOR", .help = "of the step schedule"},
    {"lr-decay-frequency", ADL_INT(struct adl_train_settings, lr_decay_frequency), .min = 0,
     .max = 100000, .value = "30", .metavar = "EPOCHS",
     .help = "the rate falls at each epoch whose number is a multiple; 0 never"},
    {"warmup-epochs", ADL_DOUBLE(struct adl_train_settings, warmup_epochs), .min = 0, .max = 1000,
     .value = "0", .metavar = "N", .help = "the rate grows from 0 over these"},
    {"clip-norm", ADL_DOUBLE(struct adl_train_settings, clip_norm), .min = 0, .max = 1e6,
     .value = "0", .metavar = "NORM", .help = "largest norm of the gradient; 0 any"},
    {"resize-size", ADL_INT(struct adl_train_settings, resize_size), .min = 8,
     .max = ADL_LIMIT_INPUT_SIDE, .value = "256", .metavar = "PX",
     .help = "images are squashed to this square"},
    {"crop-size", ADL_INT(struct adl_train_settings, crop_size), .min = 8,
     .max = ADL_LIMIT_INPUT_SIDE, .value = "224", .metavar = "PX",
     .help = "and a square of this size is cut out; the network's input"},
    {"flip", ADL_DOUBLE(struct adl_train_settings, flip), .min = 0, .max = 1, .value = "0.5",
     .metavar = "SHARE", .help = "of the images that are mirrored"},
    {"random-resized-crop", ADL_FLAG(struct adl_train_settings, random_resized_crop),
     .help = "cut out parts of any size, as torchvision does"},
    {"color-jitter", ADL_DOUBLE(struct adl_train_settings, color_jitter), .min = 0, .max = 1,
     .value = "0", .metavar = "X", .help = "brightness, contrast, saturation change by up to X"},
    {"mean", ADL_LIST(struct adl_train_settings, mean), .metavar = "M",
     .default_note = "--init's, or ImageNet's", .help = "of the input; once, or for R, G and B"},
    {"std", ADL_LIST(struct adl_train_settings, std), .metavar = "S",
     .default_note = "--init's, or ImageNet's", .help = "of the input; once, or for R, G and B"},
    ADL_OPTION_CURVE_INTERVAL(struct adl_train_settings, 0.0001, 0.5),
    {"save-minutes", ADL_INT(struct adl_train_settings, save_minutes), .min = 1, .max = 100000,
     .value = "10", .metavar = "N", .help = "between saves within an epoch"},
    {"no-report", ADL_FLAG(struct adl_train_settings, no_report),
     .help = "leave out report.html, and the look at all of val at the end that it takes"},
    {"seed", ADL_INT(struct adl_train_settings, seed), .min = 0, .max = 2147483647, .value = "0",
     .metavar = "N", .help = "of weights, order, augmentation and draws"},
    ADL_OPTION_THREADS(struct adl_train_settings,
                       .help = "number of threads; results do not depend on it"),
    ADL_ARCH_OPTIONS(struct adl_train_settings, arch),
    {0},
};

const struct adl_command adl_command_train = {
    .name = "train",
    .summary = "Train a network on image labels alone, with ADL or plain",
    .usage = "--data DIR --out DIR [--arch ARCH] [options]",
    .description =
        "Without --arch it is the network of the model file of --init, or else a mobilenet_v1, "
        "which trains in minutes. DIR/last.safetensors and "
        "DIR/best.safetensors are models for serve, localize and eval; "
        "best is chosen by localization on the val split, or by accuracy where it has no boxes; "
        "of equals it is the later. "
        "metrics.jsonl has a line an epoch, report.html curves and pictures. Ctrl-C or SIGTERM "
        "finishes the step, saves and exits "
        "0; the same command with --resume goes on, to the same bits as a run that was never "
        "stopped.",
    .examples = "  adl-server train --data photos --out run\n"
                "  adl-server train --init default --lr 0.003 --epochs 15 --data photos "
                "--out run\n"
                "  adl-server train --arch resnet50 --method adl --init resnet50.pth --lr 0.001 "
                "--data CUB_200_2011 --out cub\n",
    .options = table,
    .settings_bytes = sizeof(struct adl_train_settings),
    .run = run,
};
