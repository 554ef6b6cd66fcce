/* Reports what `doctor` finds, as lines for people or as JSON; see doctor.h. */

#include "server/commands/doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "io/json_text.h"

const char *const adl_finding_names[] = {"ok", "warn", "fail"};

void adl_doctor_say(struct adl_doctor *d, enum adl_finding finding, const char *hint,
                    const char *fmt, ...)
{
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    char text[1000];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    d->count[finding]++;
    if (d->json) {
        json_array_append_new(d->list, json_pack("{s:s, s:s, s:o, s:s*}", "check", d->check,
                                                 "status", adl_finding_names[finding], "message",
                                                 adl_json_from_text(text), "hint", hint));
        return;
    }
    printf("%s%-4s%s  %-11s  %s\n", d->coloured ? colours[finding] : "", adl_finding_names[finding],
           d->coloured ? "\033[0m" : "", d->check, text);
    if (hint)
        printf("      %-11s  hint: %s\n", "", hint);
    fflush(stdout);
}
