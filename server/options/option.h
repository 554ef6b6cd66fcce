#ifndef ADL_SERVER_OPTIONS_OPTION_H
#define ADL_SERVER_OPTIONS_OPTION_H

/* One row of an option table, and queries about a single row. This is the lowest layer of the
 * option files: the conversion of values (option_value.h) and the layers of values
 * (option_layers.h) are built on it, and the parser (options.h) on those. */

#include <stdbool.h>
#include <stddef.h>

enum adl_option_type {
    ADL_OPTION_FLAG,    /* bool: --name, or --name=true|false */
    ADL_OPTION_INT,     /* int */
    ADL_OPTION_DOUBLE,  /* double; "none" stands for the default if the row has one */
    ADL_OPTION_SIZE,    /* size_t: bytes, with an optional K, M or G (powers of 1024) */
    ADL_OPTION_STRING,  /* const char *: file names, addresses */
    ADL_OPTION_CHOICE,  /* int: index into the choices; -1 if not given and without default */
    ADL_OPTION_CHOICES, /* int: names separated by commas; bit i stands for choice i, at most 30;
                           -1 if not given and without default */
    ADL_OPTION_LIST     /* struct adl_option_list: the option may be repeated */
};

/* Texts in the order given. A list from a stronger source replaces that of a weaker one as a
 * whole. In the environment, commas separate the items. */
struct adl_option_list {
    const char *const *items;
    size_t count;
};

struct adl_option {
    const char *name; /* "max-body": --max-body on the command line, "max-body" in a
                         configuration file, ADL_SERVER_MAX_BODY in the environment;
                         NULL ends a table */
    /* Type and offset of the value in the settings struct; set by the macros below,
     * which do not compile for a field of another type. */
    enum adl_option_type type;
    size_t offset;

    char letter;                /* -t; 0: none */
    const char *value;          /* the default, written as a user would; NULL: the zero of the
                                   type (0, false, NULL, an empty list) */
    const char *default_note;   /* shown as the default in --help instead of `value` */
    double min, max;            /* of numbers, inclusive; both 0: unbounded */
    const char *const *choices; /* names of a CHOICE or CHOICES, NULL-terminated ... */
    const char *(*choice_at)(int index); /* ... or a function that returns them and NULL after
                                            the last */
    const char *metavar; /* "N", "FILE"; shells complete FILE and DIR with file names */
    /* Of a STRING: its value if the option is given without one; NULL: it needs a value. For
     * commands without operands, so that the word after the option is its value unless it begins
     * with a hyphen. */
    const char *bare;
    const char *help; /* no capital, no full stop */
    bool required;
    bool command_line_only; /* not read from the configuration file or the environment */
};

#define ADL_OPTION_FIELD(option_type, c_type, s, field)                                            \
    .type = option_type, .offset = _Generic(((s *)0)->field, c_type : offsetof(s, field))

#define ADL_FLAG(s, field) ADL_OPTION_FIELD(ADL_OPTION_FLAG, bool, s, field)
#define ADL_INT(s, field) ADL_OPTION_FIELD(ADL_OPTION_INT, int, s, field)
#define ADL_DOUBLE(s, field) ADL_OPTION_FIELD(ADL_OPTION_DOUBLE, double, s, field)
#define ADL_SIZE(s, field) ADL_OPTION_FIELD(ADL_OPTION_SIZE, size_t, s, field)
#define ADL_STRING(s, field) ADL_OPTION_FIELD(ADL_OPTION_STRING, const char *, s, field)
#define ADL_CHOICE(s, field) ADL_OPTION_FIELD(ADL_OPTION_CHOICE, int, s, field)
#define ADL_CHOICES(s, field) ADL_OPTION_FIELD(ADL_OPTION_CHOICES, int, s, field)
#define ADL_LIST(s, field) ADL_OPTION_FIELD(ADL_OPTION_LIST, struct adl_option_list, s, field)

/* The sources of a value, from the weakest to the strongest. */
enum adl_option_source {
    ADL_SOURCE_DEFAULT,
    ADL_SOURCE_CONFIG,
    ADL_SOURCE_ENVIRONMENT,
    ADL_SOURCE_COMMAND_LINE
};

/* Returns the number of rows before the one that ends the table. */
size_t adl_option_count(const struct adl_option *table);

/* Returns the index of the row called `name`; adl_option_count(table) if there is none. */
size_t adl_option_find(const struct adl_option *table, const char *name);

/* Returns whether values of the option are names of choices. */
bool adl_option_has_choices(const struct adl_option *option);

/* Returns the name of choice `index` (0 and up) of an option that has choices; NULL past the last.
 */
const char *adl_option_choice(const struct adl_option *option, int index);

/* Writes the name of the environment variable, such as "ADL_SERVER_MAX_BODY", into
 * `text` of `size` bytes; returns `text`. */
char *adl_option_environment(const struct adl_option *option, char *text, size_t size);

#endif
