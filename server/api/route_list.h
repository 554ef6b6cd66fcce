/* The routes, one row each. A new route is its handler and a row here, which also
 * declares the handler (see server.h). The first row that matches a path is used. This
 * file is included several times, with different definitions of the three macros:
 *
 *     GET_ROUTE(path, handler, properties ...)
 *     POST_ROUTE(path, handler of the headers, handler of the body, properties ...)
 *     KEPT_ROUTE(path, name, properties ...)   something that is put, got and deleted; the
 *                                              handlers are NAME, NAME_put_begin, NAME_put,
 *                                              NAME_delete_begin and NAME_delete
 *
 * The properties are members of struct adl_route. */

POST_ROUTE("/localize", adl_api_localize_begin, adl_api_localize)
GET_ROUTE("/models", adl_api_models, .where = ADL_ON_BOTH, .right = ADL_RIGHT_MODELS)
KEPT_ROUTE("/models/{name}", adl_api_model, .where = ADL_ON_BOTH, .right = ADL_RIGHT_MODELS,
           .changed_on_admin = true)
GET_ROUTE("/v2", adl_api_inference_server, .right = ADL_RIGHT_MODELS, .slash = true)
GET_ROUTE("/v2/health/live", adl_api_inference_live, .open = true, .unattended = true)
GET_ROUTE("/v2/health/ready", adl_api_inference_ready, .open = true, .unattended = true)
GET_ROUTE("/v2/models/{name}", adl_api_inference_model, .right = ADL_RIGHT_MODELS)
GET_ROUTE("/v2/models/{name}/ready", adl_api_inference_model_ready, .right = ADL_RIGHT_MODELS)
GET_ROUTE("/v2/models/{name}/versions/{version}", adl_api_inference_model,
          .right = ADL_RIGHT_MODELS)
GET_ROUTE("/v2/models/{name}/versions/{version}/ready", adl_api_inference_model_ready,
          .right = ADL_RIGHT_MODELS)
POST_ROUTE("/v2/models/{name}/infer", adl_api_infer_begin, adl_api_infer)
POST_ROUTE("/v2/models/{name}/versions/{version}/infer", adl_api_infer_begin, adl_api_infer)
POST_ROUTE("/v2/models/{name}/explain", adl_api_explain_begin, adl_api_explain)
POST_ROUTE("/v2/models/{name}/versions/{version}/explain", adl_api_explain_begin, adl_api_explain)
GET_ROUTE("/annotations", adl_api_annotations, .annotations = true)
KEPT_ROUTE("/annotations/{name}", adl_api_annotation, .annotations = true)
POST_ROUTE("/jobs", adl_api_jobs_begin, adl_api_jobs_post, .get = adl_api_jobs, .jobs = true)
GET_ROUTE("/jobs/{id}", adl_api_job, .delete_begin = adl_api_job_delete_begin,
          .delete = adl_api_job_delete, .jobs = true)
GET_ROUTE("/jobs/{id}/results", adl_api_job_results, .jobs = true)
GET_ROUTE("/healthz", adl_api_healthz, .where = ADL_ON_BOTH, .open = true, .unattended = true)
GET_ROUTE("/readyz", adl_api_readyz, .where = ADL_ON_BOTH, .open = true, .unattended = true)
GET_ROUTE("/health", adl_api_health, .where = ADL_ON_BOTH, .open = true, .unattended = true)
GET_ROUTE("/status", adl_api_status, .where = ADL_ON_BOTH, .unattended = true,
          .right = ADL_RIGHT_MODELS)
GET_ROUTE("/metrics", adl_api_metrics, .where = ADL_ON_ADMIN_IF_ANY, .unattended = true,
          .right = ADL_RIGHT_METRICS)
GET_ROUTE("/openapi.json", adl_api_asset, .where = ADL_ON_BOTH, .open = true)
POST_ROUTE("/reload", adl_api_reload_begin, adl_api_reload, .where = ADL_ON_ADMIN,
           .right = ADL_RIGHT_ADMIN)
GET_ROUTE("/problems", adl_api_problems, .where = ADL_ON_BOTH, .open = true)
GET_ROUTE("/problems/{name}", adl_api_problems, .where = ADL_ON_BOTH, .open = true)
GET_ROUTE("/training", adl_api_training_page, .open = true, .web = true)
GET_ROUTE("/training/runs", adl_api_training_begin, .later = adl_api_training_runs,
          .right = ADL_RIGHT_MODELS)
GET_ROUTE("/training/lines", adl_api_training_begin, .later = adl_api_training_lines,
          .right = ADL_RIGHT_MODELS)
GET_ROUTE("/training/pictures", adl_api_training_begin, .later = adl_api_training_pictures,
          .right = ADL_RIGHT_MODELS)
GET_ROUTE("/training/picture", adl_api_training_begin, .later = adl_api_training_picture,
          .right = ADL_RIGHT_MODELS)
GET_ROUTE("/", adl_api_asset, .open = true, .web = true)
GET_ROUTE("/{file}", adl_api_asset, .open = true, .web = true)
