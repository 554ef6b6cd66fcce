#ifndef ADL_TESTS_SUPPORT_SCRATCH_H
#define ADL_TESTS_SUPPORT_SCRATCH_H

/* Makes a separate directory for each test, below test_tmp_dir(). */

#include <stdio.h>

#include "base/error.h"

/* Makes the directory NAME, called ROOT below, and its subdirectories up to NULL, each of which
 * has to come after its parent. The functions below use it until the next call. */
void scratch_open(const char *name, const char *const *subdirectories);
const char *scratch_root(void);

/* Returns ROOT/PATH; valid until the fifth call after this one. */
const char *scratch_path(const char *fmt, ...) ADL_PRINTF(1, 2);

/* Opens ROOT/PATH for writing; ends the running test if that fails. */
FILE *scratch_file(const char *path, const char *mode);

/* Appends text to the file ROOT/PATH. */
void scratch_append(const char *path, const char *fmt, ...) ADL_PRINTF(2, 3);

/* Redirects standard error to ROOT/stderr until scratch_stderr_end(), which returns the text that
 * was written, to be freed with adl_free(). */
void scratch_stderr_begin(void);
char *scratch_stderr_end(void);

#endif
