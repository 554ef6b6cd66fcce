/* Draws options at random.
 *
 * Random draws beat a grid of as many points because few of the options matter, and each draw tries
 * another value of those (Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization",
 * JMLR 2012). */

#include "server/experiment/search_draw.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "server/experiment/experiment_json.h"

/* Up to here doubles hold every whole number. */
#define MAX_WHOLE 9007199254740992.0

/* Reads the bounds of a range. */
static bool read_range(const json_t *range, double *from, double *to)
{
    const json_t *low = json_array_get(range, 0), *high = json_array_get(range, 1);

    *from = json_number_value(low);
    *to = json_number_value(high);
    return json_array_size(range) == 2 && json_is_number(low) && json_is_number(high) &&
           *from < *to;
}

/* Returns the value for u in 0 <= u < 1 as new JSON; NULL if the range is not valid. Reals have
 * six digits, so that they stand on a command line as they are. */
static json_t *value_at(const char *kind, const json_t *range, double u)
{
    double from, to;
    char digits[32];

    if (!strcmp(kind, "choice")) {
        size_t count = json_array_size(range);
        return count ? json_deep_copy(json_array_get(range, (size_t)(u * (double)count))) : NULL;
    }
    if (!read_range(range, &from, &to))
        return NULL;
    if (!strcmp(kind, "whole"))
        return from < -MAX_WHOLE || to > MAX_WHOLE || floor(from) < from || floor(to) < to
                   ? NULL
                   : json_integer((json_int_t)(from + floor(u * (to - from + 1))));
    if (!strcmp(kind, "log_uniform") && !(from > 0))
        return NULL;
    double value = strcmp(kind, "uniform") ? from * pow(to / from, u) : from + u * (to - from);
    snprintf(digits, sizeof digits, "%.6g", value);
    return json_string(digits);
}

int adl_search_draw(json_t *options, const json_t *draw, int seed, size_t number, const char *where,
                    struct adl_error *err)
{
    static const char *const kinds[] = {"uniform", "log_uniform", "whole", "choice", NULL};
    const char *option;
    json_t *how;

    if (draw && !json_is_object(draw))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"draw\" has to be an object", where);
    json_object_foreach((json_t *)(uintptr_t)draw, option, how)
    {
        struct adl_rng rng;
        if (adl_strict_object(how, option, kinds, err) < 0)
            return -1;
        const char *kind =
            json_object_size(how) == 1 ? json_object_iter_key(json_object_iter(how)) : NULL;
        adl_rng_seed(&rng, (uint64_t)seed, number, adl_hash_text(ADL_FNV_BASIS, option));
        json_t *value =
            kind ? value_at(kind, json_object_get(how, kind), adl_rng_uniform(&rng)) : NULL;
        json_t *drawn = value ? json_object() : NULL;
        int result = drawn && json_object_set(drawn, option, value) == 0
                         ? adl_strict_options(options, drawn, where, err)
                         : adl_fail(err, ADL_ERR_FORMAT,
                                    "%s: the draw of \"%s\" has to be one of uniform, log_uniform "
                                    "or whole with two numbers, the lower first, or choice with a "
                                    "list",
                                    where, option);
        json_decref(drawn);
        json_decref(value);
        if (result < 0)
            return -1;
    }
    return 0;
}
