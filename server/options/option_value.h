#ifndef ADL_SERVER_OPTIONS_OPTION_VALUE_H
#define ADL_SERVER_OPTIONS_OPTION_VALUE_H

/* The conversion of one value: text to number, choice or list, checked against the
 * row's bounds and stored in the settings. Every source of values goes through it,
 * so a value means the same in a file, in the environment and on the command line. */

#include "base/arena.h"
#include "base/error.h"
#include "server/options/option.h"

/* The settings being filled. One thread. */
struct option_values {
    const struct adl_option *table;
    size_t rows;
    char *settings;                  /* the struct that the rows' offsets refer to */
    enum adl_option_source *sources; /* of each row's present value */
    struct adl_arena *arena;         /* holds texts and lists that the settings point to */
    struct adl_error *err;
};

/* Sets ADL_ERR_ARG with the message "WHERE: ..."; returns -1. */
int option_fail(struct option_values *values, const char *where, const char *fmt, ...)
    ADL_PRINTF(3, 4);

/* Converts `text` and stores it as the value of `row`, or appends it to the list of `row` if
 * the list comes from the same source. `where` says in messages where the value was set
 * ("--queue", "FILE: queue"); `text` has to stay valid as long as the settings. Fails with
 * ADL_ERR_ARG when the text is not of the row's type or is out of bounds. */
int option_set(struct option_values *values, size_t row, enum adl_option_source source,
               const char *where, const char *text);

#endif
