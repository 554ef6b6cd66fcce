#ifndef ADL_SERVER_SERVING_DECODE_WIRE_H
#define ADL_SERVER_SERVING_DECODE_WIRE_H

/* What the server and a helper that decodes images for it say to each other: one struct a message,
 * over a pair of sockets that keep messages apart. Both are the same program, so the structs need
 * no version.
 *
 * The bytes lie in memory that both have mapped: first a window, through which pixels come back,
 * and behind it the image file. There is nothing else in it, no length and no number, because the
 * helper can write it at any moment.
 *
 *     server                                    helper
 *     puts the file into the memory
 *     adl_decode_ask                  ─▶        decodes
 *     copies pixels out of the window ◀─        adl_decode_tell MORE, with pixels in the window
 *     adl_decode_go                   ─▶        goes on, or stops
 *     may wait, may want to stop      ◀─        adl_decode_tell PAUSE, between pieces of work
 *     adl_decode_go                   ─▶
 *                                     ◀─        adl_decode_tell DONE, with the last pixels, or
 * FAILED
 */

#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

/* Of a row of an image there are at most 3 * ADL_LIMIT_IMAGE_SIDE bytes. */
#define ADL_DECODE_WINDOW_BYTES ADL_MIB

/* The most sizes to which an image is resized: those of the scales of a map. */
#define ADL_DECODE_SIZES (ADL_LIMIT_MAP_SCALES + 1)

struct adl_decode_ask {
    uint64_t length; /* of the file */
    uint64_t max_pixels, max_memory_bytes;
    int32_t target_width, target_height;
    int32_t count; /* sizes to which the image is resized; 0: its rows, as stored, are wanted */
    uint8_t ignore_orientation, ignore_alpha, aligned;
    uint8_t pauses; /* PAUSE is to be said between pieces of work */
    struct {
        int32_t width, height;
    } sizes[ADL_DECODE_SIZES];
};

enum adl_decode_said {
    ADL_DECODE_READY, /* once, at first: the helper is in its sandbox */
    ADL_DECODE_MORE,
    ADL_DECODE_PAUSE,
    ADL_DECODE_DONE,
    ADL_DECODE_FAILED
};

struct adl_decode_tell {
    uint32_t said;
    uint32_t
        bytes; /* in the window: whole rows, or the next bytes of the sizes, one after another */
    int32_t width, height, orientation; /* of the image as stored */
    int32_t error;                      /* enum adl_error_kind, of FAILED */
    char message[sizeof((struct adl_error *)0)->message];
};

struct adl_decode_go {
    uint32_t stop; /* the rest is not wanted */
};

#endif
