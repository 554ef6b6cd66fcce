#ifndef ADL_WSOL_SESSION_CAM_H
#define ADL_WSOL_SESSION_CAM_H

#include "plan/session.h"
#include "wsol/map_rule.h"

/* Computes the class activation maps of image `index` of the session's last run for `count`
 * classes, 1 to ADL_CAM_GROUP, by the rule, not normalised: h x w floats each, the sides of
 * ADL_OUTPUT_FEATURES. A map is the sum of the features weighted by the class's classifier weights.
 * If the network outputs a class map and all weights are wanted, it is the class's channel of that
 * output, which includes the bias, or the mean over the channels of several classes
 * (rule->classes). With ADL_MAP_WEIGHTS_PC1, the map is replaced by the principal component of the
 * features that correlates with it. The few-box head of the rule is left out: its map has a grid of
 * its own (wsol/foreground.h). */
void adl_session_cams(const struct adl_session *session, int index, const int *class_ids,
                      size_t count, const struct adl_map_rule *rule, float *const cams[]);

/* Computes one of them. */
void adl_session_cam(const struct adl_session *session, int index, int class_id,
                     const struct adl_map_rule *rule, float *cam);

/* Sets *last and maps[] to what a head reads of image `index`: the last map and its layers, which
 * the plan has to keep (adl_plan_keep). maps: head->layer_count of them. */
void adl_session_foreground(const struct adl_session *session, int index,
                            const struct adl_foreground_head *head, struct adl_foreground_map *last,
                            struct adl_foreground_map *maps);

/* Sets *h and *w to the grid of a head's map in this session. */
void adl_session_foreground_grid(const struct adl_session *session,
                                 const struct adl_foreground_head *head, int *h, int *w);

#endif
