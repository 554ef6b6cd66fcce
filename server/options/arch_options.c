/* Converts --arch and the options that belong to it into a struct adl_arch. */

#include "server/options/arch_options.h"
#include "methods/methods.h"

#include <stdio.h>

const char *const adl_arch_activations[] = {"relu", "relu6", NULL};
const char *const adl_arch_paddings[] = {"symmetric", "tf_same", NULL};

/* Returns the backbone of a choice: those of the list, and after them that of networks which a file
 * describes; NULL past the last. */
static const struct adl_backbone *backbone_at(int index)
{
    int count = 0;
    while (adl_backbones[count])
        count++;
    return index < count ? adl_backbones[index] : index == count ? &adl_backbone_onnx : NULL;
}

const char *adl_arch_choice(int index)
{
    const struct adl_backbone *backbone = backbone_at(index);
    return backbone ? backbone->name : NULL;
}

int adl_arch_choice_of(const struct adl_backbone *backbone)
{
    int i = 0;
    while (backbone_at(i) != backbone)
        i++;
    return i;
}

const char *adl_arch_method_choice(int index)
{
    return adl_methods[index] ? adl_methods[index]->name : NULL;
}

struct adl_method_set adl_arch_settings_methods(const struct adl_arch_settings *s)
{
    struct adl_method_set set = {0};
    for (int i = 0; s->methods > 0 && adl_methods[i]; i++)
        if (s->methods >> i & 1)
            set = adl_method_with(set, adl_methods[i]);
    return set;
}

/* Returns the first given option that only some backbones have (has_options); NULL if none
 * was given. */
static const char *backbone_option(const struct adl_arch_settings *s)
{
    if (s->width > 0)
        return "--width";
    if (s->activation >= 0)
        return "--activation";
    if (s->padding >= 0)
        return "--padding";
    return NULL;
}

int adl_arch_settings_get(const struct adl_arch_settings *settings, struct adl_arch *arch,
                          bool *given, struct adl_error *err)
{
    const struct adl_arch_settings *s = settings;
    const char *option = backbone_option(s);

    if (s->adl_positions && !adl_method_set_has_layers(adl_arch_settings_methods(s)))
        return adl_fail(err, ADL_ERR_ARG,
                        "--adl-positions needs --method adl, or another with layers");
    if (adl_method_set_check(adl_arch_settings_methods(s), err) < 0)
        return -1;
    if (s->rounds && s->methods >= 0 && !adl_method_set_rounds(adl_arch_settings_methods(s)))
        return adl_fail(err, ADL_ERR_ARG,
                        "--rounds needs a method that trains several networks, such as "
                        "--method ae");
    *given = s->arch >= 0;
    if (!*given) {
        if (!option)
            option = s->num_classes         ? "--num-classes"
                     : s->last_stride       ? "--last-stride"
                     : s->large_feature_map ? "--large-feature-map"
                     : s->bn_eps > 0        ? "--bn-eps"
                                            : NULL;
        if (option)
            return adl_fail(err, ADL_ERR_ARG, "%s needs --arch", option);
        return 0;
    }

    const struct adl_backbone *backbone = backbone_at(s->arch);
    if (option && !backbone->has_options)
        return adl_fail(err, ADL_ERR_ARG, "%s does not apply to %s", option, backbone->name);
    if (s->last_stride && !backbone->last_stride)
        return adl_fail(err, ADL_ERR_ARG, "--last-stride does not apply to %s", backbone->name);
    if (s->large_feature_map && !backbone->has_large_map)
        return adl_fail(err, ADL_ERR_ARG, "%s has no variant with large feature maps",
                        backbone->name);
    adl_arch_init(arch, backbone);
    arch->large_feature_map = s->large_feature_map;
    arch->methods = adl_arch_settings_methods(s);
    if (s->rounds)
        arch->rounds = s->rounds;
    if (s->num_classes)
        arch->num_classes = s->num_classes;
    if (s->bn_eps > 0)
        arch->bn_eps = s->bn_eps;
    if (s->width > 0)
        arch->width = s->width;
    if (s->activation >= 0)
        arch->activation = s->activation == 0 ? ADL_ACT_RELU : ADL_ACT_RELU6;
    if (s->padding >= 0)
        arch->padding = s->padding == 0 ? ADL_PAD_SYMMETRIC : ADL_PAD_TF_SAME;
    if (s->last_stride)
        arch->last_stride = s->last_stride;
    /* Where the layers of a network from ONNX may stand is known when its file is read. */
    if (s->adl_positions && backbone != &adl_backbone_onnx)
        return adl_arch_set_places(arch, s->adl_positions, err);
    return 0;
}

int adl_arch_apply_methods(struct adl_model *model, const struct adl_arch_settings *settings,
                           struct adl_error *err)
{
    if (settings->adl_positions &&
        adl_arch_set_places(&model->arch, settings->adl_positions, err) < 0)
        return -1;
    return settings->methods >= 0
               ? adl_model_set_methods(model, adl_arch_settings_methods(settings), err)
               : 0;
}

struct adl_model *adl_arch_load_model(const char *path, const struct adl_arch_settings *settings,
                                      const struct adl_model_options *options,
                                      struct adl_error *err)
{
    struct adl_model_options given = options ? *options : (struct adl_model_options){0};
    struct adl_arch arch;
    bool has_arch;

    if (adl_arch_settings_get(settings, &arch, &has_arch, err) < 0)
        return NULL;
    given.arch = has_arch ? &arch : NULL;
    given.infer_classes = has_arch && settings->num_classes == 0;
    struct adl_model *model = adl_model_load(path, &given, err);
    if (model && model->note)
        fprintf(stderr, "%s: %s\n", path, model->note);
    if (model && adl_arch_apply_methods(model, settings, err) < 0) {
        adl_model_free(model);
        return NULL;
    }
    return model;
}
