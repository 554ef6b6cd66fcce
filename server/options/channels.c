#include "server/options/channels.h"

#include <stdlib.h>

#include "base/name.h"

int adl_channels_parse(const char *option, const char *const *texts, size_t count, bool positive,
                       float values[3], struct adl_error *err)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        const char *next = texts[i];
        for (;;) {
            char *end;
            double value = strtod(next, &end);
            if (end == next || (*end && *end != ',') || !(value > -1e6 && value < 1e6) ||
                (positive && value < 1e-6))
                return adl_fail(err, ADL_ERR_ARG, "--%s: \"%s\" is not a %snumber or R,G,B", option,
                                ADL_SHORT(texts[i]), positive ? "positive " : "");
            if (found < 3)
                values[found] = (float)value;
            found++;
            if (!*end)
                break;
            next = end + 1;
        }
    }
    if (found != 1 && found != 3)
        return adl_fail(err, ADL_ERR_ARG, "--%s takes one number or three, not %zu", option, found);
    if (found == 1)
        values[1] = values[2] = values[0];
    return 0;
}
