/* Makes the map of a class from the outputs of a run, for both kinds of classifier: a class map, or
 * pooled features and a linear layer. */

#include "wsol/session_cam.h"

#include <assert.h>

#include "base/limits.h"
#include "base/size.h"
#include "wsol/cam.h"
#include "wsol/principal.h"

static struct adl_foreground_map output_map(const struct adl_session *session, int index,
                                            enum adl_output which)
{
    struct adl_shape shape = adl_plan_output_shape(adl_session_plan(session), which);

    return (struct adl_foreground_map){.features = adl_session_output(session, which, index),
                                       .h = (size_t)shape.h,
                                       .w = (size_t)shape.w};
}

/* Lists a class and the others with the highest logits, as many as the rule says, up to
 * ADL_LIMIT_MAP_CLASSES; returns their number. */
static size_t best_ids(const struct adl_session *session, int index, int class_id,
                       const struct adl_map_rule *rule, size_t classes, size_t *best)
{
    size_t wanted = ADL_MIN((size_t)ADL_MAX(rule->classes, 1), (size_t)ADL_LIMIT_MAP_CLASSES);
    const float *logits = adl_session_output(session, ADL_OUTPUT_LOGITS, index);
    size_t count = adl_top_k(logits, classes, wanted, best), place = 0;

    while (place < count && best[place] != (size_t)class_id)
        place++;
    if (place == count)
        best[count - 1] = (size_t)class_id;
    return count;
}

/* Makes the mean of the maps of a class and of the others with the highest logits. */
static void best_classes(const struct adl_session *session, int index, int class_id,
                         const struct adl_map_rule *rule, size_t pixels, size_t classes, float *cam)
{
    size_t best[ADL_LIMIT_MAP_CLASSES];
    size_t count = best_ids(session, index, class_id, rule, classes, best);

    adl_cam_mean(adl_session_output(session, ADL_OUTPUT_CLASS_MAP, index), pixels, classes, best,
                 count, cam);
}

void adl_session_foreground(const struct adl_session *session, int index,
                            const struct adl_foreground_head *head, struct adl_foreground_map *last,
                            struct adl_foreground_map *maps)
{
    const struct adl_plan *plan = adl_session_plan(session);

    *last = output_map(session, index, ADL_OUTPUT_FEATURES);
    for (int i = 0; i < head->layer_count; i++) {
        int kept = adl_plan_kept(plan, head->layers[i].value);
        assert(kept >= 0 && "the plan does not keep a layer of the few-box head (adl_plan_keep)");
        maps[i] = output_map(session, index, (enum adl_output)kept);
    }
}

void adl_session_foreground_grid(const struct adl_session *session,
                                 const struct adl_foreground_head *head, int *h, int *w)
{
    struct adl_foreground_map last, maps[ADL_LIMIT_HEAD_LAYERS];
    size_t rows, columns;

    adl_session_foreground(session, 0, head, &last, maps);
    adl_foreground_grid(head, &last, maps, &rows, &columns);
    *h = (int)rows;
    *w = (int)columns;
}

/* Makes the map of a class of a classifier of several layers, whose weights depend on the image;
 * with rule->classes the mean of several, whose weights are the mean of theirs. */
static void weighted_cam(const struct adl_session *session, int index, int class_id,
                         const struct adl_map_rule *rule, size_t pixels, size_t channels,
                         float *cam)
{
    size_t classes = adl_plan_class_count(adl_session_plan(session)), best[ADL_LIMIT_MAP_CLASSES];
    size_t count = best_ids(session, index, class_id, rule, classes, best);
    float weights[ADL_LIMIT_CLASS_CHANNELS], mean[ADL_LIMIT_CLASS_CHANNELS] = {0};
    const float *rows[1] = {mean};

    for (size_t i = 0; i < count; i++) {
        adl_session_class_weights(session, index, best[i], weights);
        for (size_t c = 0; c < channels; c++)
            mean[c] += weights[c];
    }
    for (size_t c = 0; count > 1 && c < channels; c++)
        mean[c] /= (float)count;
    adl_cam_weighted(adl_session_output(session, ADL_OUTPUT_FEATURES, index), pixels, channels,
                     rows, ADL_MAP_WEIGHTS_ALL, 1, &cam);
}

/* Takes the map of a class from a class map that the network outputs. */
static void output_cam(const struct adl_session *session, int index, int class_id,
                       const struct adl_map_rule *rule, size_t pixels, size_t classes, float *cam)
{
    if (rule->classes > 1)
        best_classes(session, index, class_id, rule, pixels, classes, cam);
    else
        adl_cam_channel(adl_session_output(session, ADL_OUTPUT_CLASS_MAP, index), pixels, classes,
                        (size_t)class_id, cam);
}

void adl_session_cams(const struct adl_session *session, int index, const int *class_ids,
                      size_t count, const struct adl_map_rule *rule, float *const cams[])
{
    const struct adl_plan *plan = adl_session_plan(session);
    struct adl_shape map = adl_plan_output_shape(plan, ADL_OUTPUT_CLASS_MAP);
    struct adl_shape shape = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    size_t pixels = (size_t)shape.h * (size_t)shape.w, channels = (size_t)shape.c;
    const float *features = adl_session_output(session, ADL_OUTPUT_FEATURES, index);
    const float *classifier = adl_plan_classifier(plan), *weights[ADL_CAM_GROUP] = {0};

    assert(count >= 1 && count <= ADL_CAM_GROUP);
    for (size_t c = 0; classifier && c < count; c++)
        weights[c] = classifier + (size_t)class_ids[c] * channels;
    if (map.c > 0 && (rule->weights != ADL_MAP_WEIGHTS_POSITIVE || !classifier))
        for (size_t c = 0; c < count; c++)
            output_cam(session, index, class_ids[c], rule, pixels, (size_t)map.c, cams[c]);
    else if (adl_plan_class_count(plan) > 0)
        for (size_t c = 0; c < count; c++)
            weighted_cam(session, index, class_ids[c], rule, pixels, channels, cams[c]);
    else
        adl_cam_weighted(features, pixels, channels, weights, rule->weights, count, cams);
    for (size_t c = 0; rule->weights == ADL_MAP_WEIGHTS_PC1 && c < count; c++)
        adl_principal_map(features, pixels, channels, weights[c], cams[c]);
}

void adl_session_cam(const struct adl_session *session, int index, int class_id,
                     const struct adl_map_rule *rule, float *cam)
{
    adl_session_cams(session, index, &class_id, 1, rule, &cam);
}
