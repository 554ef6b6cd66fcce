/* The settings that the authors of the published comparison (Choe et al., "Evaluating Weakly
 * Supervised Object Localization Methods Right", CVPR 2020; clovaai/wsolevaluation) tuned for each
 * data set, backbone and method by 30 random trials each, as far as they are known.
 *
 * The authors' own list is a spreadsheet. These values stand in scripts of repositories that build
 * on theirs, which agree on those of CUB; what they disagree on (the grid of HaS with VGG16 and
 * ResNet50, the size of the map with all methods but CAM) is left at the default. Epochs, decay,
 * batch and weight decay are those of the comparison, and resizing, crop, momentum and the
 * classifier's ratio of 10 are the defaults of both programs. All of them begin from weights of
 * ImageNet (--init). */

#include "server/training/named_recipe.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

#define CUB "epochs=50 lr-decay-frequency=15 batch-size=32 "
#define LARGE "epochs=10 lr-decay-frequency=3 batch-size=32 " /* ImageNet and OpenImages */
#define VGG16 "arch=vgg16 weight-decay=0.0005 "
#define RESNET50 "arch=resnet50 weight-decay=0.0001 "
#define INCEPTION_V3 "arch=inception_v3 weight-decay=0.0005 "

static const struct {
    const char *name;
    const char *options; /* of `train`, parted by single spaces */
} recipes[] = {
    {"wsoleval-cub-vgg16-cam", CUB VGG16 "method=cam lr=1.268269e-5"},
    {"wsoleval-cub-vgg16-adl",
     CUB VGG16 "method=adl lr=2.430601e-5 adl-threshold=0.72 adl-drop-rate=0.33"},
    {"wsoleval-cub-vgg16-has", CUB VGG16 "method=has lr=1.42891848e-3 has-drop-rate=0.47"},
    {"wsoleval-cub-vgg16-acol", CUB VGG16 "method=acol lr=1.0569582e-4 acol-threshold=0.89"},
    {"wsoleval-cub-vgg16-spg",
     CUB VGG16 "method=spg lr=1.2558923e-4 spg-threshold-1h=0.29 spg-threshold-1l=0.23"
               " spg-threshold-2h=0.03 spg-threshold-2l=0.02 spg-threshold-3h=0.82"
               " spg-threshold-3l=0.59"},
    {"wsoleval-cub-vgg16-cutmix",
     CUB VGG16 "method=cutmix lr=3.220934e-5 cutmix-beta=0.85 cutmix-prob=0.79"},
    {"wsoleval-cub-resnet50-cam", CUB RESNET50 "method=cam lr=2.3222617e-4 large-feature-map=true"},
    {"wsoleval-cub-resnet50-adl",
     CUB RESNET50 "method=adl lr=1.253438325e-2 adl-threshold=0.76 adl-drop-rate=0.24"},
    {"wsoleval-cub-resnet50-has", CUB RESNET50 "method=has lr=3.61996526e-3 has-drop-rate=0.66"},
    {"wsoleval-cub-resnet50-acol", CUB RESNET50 "method=acol lr=1.700073e-5 acol-threshold=0.57"},
    {"wsoleval-cub-resnet50-spg",
     CUB RESNET50 "method=spg lr=4.521947e-5 spg-threshold-1h=0.41 spg-threshold-1l=0.35"
                  " spg-threshold-2h=0.24 spg-threshold-2l=0.21 spg-threshold-3h=0.12"
                  " spg-threshold-3l=0.08"},
    {"wsoleval-cub-resnet50-cutmix",
     CUB RESNET50 "method=cutmix lr=3.333722e-4 cutmix-beta=1.35 cutmix-prob=0.24"},
    {"wsoleval-cub-inception_v3-cam",
     CUB INCEPTION_V3 "method=cam lr=2.24848446e-3 large-feature-map=true"},
    {"wsoleval-cub-inception_v3-adl",
     CUB INCEPTION_V3 "method=adl lr=3.8655054e-4 adl-threshold=0.86 adl-drop-rate=0.69"},
    {"wsoleval-cub-inception_v3-has",
     CUB INCEPTION_V3 "method=has lr=1.400558066e-2 has-grid-size=170 has-drop-rate=0.26"},
    {"wsoleval-cub-inception_v3-acol",
     CUB INCEPTION_V3 "method=acol lr=6.58832165e-3 acol-threshold=0.79"},
    {"wsoleval-cub-inception_v3-spg",
     CUB INCEPTION_V3 "method=spg lr=3.360682e-4 spg-threshold-1h=0.28 spg-threshold-1l=0.02"
                      " spg-threshold-2h=0.17 spg-threshold-2l=0.03 spg-threshold-3h=0.47"
                      " spg-threshold-3l=0.31"},
    {"wsoleval-cub-inception_v3-cutmix",
     CUB INCEPTION_V3 "method=cutmix lr=2.25171726e-3 cutmix-beta=0.04 cutmix-prob=0.30"},
    {"wsoleval-imagenet-vgg16-cam", LARGE VGG16 "method=cam lr=1.654502e-5"},
    {"wsoleval-imagenet-resnet50-cam",
     LARGE RESNET50 "method=cam lr=3.108411e-5 large-feature-map=true"},
    {"wsoleval-imagenet-inception_v3-cam",
     LARGE INCEPTION_V3 "method=cam lr=1.260374694e-4 large-feature-map=true"},
    {"wsoleval-openimages-vgg16-cam", LARGE VGG16 "method=cam lr=2.27913316e-3"},
};

/* Choices before the published ones; the first two are enum adl_train_recipe_choice. */
static const char *const others[] = {"auto", "plain", "list"};
#define OTHERS ((int)ADL_COUNT(others))
#define LIST 2

const char *adl_recipe_name(int index)
{
    if (index < OTHERS)
        return others[index];
    return index - OTHERS < (int)ADL_COUNT(recipes) ? recipes[index - OTHERS].name : NULL;
}

bool adl_recipe_is_list(int index)
{
    return index == LIST;
}

void adl_recipe_list(struct adl_str *text)
{
    for (size_t i = 0; i < ADL_COUNT(recipes); i++) {
        adl_str_printf(text, "%-36s", recipes[i].name);
        for (const char *word = recipes[i].options; *word;) {
            size_t length = strcspn(word, " "), name = strcspn(word, "=");
            bool flag = !strncmp(word + name, "=true", 5);
            adl_str_printf(text, " --%.*s", (int)name, word);
            if (!flag)
                adl_str_printf(text, " %.*s", (int)(length - name - 1), word + name + 1);
            word += length + (word[length] == ' ');
        }
        adl_str_puts(text, "\n");
    }
}

/* Sets an option from "name=value", of `length` bytes, unless the user gave it. The value is kept
 * in memory of `arena` like every text of the command line. */
static int apply_word(const char *word, size_t length, const struct adl_options *options,
                      void *settings, struct adl_error *err)
{
    char name[64];
    size_t end = strcspn(word, "=");
    /* The arena is the memory of the options; nothing that was parsed changes. */
    struct adl_arena *arena = (struct adl_arena *)(uintptr_t)&options->arena;
    const char *value = adl_arena_printf(arena, "%.*s", (int)(length - end - 1), word + end + 1);

    if (!value)
        return adl_fail_nomem(err, "the recipe");
    snprintf(name, sizeof name, "%.*s", (int)end, word);
    return adl_options_given(options, name)
               ? 0
               : adl_options_supply(options, name, value, settings, err);
}

int adl_recipe_apply(int index, const struct adl_options *options, void *settings,
                     struct adl_error *err)
{
    if (index < OTHERS)
        return 0;
    for (const char *word = recipes[index - OTHERS].options; *word;) {
        size_t length = strcspn(word, " ");
        if (apply_word(word, length, options, settings, err) < 0)
            return -1;
        word += length + (word[length] == ' ');
    }
    return 0;
}
