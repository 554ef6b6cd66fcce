/* server/serving/metrics: the rules of Prometheus's text format. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/serving/metrics.h"

static struct adl_metrics metrics;

static char *render(void)
{
    static const char *const routes[] = {"/localize", "unknown"};
    static const struct adl_metrics_version_state versions[] = {{"0123456789ab", 7, 1000, 1.5e9, 2},
                                                                {"ba9876543210", 5, 900, 1.4e9, 3}};
    static struct adl_model_metrics counts[2];
    static const struct adl_metrics_model_state models[] = {
        {"a\"b\\c\nd", &counts[0], 2, versions, 2}, {"second", &counts[1], 0, NULL, 0}};
    struct adl_metrics_state state = {.routes = routes,
                                      .route_count = 2,
                                      .models = models,
                                      .model_count = 2,
                                      .queue_capacity = 64,
                                      .connections = 3,
                                      .version = "1",
                                      .cpu = "a cpu",
                                      .blas = "a blas"};
    struct adl_str text = {0};
    struct adl_error err = {0};
    adl_metrics_render(&metrics, &state, &text);
    char *taken = adl_str_take(&text, NULL, &err);
    if (!taken)
        TEST_FAIL("%s", err.message);
    return taken;
}

/* The value of the sample whose line begins with the given text; NaN if there is none. */
static double sample(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
        if (!strncmp(line, name, length) && line[length] == ' ')
            return strtod(line + length, NULL);
    return -1;
}

static void counts(void)
{
    memset(&metrics, 0, sizeof metrics);
    adl_metrics_request(&metrics, 0, ADL_METHOD_POST, 200, 0.004);
    adl_metrics_request(&metrics, 0, ADL_METHOD_POST, 200, 0.005);
    adl_metrics_request(&metrics, 1, ADL_METHOD_POST, 202, 0.004);
    adl_metrics_request(&metrics, 1, ADL_METHOD_PUT, 201, 0.004);
    adl_metrics_request(&metrics, 0, ADL_METHOD_POST, 777, 100);
    adl_metrics_request(&metrics, 1, ADL_METHOD_GET, 404, 0);
    metrics.problems[ADL_PROBLEM_QUEUE_FULL] = 5;
    char *text = render();
#define IS(name, value) CU_ASSERT_DOUBLE_EQUAL(sample(text, name), value, 1e-9)
    IS("adl_http_requests_total{path=\"/localize\",method=\"POST\",code=\"200\"}", 2);
    IS("adl_http_requests_total{path=\"unknown\",method=\"POST\",code=\"202\"}", 1);
    IS("adl_http_requests_total{path=\"unknown\",method=\"PUT\",code=\"201\"}", 1);
    IS("adl_http_requests_total{path=\"/localize\",method=\"POST\",code=\"other\"}", 1);
    IS("adl_http_requests_total{path=\"unknown\",method=\"GET\",code=\"404\"}", 1);
    IS("adl_http_request_duration_seconds_bucket{path=\"/localize\",le=\"0.0025\"}", 0);
    IS("adl_http_request_duration_seconds_bucket{path=\"/localize\",le=\"0.005\"}", 2);
    IS("adl_http_request_duration_seconds_bucket{path=\"/localize\",le=\"10\"}", 2);
    IS("adl_http_request_duration_seconds_bucket{path=\"/localize\",le=\"+Inf\"}", 3);
    IS("adl_http_request_duration_seconds_count{path=\"/localize\"}", 3);
    IS("adl_http_request_duration_seconds_sum{path=\"/localize\"}", 100.009);
    IS("adl_errors_total{type=\"queue-full\"}", 5);
    IS("adl_queue_depth{model=\"a\\\"b\\\\c\\nd\"}", 2);
    IS("adl_model_loaded{model=\"second\"}", 0);
#define VERSION(family, version)                                                                   \
    "adl_model_" family "{model=\"a\\\"b\\\\c\\nd\",version=\"" version "\"}"
    IS(VERSION("version_images_total", "0123456789ab"), 7);
    IS(VERSION("version_images_total", "ba9876543210"), 5);
    IS(VERSION("version_load_seconds", "ba9876543210"), 3);
    IS(VERSION("version_load_timestamp_seconds", "0123456789ab"), 1.5e9);
    IS("adl_model_memory_bytes{model=\"a\\\"b\\\\c\\nd\"}", 1000);
    CU_ASSERT(sample(text, "process_resident_memory_bytes") > 100000);
    CU_ASSERT(sample(text, "process_open_fds") >= 3);
    CU_ASSERT(sample(text, "process_start_time_seconds") > 1.6e9);
    adl_free(text);
}

/* HELP and TYPE appear once and before the samples, the samples of a family are together,
 * each on its own line, cumulative buckets never decrease, and the text ends in a newline. */
static void follows_the_format(void)
{
    char seen[64][80], family[80] = "";
    size_t families = 0;
    double bucket = 0;

    char *text = render(), *save = NULL;
    CU_ASSERT_EQUAL(text[strlen(text) - 1], '\n');
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char name[80];
        if (!strncmp(line, "# HELP ", 7)) {
            CU_ASSERT_EQUAL_FATAL(sscanf(line + 7, "%79[a-z_]", family), 1);
            for (size_t i = 0; i < families; i++)
                CU_ASSERT_STRING_NOT_EQUAL(seen[i], family);
            CU_ASSERT_FATAL(families < 64);
            snprintf(seen[families++], 80, "%s", family);
            continue;
        }
        if (!strncmp(line, "# TYPE ", 7)) {
            CU_ASSERT(!strncmp(line + 7, family, strlen(family)));
            continue;
        }
        CU_ASSERT_EQUAL_FATAL(sscanf(line, "%79[a-z_]", name), 1);
        if (strncmp(name, family, strlen(family)) != 0)
            TEST_FAIL("%s is not in its family %s", name, family);
        const char *value = strrchr(line, ' ');
        char *end;
        CU_ASSERT_PTR_NOT_NULL_FATAL(value);
        double number = strtod(value, &end);
        CU_ASSERT(end > value + 1 && !*end);
        if (strstr(name, "_bucket")) {
            if (!strstr(line, "le=\"0.001\"") && !strstr(line, "le=\"1\"") &&
                !strstr(line, "le=\"0.1\""))
                CU_ASSERT(number >= bucket);
            bucket = number;
        }
    }
    CU_ASSERT_EQUAL(families, 35);
    adl_free(text);
}

TEST_SUITE(http_metrics, {"counts", counts}, {"follows the format", follows_the_format});
