#ifndef ADL_MODELS_ARCH_H
#define ADL_MODELS_ARCH_H

/* Architectures: the list of backbones, and the conversion of an architecture to JSON, to
 * text for people and to a graph. */

#include <jansson.h>

#include "models/backbones/backbone.h"

/* Every backbone; NULL-terminated. */
extern const struct adl_backbone *const adl_backbones[];

/* Returns the backbone of that name, or that of networks from ONNX files, which is not in the list
 * above; NULL if there is none. */
const struct adl_backbone *adl_backbone_find(const char *name);

/* Sets the backbone's defaults, for 1000 classes, without ADL. */
void adl_arch_init(struct adl_arch *arch, const struct adl_backbone *backbone);

/* Sets adl_places from "adl_positions" of the `arch` object of a model file, if it is there; for
 * networks whose description is read after adl_arch_from_json(). Fails with ADL_ERR_FORMAT. */
int adl_arch_read_places(struct adl_arch *arch, const json_t *json,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Sets adl_places from layer names separated by commas. Fails with ADL_ERR_ARG when ADL
 * cannot follow a layer of that name, with ADL_ERR_UNSUPPORTED when the backbone's places are
 * fixed. */
int adl_arch_set_places(struct adl_arch *arch, const char *names,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Checks the ranges of all fields (see struct adl_arch); fails with ADL_ERR_ARG. */
int adl_arch_check(const struct adl_arch *arch, struct adl_error *err) ADL_MUST_CHECK;

/* Convert between an architecture and the `arch` object of a model file. adl_arch_to_json
 * leaves out fields without meaning for the backbone; the caller owns the JSON, which is NULL
 * when out of memory. adl_arch_from_json gives absent keys the backbone's defaults and
 * ignores unknown keys, and `graph`, whose nodes are the caller's to write and to read (stored.h);
 * it fails with ADL_ERR_FORMAT on a wrong type or range and with ADL_ERR_UNSUPPORTED on an unknown
 * network, and then leaves *arch unchanged. */
json_t *adl_arch_to_json(const struct adl_arch *arch) ADL_MUST_CHECK;
int adl_arch_from_json(struct adl_arch *arch, const json_t *json,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Writes a description for people, such as "mobilenet_v1 0.75 relu6 tf_same", cut at `size`
 * bytes. */
void adl_arch_describe(const struct adl_arch *arch, char *text, size_t size);

/* Returns the graph of an architecture for images of input_h x input_w pixels, owned by the
 * caller. Fails with ADL_ERR_ARG when a field is out of range or the input is too small for
 * the network. */
struct adl_graph *adl_arch_build(const struct adl_arch *arch, int input_h, int input_w,
                                 struct adl_error *err) ADL_MUST_CHECK;

#endif
