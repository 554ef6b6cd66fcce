/* Makes jobs of what is asked; see localize_query.h. */

#include "server/api/localize_query.h"

#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "server/api/answer_cost.h"
#include "server/api/job_answer.h"

/* Returns whether the classes that are present are localized, however many these are. */
static bool takes_present(const struct adl_localize_query *query)
{
    return query->served->model->labels.several && !query->params.top_k_given;
}

static int check_views(const struct adl_server *server, const struct adl_localize_query *query,
                       struct adl_error *err)
{
    /* Without top_k at most so many are asked for; see adl_localize_fill(). */
    int wanted = takes_present(query) ? ADL_OWN_CLASSES : query->params.top_k;
    int classes = ADL_MIN(wanted, query->served->model->arch.num_classes);

    return adl_check_views(server, query->served, &query->map, classes, err);
}

enum adl_problem adl_localize_choose(const struct adl_server *server,
                                     struct adl_localize_query *query, struct adl_error *err)
{
    const struct adl_model *model;

    query->served = adl_registry_acquire(server->registry, query->params.model, err);
    if (!query->served)
        return err->kind == ADL_ERR_BUSY ? ADL_PROBLEM_LOADING : ADL_PROBLEM_UNKNOWN_MODEL;
    model = query->served->model;
    query->map = model->map;
    if (adl_map_rule_change(&query->map, &query->params.map, model->foreground, err) < 0 ||
        check_views(server, query, err) < 0)
        return ADL_PROBLEM_BAD_PARAMETER;
    query->class_id = -1;
    if (!*query->params.class_text)
        return ADL_PROBLEM_NONE;
    query->class_id = adl_model_find_class(model, query->params.class_text);
    if (query->class_id >= 0)
        return ADL_PROBLEM_NONE;
    adl_fail(err, ADL_ERR_ARG,
             "the model \"%s\" does not have the class \"%s\"; GET /models/%s lists its %zu "
             "class%s",
             query->served->name, ADL_SHORT(query->params.class_text), query->served->name,
             model->class_count, ADL_ES(model->class_count));
    return ADL_PROBLEM_UNKNOWN_CLASS;
}

static size_t class_count(const struct adl_localize_query *query)
{
    size_t wanted = takes_present(query) ? ADL_PREDICT_LABELS : (size_t)query->params.top_k;
    size_t all = (size_t)query->served->model->arch.num_classes;

    return query->class_id >= 0 ? 1 : ADL_MIN(wanted, all);
}

void adl_localize_fill(const struct adl_server *server, const struct adl_localize_query *query,
                       bool overlay, struct adl_job *job)
{
    const struct adl_model *model = query->served->model;
    const struct adl_params *params = &query->params;
    const struct adl_answer_kind kind = {
        .classes = class_count(query),
        .overlay = overlay,
        .heatmap = params->heatmap,
        .boxes = params->boxes,
        .map_cells = adl_answer_map_cells(&query->map.views, model->input_h, model->input_w),
    };

    job->served = query->served;
    job->decode = (struct adl_predict_decode){
        .max_pixels = server->max_pixels, .reduced = server->reduced_decode, .keep_image = overlay};
    job->query = (struct adl_predict_query){
        .class_id = query->class_id,
        .top_k = takes_present(query) ? 0 : (size_t)params->top_k,
        .most = adl_map_cost(model, &query->map, 1) > adl_map_cost(model, &query->map, 0)
                    ? ADL_OWN_CLASSES
                    : 0,
        .label_threshold = params->label_threshold,
        .map = query->map,
        .boxes = params->boxes};
    adl_predict_query_certainty(&job->query, model);
    job->run_cost = ADL_MAX(1, adl_map_cost(model, &query->map, (int)class_count(query)));
    job->answer = adl_answer_cost(&kind);
}
