/* Implements `train`: the options of a training run, and its signals. training/train_run.c
 * trains. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "methods/methods.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/report/report.h"
#include "server/training/mpi.h"
#include "server/training/named_recipe.h"
#include "server/training/train_balance.h"
#include "server/training/train_run.h"
#include "train/schedule.h"

static volatile sig_atomic_t stop;

/* Makes the run complete the step and save. A second signal kills the process, except for
 * SIGHUP, which the shell and the kernel may both send when a terminal closes, and SIGUSR1. */
static void on_signal(int number)
{
    stop = 1;
    if (number != SIGHUP && number != SIGUSR1)
        signal(number, SIG_DFL);
}

/* Installs on_signal() for the signals that would end the process without saving. */
static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* mpirun passes this one on to all processes, and leaves them the time they need. */
    sigaction(SIGUSR1, &action, NULL);
    /* Programs such as nohup start this one with SIGHUP ignored; it stays ignored then. */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    /* The program that reads the messages may end first, for instance by the same SIGHUP; a
     * message that cannot be written must not prevent the save. */
    signal(SIGPIPE, SIG_IGN);
}

/* Prints a remark if options of a method are given without the method. Otherwise they would be
 * ignored silently, and a comparison of drop rates would compare identical runs. */
static void note_unused(const struct adl_train_settings *s, const struct adl_options *options,
                        struct adl_str *remarks)
{
    const struct adl_method_option *option;
    const struct adl_method *method;

    /* The model of --init may have been trained with a method. */
    if (s->arch.methods < 0 && s->init)
        return;
    for (size_t i = 0; (option = adl_method_option_at(i, &method)); i++) {
        bool used = adl_method_set_has(adl_arch_settings_methods(&s->arch), method);
        if (!used && adl_options_given(options, option->name))
            adl_str_printf(remarks, "adl-server: train: --%s has no effect without --method %s\n",
                           option->name, method->name);
    }
}

/* Prints the rate that was found, and keeps the report up to date. */
static void on_event(const struct adl_train_event *event)
{
    if (event->kind == ADL_TRAIN_RATE_FOUND) {
        fprintf(stderr, "the smoothed loss is lowest at the learning rate %.2g; suggested is\n",
                event->rates->lowest);
        printf("%.2g\n", event->rates->suggested);
    }
    adl_report_on_event(event);
}

static int list_recipes(struct adl_error *err)
{
    struct adl_str text = {0};
    adl_recipe_list(&text);
    int result = text.failed ? adl_fail_nomem(err, "the recipes") : 0;
    if (result == 0)
        fputs(text.data, stdout);
    adl_str_release(&text);
    return result;
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    struct adl_train_settings s = *(const struct adl_train_settings *)settings;
    struct adl_str remarks = {0};
    if (adl_recipe_is_list(s.recipe))
        return list_recipes(err);
    if (adl_recipe_apply(s.recipe, options, &s, err) < 0)
        return -1;
    if (!s.data && !(s.images && s.metadata))
        return adl_fail(err, ADL_ERR_ARG,
                        "--data DIR|FILE, or --images DIR and --metadata DIR, is required");
    if (!s.out && !s.augment_preview)
        return adl_fail(err, ADL_ERR_ARG, "--out DIR is required");
    if (s.find_lr && s.resume)
        return adl_fail(err, ADL_ERR_ARG,
                        "--find-lr tries rates on the weights that a run begins with; omit "
                        "--resume");
    if (s.find_lr && s.augment_preview)
        return adl_fail(err, ADL_ERR_ARG, "--find-lr and --augment-preview exclude each other");
    note_unused(&s, options, &remarks);
    adl_optimizer_note_unused(&s.method.optimizer, options, "train", &remarks);
    adl_train_note_given(&s, options);
    s.remarks = remarks.failed ? NULL : remarks.data;
    int result = adl_mpi_open(&s.exchange, err);
    if (result == 0 && s.exchange && (s.find_lr || s.augment_preview))
        result = adl_fail(err, ADL_ERR_ARG, "--%s is for one process; start it without mpirun",
                          s.find_lr ? "find-lr" : "augment-preview");
    handle_signals();
    if (result == 0)
        result = adl_train_run(&s, options->command_line, &stop, on_event, err);
    adl_str_release(&remarks);
    if (result == 0)
        adl_mpi_close();
    else
        adl_mpi_set_status(adl_exit_status(err->kind));
    return result;
}

/* The value of a macro as a text. */
#define TEXT_OF(macro) TEXT_OF_VALUE(macro)
#define TEXT_OF_VALUE(value) #value

static const struct adl_option table[] = {
    ADL_OPTIONS_DATA(
        struct adl_train_settings,
        .help = "data set: reference lists, CUB-200-2011, a directory per class, a CSV file of "
                "path, label and, optionally, split, or boxes of COCO, Label Studio, VOC or YOLO"),
    ADL_OPTIONS_DIVISION(struct adl_train_settings, division),
    ADL_OPTION_EXIF(struct adl_train_settings),
    ADL_OPTION_TRUE_MASKS(struct adl_train_settings, masks),
    {"multi-label", ADL_FLAG(struct adl_train_settings, multi_label),
     .help = "images may have several classes or none: PATH,CLASS,CLASS in class_labels.txt, "
             "labels parted by | or lines of the same path in a CSV file. Each class is learned by "
             "a sigmoid and binary cross-entropy, and measured by average precision"},
    {"out", ADL_STRING(struct adl_train_settings, out), .letter = 'o', .metavar = "DIR",
     .help = "output directory for checkpoints, metrics and report; required, but with "
             "--augment-preview and --recipe list"},
    {"train-split", ADL_STRING(struct adl_train_settings, train_split), .value = "train",
     .metavar = "NAME",
     .help = "split to train on; train-fullsup is the reference's name of val, whose few images "
             "are then not used for validation"},
    {"init", ADL_STRING(struct adl_train_settings, init), .metavar = "FILE",
     .help =
         "pretrained weights; \"default\" is the model that ships. Layers that do not fit, such as "
         "a classifier of another size, are initialised anew. A model file also sets the network "
         "and its input where no option does, and an ONNX file is the network"},
    ADL_OPTION_KEY(struct adl_train_settings),
    ADL_OPTION_PREFIX(struct adl_train_settings),
    {"recipe", ADL_CHOICE(struct adl_train_settings, recipe), .choice_at = adl_recipe_name,
     .value = "auto", .metavar = "NAME",
     .help =
         "auto: with --init and fewer than 500 images, fine-tune: batch norm is frozen and, "
         "unless given, the method is cam, the learning rate 0.0003 and the classifier's ratio "
         "30; plain: the defaults; list: print the others, which are published settings of a data "
         "set, an architecture and a method; options that are given win over all of them"},
    {"resume", ADL_FLAG(struct adl_train_settings, resume), .help = "resume the run in --out"},
    {"epochs", ADL_INT(struct adl_train_settings, epochs), .letter = 'e', .min = 1, .max = 100000,
     .value = "40", .metavar = "N", .help = "number of passes over the training images"},
    {"batch-size", ADL_INT(struct adl_train_settings, batch_size), .letter = 'b', .min = 1,
     .max = ADL_LIMIT_BATCH, .value = "32", .metavar = "N", .help = "number of images per batch"},
    {"accumulate", ADL_INT(struct adl_train_settings, accumulate), .min = 1, .max = 1000,
     .value = "1", .metavar = "N",
     .help = "number of batches whose gradients are accumulated for one step"},
    {"shards", ADL_INT(struct adl_train_settings, shards), .min = 0, .max = ADL_LIMIT_BATCH,
     .default_note = "the number of processes, or that of the resumed run", .metavar = "N",
     .help = "number of parts of a batch that are computed apart, each with its own statistics of "
             "batch norm, and joined in a fixed order, so that the result is the same for any "
             "number of processes under mpirun"},
    {"sync-batchnorm", ADL_FLAG(struct adl_train_settings, sync_batchnorm),
     .help = "batch norm has the statistics of all shards of a batch, as if it were computed as a "
             "whole; takes the memory of all shards of a process at once"},
    {"exchange-precision", ADL_CHOICE(struct adl_train_settings, exchange_precision),
     .choices = adl_train_precision_names, .value = "fp32", .metavar = "NAME",
     .help = "of gradients where shards are joined: bf16 halves what processes send each other, "
             "and rounds what is joined, whoever computes it; sums are in float32"},
    ADL_STEP_OPTIONS(struct adl_train_settings, method),
    {"schedule", ADL_CHOICE(struct adl_train_settings, schedule), .choices = adl_schedule_names,
     .value = "step", .metavar = "NAME", .help = "learning rate schedule"},
    {"lr-decay", ADL_DOUBLE(struct adl_train_settings, lr_decay), .min = 0, .max = 1,
     .value = "0.1", .metavar = "FACTOR", .help = "factor of the step schedule"},
    {"lr-decay-frequency", ADL_INT(struct adl_train_settings, lr_decay_frequency), .min = 0,
     .max = 100000, .value = "30", .metavar = "EPOCHS",
     .help = "number of epochs between decays of the step schedule; 0 for never"},
    {"warmup-epochs", ADL_DOUBLE(struct adl_train_settings, warmup_epochs), .min = 0, .max = 1000,
     .value = "0", .metavar = "N",
     .help = "number of epochs over which the learning rate grows from 0"},
    {"lr-scale-batch", ADL_INT(struct adl_train_settings, lr_scale_batch), .min = 0,
     .max = ADL_LIMIT_BATCH, .value = "0", .metavar = "N",
     .help = "the learning rate is meant for steps of N images, such as 256, and is multiplied by "
             "the images of a step (--batch-size times --accumulate) / N; 0: it is taken as given"},
    {"balance", ADL_CHOICE(struct adl_train_settings, balance), .choices = adl_train_balance_names,
     .value = "none", .metavar = "HOW",
     .help = "make up for classes of different sizes: sample draws the images of an epoch so that "
             "all classes come equally often, weight weights the loss of an image by 1 / (images "
             "of its class), with --multi-label the presence of a class by (images without it) / "
             "(images with it)"},
    {"batchnorm-batches", ADL_INT(struct adl_train_settings, batchnorm_batches), .min = 0,
     .max = 100000, .value = TEXT_OF(ADL_TRAIN_BATCHNORM_BATCHES), .metavar = "N",
     .help = "number of batches of plain images from which the statistics of batch norm are "
             "estimated after each epoch, with a method that masks maps or mixes images; 0: the "
             "running averages of training are kept"},
    {"clip-norm", ADL_DOUBLE(struct adl_train_settings, clip_norm), .min = 0, .max = 1e6,
     .default_note = "0, with bas 10, on few images 5", .metavar = "NORM",
     .help = "maximum norm of the gradient; 0 for no limit"},
    {"ema", ADL_DOUBLE(struct adl_train_settings, ema), .min = 0, .max = 0.999999, .value = "0",
     .metavar = "DECAY",
     .help = "keep a running average of the weights, as with 0.999, and evaluate and save it "
             "instead of the weights; 0: none"},
    {"find-lr", ADL_FLAG(struct adl_train_settings, find_lr),
     .help = "train nothing, but take steps at a learning rate that grows from 1e-6 to 10, print "
             "the rate to train with and draw the losses in OUT/find-lr.html"},
    {"find-lr-steps", ADL_INT(struct adl_train_settings, find_lr_steps), .min = 20, .max = 10000,
     .value = "100", .metavar = "N", .help = "number of steps of --find-lr"},
    {"eval-first", ADL_FLAG(struct adl_train_settings, eval_first),
     .help = "evaluate val before the first step too, as epoch 0 of metrics.jsonl"},
    {"early-stop", ADL_INT(struct adl_train_settings, early_stop), .min = 0, .max = 100000,
     .value = "0", .metavar = "N",
     .help = "end the run when N epochs in succession have not been the best one; 0: never"},
    {"freeze", ADL_STRING(struct adl_train_settings, freeze), .metavar = "LAYER,...",
     .help =
         "layers that are not trained, by the beginning of their names up to a dot, as conv1 or "
         "blocks.0; batch norms among them normalise by the statistics that they began with"},
    {"resize-size", ADL_INT(struct adl_train_settings, resize_size), .min = 8,
     .max = ADL_LIMIT_INPUT_SIDE, .value = "256", .metavar = "PX",
     .help = "side of the square that images are resized to"},
    {"crop-size", ADL_INT(struct adl_train_settings, crop_size), .min = 8,
     .max = ADL_LIMIT_INPUT_SIDE, .value = "224", .metavar = "PX",
     .help = "side of the square cropped from it: the network's input"},
    {"flip", ADL_DOUBLE(struct adl_train_settings, flip), .min = 0, .max = 1, .value = "0.5",
     .metavar = "P", .help = "probability of mirroring an image"},
    {"random-resized-crop", ADL_FLAG(struct adl_train_settings, random_resized_crop),
     .help = "crop a random area and aspect ratio, as torchvision does"},
    {"min-crop-area", ADL_DOUBLE(struct adl_train_settings, min_crop_area), .min = 0.001, .max = 1,
     .value = TEXT_OF(ADL_TRAIN_MIN_CROP_AREA), .metavar = "SHARE",
     .help = "smallest area of --random-resized-crop, as a fraction of the image's"},
    {"max-crop-area", ADL_DOUBLE(struct adl_train_settings, max_crop_area), .min = 0.001, .max = 1,
     .default_note = "1", .metavar = "SHARE", .help = "its largest area"},
    {"min-crop-aspect", ADL_DOUBLE(struct adl_train_settings, min_crop_aspect), .min = 0.01,
     .max = 100, .default_note = "3/4", .metavar = "RATIO",
     .help = "its smallest aspect ratio, width / height"},
    {"max-crop-aspect", ADL_DOUBLE(struct adl_train_settings, max_crop_aspect), .min = 0.01,
     .max = 100, .default_note = "4/3", .metavar = "RATIO", .help = "its largest aspect ratio"},
    {"color-jitter", ADL_STRING(struct adl_train_settings, color_jitter), .value = "0",
     .metavar = "X|B,C,S,H",
     .help = "change brightness, contrast and saturation by a factor within 1 +- X, in this order; "
             "or each by its own, and the hue by up to H of a turn, in an order that is drawn, as "
             "torchvision does"},
    {"augment-preview", ADL_STRING(struct adl_train_settings, augment_preview), .metavar = "FILE",
     .help = "instead of training, write a PNG or JPEG of what the network would see: a row for "
             "each of eight images, with the whole image and eight draws of it"},
    {"mean", ADL_LIST(struct adl_train_settings, mean), .metavar = "M",
     .default_note = "--init's or ImageNet's",
     .help = "mean of the input channels: one number, or R,G,B"},
    {"std", ADL_LIST(struct adl_train_settings, std), .metavar = "S",
     .default_note = "--init's or ImageNet's",
     .help = "standard deviation of the input channels: one number, or R,G,B"},
    ADL_OPTION_CURVE_INTERVAL(struct adl_train_settings, 0.0001, 0.5),
    {"log-steps", ADL_INT(struct adl_train_settings, log_steps), .min = 0, .max = 1000000,
     .value = "0", .metavar = "N",
     .help = "write learning rate and loss of every N-th step to steps.jsonl; 0: none"},
    {"save-minutes", ADL_INT(struct adl_train_settings, save_minutes), .min = 1, .max = 100000,
     .value = "10", .metavar = "N", .help = "minutes between saves within an epoch"},
    {"cache-memory", ADL_INT(struct adl_train_settings, cache_memory), .min = 0,
     .max = ADL_LIMIT_CACHE_MIB, .value = "512", .metavar = "MIB",
     .help = "memory for images that are much larger than --resize-size, shrunk to it, so that "
             "they are decoded once and not in each epoch; results do not depend on it"},
    {"cache", ADL_STRING(struct adl_train_settings, cache), .metavar = "DIR",
     .help = "keep such images in DIR as well, for later runs: up to 16 GiB of files, which may be "
             "removed at any time"},
    {"exact-decode", ADL_FLAG(struct adl_train_settings, exact_decode),
     .help = "decode large JPEGs to train on at full size, as those of val always are, instead of "
             "reduced by 2, 4 or 8 where that leaves at least twice --resize-size"},
    {"tensorboard", ADL_STRING(struct adl_train_settings, tensorboard), .metavar = "[DIR]",
     .bare = "", .default_note = "OUT/tensorboard if given without DIR",
     .help = "write the figures of each epoch as event files for TensorBoard"},
    {"no-report", ADL_FLAG(struct adl_train_settings, no_report),
     .help = "do not write report.html, which takes a final evaluation of val"},
    {"seed", ADL_INT(struct adl_train_settings, seed), .min = 0, .max = 2147483647, .value = "0",
     .metavar = "N",
     .help = "seed of new weights, image order, augmentation, dropout, --val-share and --folds"},
    ADL_OPTION_THREADS(struct adl_train_settings,
                       .help = "number of threads; results do not depend on it"),
    ADL_ARCH_OPTIONS(struct adl_train_settings, arch),
    {0},
};

static const struct adl_option *options_table(void)
{
    static struct adl_method_table all;
    return adl_method_table_fill(&all, table, offsetof(struct adl_train_settings, method));
}

const struct adl_command adl_command_train = {
    .name = "train",
    .summary = "Train a network on image labels, with or without ADL",
    .usage = "--data DIR --out DIR [--arch ARCH] [options]",
    .description =
        "Without --arch, trains the network of --init, or else mobilenet_v1, which takes minutes. "
        "The output directory receives models for serve, localize and eval: last.safetensors, and "
        "best.safetensors of the epoch with the best localization on the val split, or the best "
        "accuracy if val has no boxes; ties go to the smaller loss on val. metrics.jsonl has a "
        "line per "
        "epoch, and report.html shows curves and images. Ctrl-C, SIGTERM or SIGHUP completes the "
        "step, "
        "saves and exits with status 0. The same command with --resume continues; the result is "
        "bit-identical to an uninterrupted run.",
    .examples =
        "  adl-server train --data photos --out run\n"
        "  adl-server train --init default --epochs 15 --data photos --out run\n"
        "  adl-server train --arch resnet50 --method adl --init resnet50.pth --lr 0.001 \\\n"
        "      --data CUB_200_2011 --out cub\n",
    .make_options = options_table,
    .settings_bytes = sizeof(struct adl_train_settings),
    .run = run,
};
