#ifndef ADL_TESTS_SUPPORT_COMMAND_RUN_H
#define ADL_TESTS_SUPPORT_COMMAND_RUN_H

/* Runs the program as a user does, to its end, and makes models for it. */

#include "models/model.h"
#include "support/program.h"

/* The architecture of the tiny models, after --arch. */
#define TINY "mobilenet_v1", "--width", "0.25", "--num-classes", "3"

struct command_result {
    int status;      /* exit status; -1 if a signal ended the program */
    char *out, *err; /* what was written; owned */
};

/* Runs the program with these arguments. */
#define RUN(...) command_run((const char *[]){program_path(), __VA_ARGS__, NULL})
struct command_result command_run(const char *const *argv);
void command_release(struct command_result *result);

/* Checks the exit status, and that stderr has one line on failure, none on success; releases the
 * result. */
void command_expect(struct command_result result, int status, const char *what);

/* Runs the program: the exit status has to be this one, and what it prints, on stderr in case of
 * failure, has to contain `part`. The arguments are as for command_run(). */
void command_says(int status, const char *part, const char *const *arguments);

/* Returns a path in the scratch directory, valid until the eighth call after this one. */
const char *command_path(const char *name);

/* Returns the text of a file, to be freed with adl_free(). */
char *command_text(const char *path);

size_t command_lines(const char *text);

/* Returns a mobilenet_v1 for side x side pixels with random convolutions, or NULL after failing the
 * running test. */
struct adl_model *command_model(int num_classes, double width, int side);

/* Writes a tiny model to `path`. */
bool command_save_tiny(const char *path);

#endif
