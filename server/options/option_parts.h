#ifndef ADL_SERVER_OPTIONS_OPTION_PARTS_H
#define ADL_SERVER_OPTIONS_OPTION_PARTS_H

/* What the files of the option parser share; options.h is for everybody else. */

#include "server/options/options.h"

#define OPTION_WORD_MAX 64 /* an unknown option is cut to this */

struct option_parser {
    struct adl_options *options;
    const struct adl_option *table;
    size_t rows;
    char *settings;
    enum adl_option_source *sources; /* one per row */
    struct adl_error *err;
};

/* "WHERE: ..." as an ARG error; returns -1. */
int option_fail(struct option_parser *p, const char *where, const char *fmt, ...) ADL_PRINTF(3, 4);
/* Converts and stores. `where` names the place for messages; `text` has to stay
 * valid as long as the options. */
int option_set(struct option_parser *p, size_t row, enum adl_option_source source,
               const char *where, const char *text);
/* The row of a name; -1: there is none. */
int option_find(const struct option_parser *p, const char *name, size_t *row);

/* The layers, from the weakest. */
int option_apply_defaults(struct option_parser *p);
int option_apply_config(struct option_parser *p, const char *path);
int option_apply_environment(struct option_parser *p);

#endif
