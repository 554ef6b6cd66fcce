#ifndef ADL_SERVER_COMMANDS_DOCTOR_H
#define ADL_SERVER_COMMANDS_DOCTOR_H

/* What `doctor` finds, and its checks, one function each: of the machine (doctor_machine.c) and of
 * what a server needs on it (doctor_service.c). cmd_doctor.c lists and calls them, doctor.c reports
 * what they find. */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

enum adl_finding { ADL_FINDING_OK, ADL_FINDING_WARN, ADL_FINDING_FAIL };
extern const char *const adl_finding_names[]; /* "ok", "warn", "fail" */

struct adl_doctor_settings {
    const char *model, *listen, *annotations, *runs, *jobs;
    bool json;
};

/* The findings so far. */
struct adl_doctor {
    const struct adl_doctor_settings *settings;
    const char *check; /* the present one */
    bool json, coloured;
    json_t *list; /* with --json; owned */
    size_t count[ADL_FINDING_FAIL + 1];
};

/* Reports a finding, formatted as by printf(), and how to mend it; `hint` is NULL if nothing has to
 * be. A check may report several. */
void adl_doctor_say(struct adl_doctor *doctor, enum adl_finding finding, const char *hint,
                    const char *fmt, ...) ADL_PRINTF(4, 5);

typedef void adl_doctor_check(struct adl_doctor *doctor);
adl_doctor_check adl_doctor_processor, adl_doctor_threads, adl_doctor_blas, adl_doctor_libraries,
    adl_doctor_files, adl_doctor_memory, adl_doctor_time;
adl_doctor_check adl_doctor_model, adl_doctor_port, adl_doctor_annotations, adl_doctor_runs,
    adl_doctor_jobs, adl_doctor_systemd;

#endif
