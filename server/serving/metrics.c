/* Counts, and renders the counters in the text format of Prometheus.
 *
 * Every label value comes from a small set (routes, methods, status codes, stages, models and
 * their loaded versions). Those of the fixed ones are elements of arrays in struct adl_metrics,
 * those of models live and end with the model's name (serving/served.h), and counting
 * is one relaxed atomic addition: no lock, no allocation, no table of label strings that
 * a client could fill. A value outside its set (an unusual method, an unexpected status) is
 * counted in a separate column. The price is memory for combinations that never occur;
 * rendering leaves out those whose count is 0.
 *
 * A histogram finds its bucket by a linear search over at most ADL_METRICS_BUCKETS bounds.
 * Values that other parts of the server keep (queue depth, connections, memory) are not stored
 * twice but passed in when rendering. */

#include "server/serving/metrics.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/size.h"

const char *const adl_method_names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"};

static const int statuses[ADL_METRICS_STATUSES - 1] = {200, 201, 202, 204, 304, 400, 401, 403,
                                                       404, 405, 406, 408, 409, 411, 413, 415,
                                                       422, 429, 499, 500, 501, 503, 507};

const char *const adl_stage_names[ADL_STAGE_COUNT] = {"decode", "queue", "inference", "postprocess",
                                                      "encode"};
const char *const adl_job_state_names[ADL_JOB_STATES] = {"queued", "running", "done", "failed",
                                                         "cancelled"};
const char *const adl_decoder_reason_names[ADL_DECODER_REASONS] = {"crashed", "killed", "late",
                                                                   "refused"};
static const char *const outcome_names[ADL_OUTCOME_COUNT] = {"ok", "corrupt", "too_large",
                                                             "unsupported"};

const struct adl_buckets adl_buckets_seconds = {
    13, {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};
const struct adl_buckets adl_buckets_batch = {7, {1, 2, 3, 4, 8, 16, 32}};
const struct adl_buckets adl_buckets_unit = {10, {.1, .2, .3, .4, .5, .6, .7, .8, .9, 1}};

static void add(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void adl_histogram_add(struct adl_histogram *histogram, const struct adl_buckets *buckets,
                       double value)
{
    size_t i = 0;
    while (i < buckets->count && value > buckets->bounds[i])
        i++;
    add(&histogram->buckets[i], 1);
    add(&histogram->micro_sum, (uint64_t)llround(fmax(value, 0) * 1e6));
}

void adl_metrics_request(struct adl_metrics *metrics, int route, enum adl_method_index method,
                         int status, double seconds)
{
    size_t column = 0;
    while (column < ADL_COUNT(statuses) && statuses[column] != status)
        column++;
    add(&metrics->requests[route][method][column], 1);
    adl_histogram_add(&metrics->request_seconds[route], &adl_buckets_seconds, seconds);
}

void adl_metrics_escape(struct adl_str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            adl_str_puts(out, "\\n");
        else if (*text == '\\' || *text == '"')
            adl_str_printf(out, "\\%c", *text);
        else
            adl_str_append(out, text, 1);
    }
}

/* --- rendering ------------------------------------------------------------- */

/* Appends the HELP and TYPE lines that precede the samples of a metric family. */
static void family(struct adl_str *out, const char *name, const char *type, const char *help)
{
    adl_str_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Appends a family of one sample without labels. */
static void simple(struct adl_str *out, const char *name, const char *type, const char *help,
                   double value)
{
    family(out, name, type, help);
    adl_str_printf(out, "%s %.15g\n", name, value);
}

/* Appends a sample with one label: name{key="value"} number */
static void labelled(struct adl_str *out, const char *name, const char *key, const char *value,
                     double number)
{
    adl_str_printf(out, "%s{%s=\"", name, key);
    adl_metrics_escape(out, value);
    adl_str_printf(out, "\"} %.15g\n", number);
}

/* Appends the cumulative buckets, sum and count of one histogram, with one label. */
static void histogram(struct adl_str *out, const char *name, const char *key, const char *value,
                      struct adl_histogram *h, const struct adl_buckets *buckets)
{
    struct adl_str label = {0};
    uint64_t sum = 0;

    adl_metrics_escape(&label, value);
    for (size_t i = 0; i <= buckets->count; i++) {
        sum += get(&h->buckets[i]);
        if (i < buckets->count)
            adl_str_printf(out, "%s_bucket{%s=\"%s\",le=\"%.15g\"} %llu\n", name, key,
                           label.data ? label.data : "", buckets->bounds[i],
                           (unsigned long long)sum);
    }
    adl_str_printf(out, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %llu\n", name, key,
                   label.data ? label.data : "", (unsigned long long)sum);
    adl_str_printf(out, "%s_sum{%s=\"%s\"} %.15g\n", name, key, label.data ? label.data : "",
                   (double)get(&h->micro_sum) / 1e6);
    adl_str_printf(out, "%s_count{%s=\"%s\"} %llu\n", name, key, label.data ? label.data : "",
                   (unsigned long long)sum);
    out->failed |= label.failed;
    adl_str_release(&label);
}

static void render_http(struct adl_metrics *m, const struct adl_metrics_state *state,
                        struct adl_str *out)
{
    family(out, "adl_http_requests_total", "counter",
           "Requests answered, by path, method and status code.");
    for (int r = 0; r < state->route_count; r++)
        for (int method = 0; method < ADL_METHOD_COUNT; method++)
            for (size_t s = 0; s < ADL_METRICS_STATUSES; s++) {
                uint64_t count = get(&m->requests[r][method][s]);
                if (count == 0)
                    continue;
                adl_str_printf(out, "adl_http_requests_total{path=\"%s\",method=\"%s\",",
                               state->routes[r], adl_method_names[method]);
                if (s < ADL_COUNT(statuses))
                    adl_str_printf(out, "code=\"%d\"} %llu\n", statuses[s],
                                   (unsigned long long)count);
                else
                    adl_str_printf(out, "code=\"other\"} %llu\n", (unsigned long long)count);
            }
    family(out, "adl_http_request_duration_seconds", "histogram",
           "Time from the arrival of the headers to the end of the response.");
    for (int r = 0; r < state->route_count; r++) {
        uint64_t any = 0;
        for (size_t i = 0; i <= ADL_METRICS_BUCKETS; i++)
            any |= get(&m->request_seconds[r].buckets[i]);
        if (any)
            histogram(out, "adl_http_request_duration_seconds", "path", state->routes[r],
                      &m->request_seconds[r], &adl_buckets_seconds);
    }
    simple(out, "adl_http_request_body_bytes_total", "counter", "Bytes of request bodies received.",
           (double)get(&m->body_bytes_in));
    simple(out, "adl_http_response_body_bytes_total", "counter", "Bytes of response bodies sent.",
           (double)get(&m->body_bytes_out));
    simple(out, "adl_http_connections", "gauge", "Open client connections.",
           (double)state->connections);
    family(out, "adl_log_lines_dropped_total", "counter",
           "Lines that were dropped because standard error or the access log was not written.");
    labelled(out, "adl_log_lines_dropped_total", "log", "error", (double)state->log_dropped);
    labelled(out, "adl_log_lines_dropped_total", "log", "access", (double)state->access_dropped);
    if (state->spans_sent) {
        family(
            out, "adl_traced_requests_total", "counter",
            "Requests whose spans the collector of --trace-endpoint took, or that were dropped.");
        labelled(out, "adl_traced_requests_total", "outcome", "sent", (double)*state->spans_sent);
        labelled(out, "adl_traced_requests_total", "outcome", "dropped",
                 (double)*state->spans_dropped);
    }
    if (state->certificate_expires > 0)
        simple(out, "adl_tls_certificate_expires_timestamp_seconds", "gauge",
               "When the certificate of --tls-cert expires, in Unix time.",
               (double)state->certificate_expires);
    simple(out, "adl_http_requests_in_flight", "gauge",
           "Requests that have begun and are not yet answered.",
           (double)atomic_load_explicit(&m->in_flight, memory_order_relaxed));
    family(out, "adl_errors_total", "counter", "Requests answered with an error, by problem type.");
    for (int p = ADL_PROBLEM_NONE + 1; p < ADL_PROBLEM_COUNT; p++)
        labelled(out, "adl_errors_total", "type", adl_problem_row((enum adl_problem)p)->name,
                 (double)get(&m->problems[p]));
}

static void render_work(struct adl_metrics *m, const struct adl_metrics_state *state,
                        struct adl_str *out)
{
    family(out, "adl_stage_duration_seconds", "histogram",
           "Duration of each processing stage of an image.");
    for (int s = 0; s < ADL_STAGE_COUNT; s++)
        histogram(out, "adl_stage_duration_seconds", "stage", adl_stage_names[s],
                  &m->stage_seconds[s], &adl_buckets_seconds);
    simple(out, "adl_queue_capacity", "gauge", "Maximum number of images queued or in progress.",
           (double)state->queue_capacity);
    family(out, "adl_queue_limit", "gauge",
           "Images that are accepted now, fewer than the maximum while all wait for long.");
    for (int lane = 0; lane < ADL_LANE_COUNT; lane++)
        labelled(out, "adl_queue_limit", "lane", adl_lane_names[lane],
                 (double)state->queue_limit[lane]);
    simple(out, "adl_memory_reserved_bytes", "gauge",
           "Memory reserved for decoded images and answers.", (double)state->memory);
    simple(out, "adl_memory_limit_bytes", "gauge", "Maximum memory for decoded images and answers.",
           (double)state->memory_limit);
    family(out, "adl_jobs_abandoned_total", "counter",
           "Images dropped because their result was not needed any more, by reason.");
    labelled(out, "adl_jobs_abandoned_total", "reason", "disconnected",
             (double)get(&m->abandoned_disconnected));
    labelled(out, "adl_jobs_abandoned_total", "reason", "deadline",
             (double)get(&m->abandoned_deadline));
    simple(out, "adl_decoder_processes", "gauge",
           "Processes that decode images in a sandbox; 0: the server decodes them itself.",
           (double)state->decoders);
    if (state->jobs) {
        family(out, "adl_jobs", "gauge", "Jobs that are kept, by state.");
        for (int j = 0; j < ADL_JOB_STATES; j++)
            labelled(out, "adl_jobs", "state", adl_job_state_names[j], (double)state->jobs[j]);
        family(out, "adl_job_images_total", "counter", "Images of jobs, by outcome.");
        labelled(out, "adl_job_images_total", "outcome", "ok", (double)get(&m->job_images_ok));
        labelled(out, "adl_job_images_total", "outcome", "failed",
                 (double)get(&m->job_images_failed));
    }
    family(out, "adl_decoder_restarts_total", "counter",
           "Processes that decode images which were replaced, by reason.");
    for (int r = 0; r < ADL_DECODER_REASONS; r++)
        labelled(out, "adl_decoder_restarts_total", "reason", adl_decoder_reason_names[r],
                 (double)get(&m->decoder_restarts[r]));
}

/* Appends a sample with a model and a version. */
static void versioned(struct adl_str *out, const char *name, const char *model, const char *version,
                      double number)
{
    adl_str_printf(out, "%s{model=\"", name);
    adl_metrics_escape(out, model);
    adl_str_printf(out, "\",version=\"%s\"} %.15g\n", version, number);
}

/* The series of a version last as long as the version is loaded. */
static void render_versions(const struct adl_metrics_state *state, struct adl_str *out)
{
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        {"adl_model_version_images_total", "counter", "Images answered by the version."},
        {"adl_model_version_load_seconds", "gauge", "How long the version took to load."},
        {"adl_model_version_load_timestamp_seconds", "gauge",
         "Time at which the version was loaded, in Unix time."},
        {"adl_model_version_memory_bytes", "gauge",
         "Memory of the version's packed weights and activations, in bytes."},
    };

    for (size_t f = 0; f < ADL_COUNT(families); f++) {
        family(out, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < state->model_count; i++)
            for (size_t v = 0; v < state->models[i].version_count; v++) {
                const struct adl_metrics_version_state *version = &state->models[i].versions[v];
                const double values[] = {(double)version->images, version->load_s,
                                         version->loaded_at, (double)version->memory_bytes};
                versioned(out, families[f].name, state->models[i].name, version->version,
                          values[f]);
            }
    }
}

static void render_models(const struct adl_metrics_state *state, struct adl_str *out)
{
    const struct adl_metrics_model_state *models = state->models;
    size_t count = state->model_count;

    family(out, "adl_queue_depth", "gauge", "Images queued or in progress.");
    for (size_t i = 0; i < count; i++)
        labelled(out, "adl_queue_depth", "model", models[i].name, (double)models[i].queue_depth);
    family(out, "adl_batch_size", "histogram",
           "Number of images that the network ran on at a time.");
    for (size_t i = 0; i < count; i++)
        histogram(out, "adl_batch_size", "model", models[i].name, &models[i].metrics->batch_size,
                  &adl_buckets_batch);
    family(out, "adl_images_total", "counter", "Images processed, by outcome.");
    for (size_t i = 0; i < count; i++)
        for (int o = 0; o < ADL_OUTCOME_COUNT; o++) {
            adl_str_puts(out, "adl_images_total{model=\"");
            adl_metrics_escape(out, models[i].name);
            adl_str_printf(out, "\",outcome=\"%s\"} %llu\n", outcome_names[o],
                           (unsigned long long)get(&models[i].metrics->images[o]));
        }
    family(out, "adl_model_loaded", "gauge", "1 if the model is loaded, 0 if not.");
    for (size_t i = 0; i < count; i++)
        labelled(out, "adl_model_loaded", "model", models[i].name, models[i].version_count > 0);
    family(out, "adl_model_memory_bytes", "gauge",
           "Memory of the packed weights and the activations, in bytes.");
    for (size_t i = 0; i < count; i++)
        labelled(out, "adl_model_memory_bytes", "model", models[i].name,
                 models[i].version_count ? (double)models[i].versions[0].memory_bytes : 0);
    family(out, "adl_model_load_timestamp_seconds", "gauge",
           "Time at which the model was loaded, in Unix time.");
    for (size_t i = 0; i < count; i++)
        labelled(out, "adl_model_load_timestamp_seconds", "model", models[i].name,
                 models[i].version_count ? models[i].versions[0].loaded_at : 0);
    family(out, "adl_model_reloads_total", "counter", "Reloads of the model, by outcome.");
    for (size_t i = 0; i < count; i++)
        for (int failed = 0; failed < 2; failed++) {
            adl_str_puts(out, "adl_model_reloads_total{model=\"");
            adl_metrics_escape(out, models[i].name);
            adl_str_printf(out, "\",outcome=\"%s\"} %llu\n", failed ? "failed" : "ok",
                           (unsigned long long)get(failed ? &models[i].metrics->reloads_failed
                                                          : &models[i].metrics->reloads_ok));
        }
    family(out, "adl_prediction_score", "histogram", "Score of the first prediction of an image.");
    for (size_t i = 0; i < count; i++)
        histogram(out, "adl_prediction_score", "model", models[i].name, &models[i].metrics->score,
                  &adl_buckets_unit);
    family(out, "adl_box_area_ratio", "histogram",
           "Area of the first box as a fraction of the image area.");
    for (size_t i = 0; i < count; i++)
        histogram(out, "adl_box_area_ratio", "model", models[i].name, &models[i].metrics->box_area,
                  &adl_buckets_unit);
}

/* Returns the Unix time at which this process started; 0 if it cannot be determined. /proc
 * gives the start in clock ticks since boot; the time of the boot is the present time minus
 * CLOCK_BOOTTIME. The result is computed once, so that it does not change when the clock is
 * set. */
static double process_start(void)
{
    static _Atomic double start;
    double known = atomic_load(&start);
    struct timespec wall, boot;
    unsigned long long ticks = 0;
    char text[1024];
    FILE *stat;
    size_t length;
    const char *next;

    if (known > 0)
        return known;
    stat = fopen("/proc/self/stat", "r");
    if (!stat)
        return 0;
    length = fread(text, 1, sizeof text - 1, stat);
    fclose(stat);
    text[length] = '\0';
    /* The start is field 22. Field 2, the name in parentheses, may contain blanks, so the
     * fields are counted from its end. */
    next = strrchr(text, ')');
    for (int field = 2; next && field < 22; field++)
        next = strchr(next + 1, ' ');
    if (!next || sscanf(next, " %llu", &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    known = (double)wall.tv_sec - (double)boot.tv_sec +
            (double)(wall.tv_nsec - boot.tv_nsec) / 1e9 +
            (double)ticks / (double)sysconf(_SC_CLK_TCK);
    atomic_store(&start, known);
    return known;
}

static size_t open_files(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the directory itself */
}

static void render_process(const struct adl_metrics_state *state, struct adl_str *out)
{
    struct rusage usage;
    struct rlimit files = {0};
    unsigned long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");

    family(out, "adl_build_info", "gauge", "Version of the server, CPU and BLAS library.");
    adl_str_puts(out, "adl_build_info{version=\"");
    adl_metrics_escape(out, state->version);
    adl_str_puts(out, "\",cpu=\"");
    adl_metrics_escape(out, state->cpu);
    adl_str_puts(out, "\",blas=\"");
    adl_metrics_escape(out, state->blas);
    adl_str_puts(out, "\"} 1\n");

    if (statm) {
        if (fscanf(statm, "%lu %lu", &pages, &resident) != 2)
            resident = 0;
        fclose(statm);
    }
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &files);
    simple(out, "process_cpu_seconds_total", "counter",
           "Total user and system CPU time in seconds.",
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    simple(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
           (double)resident * (double)sysconf(_SC_PAGESIZE));
    simple(out, "process_open_fds", "gauge", "Number of open file descriptors.",
           (double)open_files());
    simple(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.",
           (double)files.rlim_cur);
    simple(out, "process_start_time_seconds", "gauge", "Start time of the process in Unix time.",
           process_start());
}

void adl_metrics_render(struct adl_metrics *metrics, const struct adl_metrics_state *state,
                        struct adl_str *out)
{
    render_http(metrics, state, out);
    render_work(metrics, state, out);
    render_models(state, out);
    render_versions(state, out);
    render_process(state, out);
}
