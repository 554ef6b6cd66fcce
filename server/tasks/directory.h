#ifndef ADL_SERVER_TASKS_DIRECTORY_H
#define ADL_SERVER_TASKS_DIRECTORY_H

#include "base/error.h"

/* Creates the directory `path` unless it exists; its parent has to exist. Fails with
 * ADL_ERR_IO. */
int adl_make_directory(const char *path, struct adl_error *err) ADL_MUST_CHECK;

/* Creates the directory `path` and those that it is in, unless they exist. Fails with ADL_ERR_IO
 * and ADL_ERR_NOMEM. */
int adl_make_directories(const char *path, struct adl_error *err) ADL_MUST_CHECK;

/* Opens a directory that an option such as "--runs" names, and returns its descriptor. Fails with
 * ADL_ERR_NOT_FOUND, ADL_ERR_ARG (no directory) and ADL_ERR_IO. */
int adl_open_directory(const char *option, const char *path, struct adl_error *err) ADL_MUST_CHECK;

#endif
