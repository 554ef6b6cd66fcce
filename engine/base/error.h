#ifndef ADL_BASE_ERROR_H
#define ADL_BASE_ERROR_H

/* The one error idiom of the program.
 *
 * A function that can fail returns an int (-1 on failure) or a pointer (NULL on failure)
 * and takes a `struct adl_error *` that is never NULL. The first error wins: once a kind
 * is set, later calls of adl_fail() leave the error unchanged, so cleanup code cannot
 * hide the cause. */

#include <stdarg.h>

#define ADL_MUST_CHECK __attribute__((warn_unused_result))
#define ADL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum adl_error_kind {
    ADL_ERR_NONE = 0,
    ADL_ERR_ARG,         /* the caller's argument or request makes no sense */
    ADL_ERR_NOT_FOUND,   /* no such file, model, class, tensor */
    ADL_ERR_FORMAT,      /* a file or a request is corrupt or truncated */
    ADL_ERR_UNSUPPORTED, /* well-formed, but of a kind this program does not handle */
    ADL_ERR_LIMIT,       /* over a limit of base/limits.h or of an option */
    ADL_ERR_IO,          /* a system call failed */
    ADL_ERR_NOMEM,       /* out of memory */
    ADL_ERR_BUSY,        /* try again later: queue full, loading, draining, locked */
    ADL_ERR_CANCELLED,   /* the client has gone, or the user has stopped the work */
    ADL_ERR_INTERNAL     /* a mistake in this program */
};

struct adl_error {
    enum adl_error_kind kind;
    /* One sentence: what failed, for which file or tensor, and what the user can do. */
    char message[512];
};

/* Sets kind and message unless an error is already there. Always returns -1. */
int adl_fail(struct adl_error *err, enum adl_error_kind kind, const char *fmt, ...)
    ADL_PRINTF(3, 4);
/* adl_fail() is also a macro, so that the compiler and clang's analyzer see the constant
 * -1 and know that what a failed function left unset is not used. */
#define adl_fail(...)                                                                              \
    ({                                                                                             \
        (adl_fail)(__VA_ARGS__);                                                                   \
        -1;                                                                                        \
    })

/* The same with the arguments of a function that has its own. */
int adl_fail_with(struct adl_error *err, enum adl_error_kind kind, const char *fmt, va_list args)
    ADL_PRINTF(3, 0);

/* Puts "context: " before the message of an error that is set; returns -1. */
int adl_error_context(struct adl_error *err, const char *fmt, ...) ADL_PRINTF(2, 3);

/* Resets to no error. */
void adl_error_clear(struct adl_error *err);

/* On failure, jumps to the function's `out:` label, where its resources are freed. */
#define ADL_TRY(expr)                                                                              \
    do {                                                                                           \
        if ((expr) < 0)                                                                            \
            goto out;                                                                              \
    } while (0)

#endif
