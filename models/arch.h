#ifndef ADL_MODELS_ARCH_H
#define ADL_MODELS_ARCH_H

/* Architectures: the list of backbones, and an architecture as JSON, as text for
 * people and as a graph. */

#include <jansson.h>

#include "models/backbones/backbone.h"

/* Every backbone; NULL-terminated. */
extern const struct adl_backbone *const adl_backbones[];

/* NULL when no backbone has that name. */
const struct adl_backbone *adl_backbone_find(const char *name);

/* Sets the backbone's defaults, for 1000 classes, without ADL. */
void adl_arch_init(struct adl_arch *arch, const struct adl_backbone *backbone);

/* Sets adl_places from layer names separated by commas. Fails with ARG when ADL cannot
 * follow a layer of that name, with UNSUPPORTED when the backbone's places are fixed. */
int adl_arch_set_places(struct adl_arch *arch, const char *names,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ARG when a field is out of its range (see struct adl_arch). */
int adl_arch_check(const struct adl_arch *arch, struct adl_error *err) ADL_MUST_CHECK;

/* The `arch` object of a model file and back. Writing: fields without meaning for the
 * backbone are left out; the caller owns the JSON, NULL is out of memory. Reading:
 * absent keys have the backbone's defaults, unknown keys are ignored; fails with
 * FORMAT on a wrong type or range, with UNSUPPORTED on an unknown network, and then
 * leaves *arch untouched. */
json_t *adl_arch_to_json(const struct adl_arch *arch) ADL_MUST_CHECK;
int adl_arch_from_json(struct adl_arch *arch, const json_t *json,
                       struct adl_error *err) ADL_MUST_CHECK;

/* "mobilenet_v1 0.75 relu6 tf_same" for people, cut at `size` bytes. */
void adl_arch_describe(const struct adl_arch *arch, char *text, size_t size);

/* The graph of an architecture for images of input_h x input_w pixels, owned by the
 * caller. Fails with ARG when a field is out of range or the input is too small for
 * the network. */
struct adl_graph *adl_arch_build(const struct adl_arch *arch, int input_h, int input_w,
                                 struct adl_error *err) ADL_MUST_CHECK;

#endif
