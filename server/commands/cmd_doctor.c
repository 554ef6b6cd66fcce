/* Implements `doctor`, which says what is wrong with this machine for a server, and how to mend it.
 * Each check is a function (doctor.h) and a row here; it looks at the thing itself, by opening,
 * loading or binding it as `serve` would. */

#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/doctor.h"
#include "server/commands/terminal.h"
#include "server/tasks/json_out.h"

static const struct {
    const char *name;
    adl_doctor_check *run;
} checks[] = {
    {"processor", adl_doctor_processor},
    {"threads", adl_doctor_threads},
    {"blas", adl_doctor_blas},
    {"libraries", adl_doctor_libraries},
    {"files", adl_doctor_files},
    {"memory", adl_doctor_memory},
    {"model", adl_doctor_model},
    {"address", adl_doctor_port},
    {"annotations", adl_doctor_annotations},
    {"runs", adl_doctor_runs},
    {"jobs", adl_doctor_jobs},
    {"systemd", adl_doctor_systemd},
    {"time", adl_doctor_time},
};

static enum adl_finding worst_of(const struct adl_doctor *d)
{
    return d->count[ADL_FINDING_FAIL]   ? ADL_FINDING_FAIL
           : d->count[ADL_FINDING_WARN] ? ADL_FINDING_WARN
                                        : ADL_FINDING_OK;
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    struct adl_doctor d = {.settings = settings};
    const size_t *failed = &d.count[ADL_FINDING_FAIL];
    int result = -1;

    (void)options;
    d.json = d.settings->json;
    d.coloured = adl_terminal_coloured(STDOUT_FILENO);
    d.list = json_array();
    for (size_t i = 0; i < ADL_COUNT(checks); i++) {
        d.check = checks[i].name;
        checks[i].run(&d);
    }
    if (d.json) {
        json_t *json =
            json_pack("{s:s, s:O}", "status", adl_finding_names[worst_of(&d)], "checks", d.list);
        if (json)
            result = adl_print_json(json, JSON_COMPACT, err);
        else
            adl_fail_nomem(err, "JSON");
        json_decref(json);
        if (result < 0)
            goto out;
    }
    result = *failed == 0
                 ? 0
                 : adl_fail(err, ADL_ERR_NOT_FOUND, "%zu of the checks above failed", *failed);
out:
    json_decref(d.list);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct adl_doctor_settings, .default_note = "the model that ships",
                     .help = "model that the server is to load"),
    {"listen", ADL_STRING(struct adl_doctor_settings, listen), .letter = 'l',
     .metavar = "HOST:PORT", .value = "127.0.0.1:8080",
     .help = "address that the server is to listen on"},
    {"annotations", ADL_STRING(struct adl_doctor_settings, annotations), .metavar = "DIR",
     .help = "directory that the server is to keep annotations in"},
    {"runs", ADL_STRING(struct adl_doctor_settings, runs), .metavar = "DIR",
     .help = "directory of training runs that the server is to show"},
    {"jobs", ADL_STRING(struct adl_doctor_settings, jobs), .metavar = "DIR",
     .help = "directory whose folders clients may have localized"},
    ADL_OPTION_JSON(struct adl_doctor_settings),
    {0},
};

const struct adl_command adl_command_doctor = {
    .name = "doctor",
    .summary = "Say what is wrong with this machine for a server, and how to mend it",
    .usage = "[options]",
    .description =
        "Checks the processor, the libraries, limits, memory, the model, the address to listen on, "
        "directories, the service manager and the clock. Prints a line for each that begins with "
        "ok, warn or fail, and after a warning or a failure one with a hint how to mend it. Ends "
        "with status 1 if a check fails. Run it as the user, and with the limits, that the server "
        "has.",
    .examples = "  adl-server doctor\n"
                "  adl-server doctor --model birds.safetensors --listen 0.0.0.0:8080 --json\n",
    .options = table,
    .settings_bytes = sizeof(struct adl_doctor_settings),
    .run = run,
};
