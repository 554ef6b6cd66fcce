/* Handles the GET requests of the Open Inference Protocol, version 2: health, and what the server
 * and its models are. The paths and the members of the answers are those of the specification
 * (kserve/open-inference-protocol, inference_rest.md); docs/operating.md describes them. */

#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "server/api/inference_request.h"
#include "server/api/inference_target.h"

#define PREFIX "/v2/models/"

/* --- the model of a path --------------------------------------------------------- */

/* Copies a segment that begins at *at, up to the next slash, and moves *at after that. Returns
 * false if it does not fit. */
static bool take_segment(const char **at, char *out, size_t size)
{
    const size_t length = strcspn(*at, "/");

    if (length >= size)
        return false;
    snprintf(out, size, "%.*s", (int)length, *at);
    *at += length + ((*at)[length] == '/');
    return true;
}

/* Reads the name and the version ("" if there is none) from a path that a route has matched. */
static bool read_target(const char *path, char name[ADL_LIMIT_MODEL_NAME_BYTES + 1],
                        char version[ADL_LIMIT_PARAM_BYTES])
{
    const char *at = path + strlen(PREFIX);
    char word[16];

    *version = '\0';
    if (!take_segment(&at, name, ADL_LIMIT_MODEL_NAME_BYTES + 1))
        return false;
    return !take_segment(&at, word, sizeof word) || strcmp(word, "versions") != 0 ||
           take_segment(&at, version, ADL_LIMIT_PARAM_BYTES);
}

struct adl_served *adl_inference_model(struct adl_exchange *exchange)
{
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1], version[ADL_LIMIT_PARAM_BYTES];
    char full[sizeof name + sizeof version];
    struct adl_served *served = NULL;
    struct adl_error err = {0};

    if (read_target(exchange->http->path, name, version)) {
        snprintf(full, sizeof full, "%s%s%s", name, *version ? "@" : "", version);
        served = adl_registry_acquire(exchange->server->registry, full, &err);
    } else {
        adl_fail(&err, ADL_ERR_NOT_FOUND, "the name or the version of the model is too long");
    }
    if (!served) {
        const bool loading = err.kind == ADL_ERR_BUSY;
        adl_answer_problem(exchange, loading ? ADL_PROBLEM_LOADING : ADL_PROBLEM_UNKNOWN_MODEL,
                           loading, "%s", err.message);
        return NULL;
    }
    snprintf(exchange->model, sizeof exchange->model, "%s", served->name);
    return served;
}

/* --- health ------------------------------------------------------------------------- */

void adl_api_inference_live(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    adl_answer_json(exchange, json_pack("{s:b}", "live", 1));
}

/* The specification calls the member "live" here, too; its servers say "ready". */
void adl_api_inference_ready(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    if (adl_check_ready(exchange))
        adl_answer_json(exchange, json_pack("{s:b, s:b}", "live", 1, "ready", 1));
}

void adl_api_inference_model_ready(struct adl_exchange *exchange, const char *rest)
{
    struct adl_served *served = adl_inference_model(exchange);

    (void)rest;
    if (served)
        adl_answer_json(exchange, json_pack("{s:s, s:b}", "name", served->name, "ready", 1));
    adl_served_release(served);
}

/* --- metadata -------------------------------------------------------------------------- */

void adl_api_inference_server(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    adl_answer_json(exchange,
                    json_pack("{s:s, s:s, s:[s, s]}", "name", "adl-server", "version", ADL_VERSION,
                              "extensions", "binary_tensor_data", "explain"));
}

/* Returns the versions of a model that are loaded, the current one first. */
static json_t *versions(const struct adl_exchange *exchange, const struct adl_served *served)
{
    struct adl_registry_table *table = adl_registry_table(exchange->server->registry);
    const struct adl_registry_entry *entry = adl_registry_find(table, served->name);
    json_t *list = json_array();

    if (entry && entry->current)
        json_array_append_new(list, json_string(entry->current->version));
    for (size_t i = 0; entry && i < entry->kept_count; i++)
        json_array_append_new(list, json_string(entry->kept[i]->version));
    /* The model may have gone meanwhile. */
    if (json_array_size(list) == 0)
        json_array_append_new(list, json_string(served->version));
    adl_registry_table_release(table);
    return list;
}

static json_t *tensor(const char *name, const char *type, json_t *shape)
{
    return json_pack("{s:s, s:s, s:o}", "name", name, "datatype", type, "shape", shape);
}

/* Returns the outputs that are given by default. */
static json_t *outputs(const struct adl_served *served)
{
    const struct adl_shape map = adl_plan_output_shape(served->plan, ADL_OUTPUT_FEATURES);
    const int classes = served->model->arch.num_classes;
    json_t *list = json_array();

    for (int i = 0; list && i < ADL_INFERENCE_OUTPUTS; i++) {
        const struct adl_inference_output_row *row = &adl_inference_outputs[i];
        json_t *shape;
        if (!row->infer)
            continue;
        if (i == ADL_INFERENCE_CAM)
            shape = json_pack("[i, i, i]", -1, map.h, map.w);
        else
            shape = json_pack("[i, i]", -1, i == ADL_INFERENCE_BOXES ? 6 : classes);
        if (json_array_append_new(list,
                                  tensor(row->name, adl_tensor_type_names[row->type], shape)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

void adl_api_inference_model(struct adl_exchange *exchange, const char *rest)
{
    struct adl_served *served = adl_inference_model(exchange);

    (void)rest;
    if (!served)
        return;
    const struct adl_model *model = served->model;
    adl_answer_json(
        exchange,
        json_pack("{s:s, s:o, s:s, s:[o, o], s:o}", "name", served->name, "versions",
                  versions(exchange, served), "platform", "adl_safetensors", "inputs",
                  tensor("input", adl_tensor_type_names[ADL_TENSOR_FP32],
                         json_pack("[i, i, i, i]", -1, 3, model->input_h, model->input_w)),
                  tensor("image", adl_tensor_type_names[ADL_TENSOR_BYTES], json_pack("[i]", -1)),
                  "outputs", outputs(served)));
    adl_served_release(served);
}
