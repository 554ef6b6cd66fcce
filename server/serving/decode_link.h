#ifndef ADL_SERVER_SERVING_DECODE_LINK_H
#define ADL_SERVER_SERVING_DECODE_LINK_H

/* The server's side of the conversation with a helper that decodes images (decode_wire.h).
 *
 * The helper is not trusted: a file may have taken it over. All sizes are those that this process
 * has read in the file's header; what the helper says is compared with them, and pixels are all
 * that comes from it. Each is copied out of the shared memory once and never read there again. */

#include "image/image_decode.h"

struct adl_decode_link {
    int fd;                       /* the socket; adl_decode_link_open() prepares it */
    uint8_t *shared;              /* the memory that both have mapped */
    size_t shared_bytes;          /* more than ADL_DECODE_WINDOW_BYTES */
    void (*heard)(void *context); /* called whenever the helper has said something, and about every
                                     20 ms while it does not; NULL: not called */
    void *context;
};

/* Makes reading from the socket wait for 20 ms at most. Fails with ADL_ERR_IO. */
int adl_decode_link_open(const struct adl_decode_link *link, struct adl_error *err) ADL_MUST_CHECK;

/* Waits until the helper is in its sandbox, for some seconds. Fails with ADL_ERR_UNSUPPORTED, with
 * its reason, if it cannot. */
int adl_decode_link_ready(const struct adl_decode_link *link, struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether the helper waits for a request: it has neither gone nor said anything. */
bool adl_decode_link_idle(const struct adl_decode_link *link);

/* What is to be decoded; see struct adl_image_decoder. */
struct adl_decode_work {
    const void *bytes;
    size_t length;
    const struct adl_decode_options *options; /* its pause is also called while the helper works */
    const struct adl_image_info *info;        /* from the header, as stored */
    struct adl_row_target *target;            /* NULL: the images */
    struct adl_image *images;
    int count;
    uint64_t
        until_ns; /* the helper may take until then, in the time of adl_clock_ns(); 0: for ever */
};

/* How it has ended. */
enum adl_decode_end {
    ADL_DECODE_ANSWERED, /* as it should, if with an error; the helper waits for the next request */
    ADL_DECODE_GONE,     /* the helper has ended; `err` is left to the caller */
    ADL_DECODE_LATE,     /* it still works, but `err` has why it may not any more */
    ADL_DECODE_REFUSED   /* it has said what makes no sense; `err` is left to the caller */
};

/* Has the helper do it. Unless there is no error and the end is ADL_DECODE_ANSWERED, the images
 * have no pixels and the helper must not be used again, except after ADL_DECODE_ANSWERED. */
enum adl_decode_end adl_decode_link_run(const struct adl_decode_link *link,
                                        const struct adl_decode_work *work, struct adl_error *err);

#endif
